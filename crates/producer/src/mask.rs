//! Takes network addresses out of bytes that are kept for people to look at.

use std::net::Ipv6Addr;

const MASK: &[u8] = b"[address]";
/// Longest text of an IPv6 address, with an IPv4 tail.
const V6_TEXT_BYTES_MAX: usize = 45;

/// The bytes with everything that looks like an IPv4 or IPv6 address replaced by `[address]`.
///
/// It rather masks too much: three numbers joined by dots are masked as a cut address, and four
/// joined by hyphens as part of a provider's host name, though either may be a version. Addresses
/// in other writings, such as percent-encoded IPv6, are not seen.
pub fn mask_addresses(bytes: &[u8]) -> Vec<u8> {
    let mut masked = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        // What was masked last stands before, not what it was: whoever masks twice gets the same.
        let length = address_at(&bytes[at..], masked.last().copied());
        if length > 0 {
            masked.extend_from_slice(MASK);
            at += length;
        } else {
            masked.push(bytes[at]);
            at += 1;
        }
    }
    masked
}

/// Length of the address that these bytes, of which there is one at least, start with after the
/// byte `before`; 0 where none does.
fn address_at(bytes: &[u8], before: Option<u8>) -> usize {
    let byte = bytes[0];
    let in_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b':';
    if (byte.is_ascii_hexdigit() || byte == b':') && !before.is_some_and(in_word) {
        let length = v6_at(bytes);
        if length > 0 {
            return length;
        }
    }
    if byte.is_ascii_digit() && !before.is_some_and(|byte| byte.is_ascii_digit()) {
        for (joint, least) in [(b'.', 3), (b'-', 4)] {
            let (count, length) = numbers_at(bytes, joint);
            if count >= least {
                return length;
            }
        }
    }
    0
}

fn v6_at(bytes: &[u8]) -> usize {
    let in_text = |byte: &&u8| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.');
    let longest = bytes
        .iter()
        .take(V6_TEXT_BYTES_MAX + 1)
        .take_while(in_text)
        .count();
    let colons = bytes[..longest]
        .iter()
        .filter(|byte| **byte == b':')
        .count();
    if colons < 2 {
        return 0;
    }
    // What follows an address, such as a full stop or a colon and a port, is no part of it.
    let parses = |length: &usize| {
        std::str::from_utf8(&bytes[..*length]).is_ok_and(|text| text.parse::<Ipv6Addr>().is_ok())
    };
    (2..=longest).rev().find(parses).unwrap_or(0)
}

/// Up to four numbers of one to three digits, joined by `joint`: how many, and how long.
fn numbers_at(bytes: &[u8], joint: u8) -> (usize, usize) {
    let (mut count, mut length) = (0, 0);
    while count < 4 {
        let start = if count == 0 {
            0
        } else if bytes.get(length) == Some(&joint) {
            length + 1
        } else {
            break;
        };
        let digits = bytes[start..]
            .iter()
            .take_while(|byte| byte.is_ascii_digit())
            .count();
        if !(1..=3).contains(&digits) {
            break;
        }
        length = start + digits;
        count += 1;
    }
    (count, length)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn mask(text: &str) -> String {
        String::from_utf8(mask_addresses(text.as_bytes())).unwrap()
    }

    #[test]
    fn addresses_go_and_the_rest_stays() {
        for (line, masked) in [
            ("192.0.2.1 - - [", "[address] - - ["),
            ("2001:db8::1 - -", "[address] - -"),
            ("from 192.0.2.1.", "from [address]."),
            ("::ffff:192.0.2.1 x", "[address] x"),
            ("192.0.2.1:443,10.0.0.1", "[address]:443,[address]"),
            ("[2001:db8::1]:443", "[[address]]:443"),
            ("2001:db8::", "[address]"),
            ("192.0.2.", "[address]."),
            ("a%2C192.0.2.1", "a%2C[address]"),
            ("host-203-0-113-5.isp.example", "host-[address].isp.example"),
            (
                "[10/Oct/2000:13:55:36 -0700]",
                "[10/Oct/2000:13:55:36 -0700]",
            ),
            ("\"GET /a HTTP/1.1\" 200 12", "\"GET /a HTTP/1.1\" 200 12"),
            ("2024-01-02T03:04:05Z", "2024-01-02T03:04:05Z"),
            ("std::env::var", "std::env::var"),
            ("::::", "[address][address]"),
            ("::12345.6.7", "[address][address]"),
            ("", ""),
        ] {
            assert_eq!(mask(line), masked, "{line}");
        }
    }

    proptest! {
        #[test]
        fn no_address_survives(
            before in "[ \"a-z/=?&]{0,8}[ \"=/?]", after in "[ \"/&,;\\]]{0,8}",
            v4: [u8; 4], v6: [u16; 8],
        ) {
            let v4 = std::net::Ipv4Addr::from(v4).to_string();
            let v6 = Ipv6Addr::from(v6).to_string();
            for address in [v4, v6] {
                let masked = mask(&format!("{before}{address}{after}"));
                prop_assert_eq!(masked, format!("{before}[address]{after}"));
            }
        }

        #[test]
        fn any_bytes_are_taken_and_masked_once(bytes in proptest::collection::vec(
            prop_oneof![any::<u8>(), proptest::sample::select(b"0123456789.:-abcf".to_vec())], 0..64,
        )) {
            let once = mask_addresses(&bytes);
            prop_assert_eq!(mask_addresses(&once), once);
        }
    }
}
