//! A query as a form: `multipart/form-data`, with the statement and its parameters as fields.

use crate::error::{QueryError, code};

/// The boundary of a form, from the `Content-Type`; `None` if the body is no such form.
pub(crate) fn boundary(content_type: &str) -> Option<String> {
    let (kind, rest) = content_type.split_once(';')?;
    if !kind.trim().eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    let value = rest.split(';').find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim()
            .eq_ignore_ascii_case("boundary")
            .then(|| value.trim().trim_matches('"'))
    })?;
    (!value.is_empty()).then(|| value.to_owned())
}

/// The fields of a form, in their order.
///
/// # Errors
/// 36 for a form that is none; 48 for a file in it (ClickHouse's external tables).
pub(crate) fn fields(body: &[u8], boundary: &str) -> Result<Vec<(String, String)>, QueryError> {
    let bad = || {
        QueryError::new(
            code::BAD_ARGUMENTS,
            "The multipart form is cut short or malformed",
        )
    };
    let delimiter = format!("\r\n--{boundary}");
    // The first delimiter stands at the beginning, without the line end that belongs to the others.
    let mut rest = body
        .strip_prefix(&delimiter.as_bytes()[2..])
        .ok_or_else(bad)?;
    let mut fields = Vec::new();
    while !rest.starts_with(b"--") {
        let line_end = rest.strip_prefix(b"\r\n").ok_or_else(bad)?;
        let blank = find(line_end, b"\r\n\r\n").ok_or_else(bad)?;
        let head = String::from_utf8_lossy(&line_end[..blank]);
        let value = &line_end[blank + 4..];
        let end = find(value, delimiter.as_bytes()).ok_or_else(bad)?;
        let (name, is_file) = disposition(&head).ok_or_else(bad)?;
        if is_file {
            let message = format!("External tables ({name}) are not supported by this server");
            return Err(QueryError::new(code::NOT_IMPLEMENTED, message));
        }
        fields.push((name, String::from_utf8_lossy(&value[..end]).into_owned()));
        rest = &value[end + delimiter.len()..];
    }
    Ok(fields)
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|window| window == what)
}

/// The name of a part, and whether it is a file.
fn disposition(head: &str) -> Option<(String, bool)> {
    let line = head.split("\r\n").find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.trim()
            .eq_ignore_ascii_case("content-disposition")
            .then_some(value)
    })?;
    let parameter = |wanted: &str| {
        line.split(';').find_map(|item| {
            let (name, value) = item.split_once('=')?;
            name.trim()
                .eq_ignore_ascii_case(wanted)
                .then(|| value.trim().trim_matches('"').to_owned())
        })
    };
    Some((parameter("name")?, parameter("filename").is_some()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn forms_are_read() {
        let kind = "multipart/form-data; boundary=\"xx\"";
        assert_eq!(boundary(kind).as_deref(), Some("xx"));
        assert_eq!(boundary("text/plain"), None);
        let body = "--xx\r\nContent-Disposition: form-data; name=\"query\"\r\n\r\nSELECT\r\n1\r\n--xx\r\nContent-Disposition: form-data; name=param_a\r\n\r\n\r\n--xx--\r\n";
        let expected = [("query", "SELECT\r\n1"), ("param_a", "")];
        let expected = expected.map(|(n, v)| (n.to_owned(), v.to_owned()));
        assert_eq!(fields(body.as_bytes(), "xx").expect("a form"), expected);
        let file = body.replace("name=param_a", "name=t; filename=t");
        assert_eq!(fields(file.as_bytes(), "xx").expect_err("refused").code, 48);
        for end in 0..body.len() - 4 {
            assert!(
                fields(&body.as_bytes()[..end], "xx").is_err(),
                "cut at {end}"
            );
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(body in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = fields(&body, "x");
        }
    }
}
