//! The one answer in another protocol revision.
//!
//! clickhouse-go over HTTP names its own revision (`client_protocol_version`) and decodes the
//! answer to its first query at that revision; every later block at the revision this answer
//! reports. The engine writes `Native` at revision 0, so the answer says 0, in the newer form:
//! block information before the counts, and a byte "no custom serialisation" after each type.

/// Protocol revisions from ClickHouse's `src/Core/ProtocolDefines.h`.
const WITH_BLOCK_INFO: u64 = 51_903;
const WITH_CUSTOM_SERIALIZATION: u64 = 54_454;

/// Whether `text` is clickhouse-go's first query.
pub(crate) fn is_handshake(text: &[u8]) -> bool {
    let squeezed: Vec<u8> = text
        .iter()
        .filter(|b| !b.is_ascii_whitespace() && **b != b';')
        .map(u8::to_ascii_lowercase)
        .collect();
    let squeezed = squeezed.strip_suffix(b"formatnative").unwrap_or(&squeezed);
    squeezed == b"selectdisplayname(),version(),revision(),timezone()"
}

/// The answer: one `Native` block at `revision` with display name, version, revision 0, timezone.
pub(crate) fn native_handshake(
    revision: u64,
    name: &str,
    version: &str,
    timezone: &str,
) -> Vec<u8> {
    let mut block = Vec::new();
    if revision >= WITH_BLOCK_INFO {
        // Field 1, is_overflows: 0; field 2, bucket_num: -1; end.
        block.extend([0x01, 0x00, 0x02, 0xff, 0xff, 0xff, 0xff, 0x00]);
    }
    block.extend([4, 1]);
    let mut column = |name: &str, kind: &str, data: &[u8]| {
        write_string(&mut block, name);
        write_string(&mut block, kind);
        if revision >= WITH_CUSTOM_SERIALIZATION {
            block.push(0);
        }
        block.extend(data);
    };
    let text = |value: &str| {
        let mut data = Vec::new();
        write_string(&mut data, value);
        data
    };
    column("displayName()", "String", &text(name));
    column("version()", "String", &text(version));
    column("revision()", "UInt32", &0u32.to_le_bytes());
    column("timezone()", "String", &text(timezone));
    block
}

fn write_string(out: &mut Vec<u8>, text: &str) {
    let mut length = text.len();
    while length >= 0x80 {
        out.push((length & 0x7f) as u8 | 0x80);
        length >>= 7;
    }
    out.push(length as u8);
    out.extend(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_query_is_known() {
        assert!(is_handshake(
            b"SELECT displayName(), version(), revision(), timezone()"
        ));
        assert!(is_handshake(
            b"select displayName(), version(), revision(), timezone() FORMAT Native\n"
        ));
        assert!(!is_handshake(b"SELECT displayName(), version()"));
    }

    #[test]
    fn the_form_follows_the_revision() {
        let new = native_handshake(54_470, "h", "26.5", "UTC");
        assert!(new.starts_with(&[1, 0, 2, 0xff, 0xff, 0xff, 0xff, 0, 4, 1, 13]));
        assert!(new.ends_with(b"\x0atimezone()\x06String\x00\x03UTC"));
        let old = native_handshake(0, "h", "26.5", "UTC");
        assert!(old.starts_with(&[4, 1, 13]));
        assert!(old.ends_with(b"\x0atimezone()\x06String\x03UTC"));
    }
}
