//! The file out of an upload: the body itself, or the part `file` of a form (RFC 7578). Pure.

use shared::error::{ApiError, Code};

/// `content_type` is the whole header, `media_type` its first part in lower case.
pub fn file<'a>(media_type: &str, content_type: &str, body: &'a [u8]) -> Result<&'a [u8], ApiError> {
    match media_type {
        "text/csv" => Ok(body),
        "multipart/form-data" => form_file(content_type, body),
        _ => Err(Code::UnsupportedMediaType.into()),
    }
}

fn form_file<'a>(content_type: &str, body: &'a [u8]) -> Result<&'a [u8], ApiError> {
    let broken = |problem: &str| ApiError::new(Code::InvalidRequest).field("body", problem);
    let boundary = boundary(content_type).ok_or_else(|| broken("has no boundary in its Content-Type"))?;
    let delimiter = format!("\r\n--{boundary}");
    // The first boundary has no line end before it when the body begins with it.
    let mut rest = match body.strip_prefix(&delimiter.as_bytes()[2..]) {
        Some(rest) => rest,
        None => split(body, delimiter.as_bytes()).ok_or_else(|| broken("is not a form"))?.1,
    };
    while !rest.starts_with(b"--") {
        let (head, after) = split(rest, b"\r\n\r\n").ok_or_else(|| broken("broke off in a part's headers"))?;
        let (content, next) = split(after, delimiter.as_bytes()).ok_or_else(|| broken("broke off before its last boundary"))?;
        if is_file(head) {
            return Ok(content);
        }
        rest = next;
    }
    Err(ApiError::new(Code::InvalidRequest).field("file", "is missing"))
}

fn boundary(content_type: &str) -> Option<&str> {
    let parameter = content_type.split(';').skip(1).find_map(|part| {
        let (name, value) = part.split_once('=')?;
        name.trim().eq_ignore_ascii_case("boundary").then(|| value.trim())
    })?;
    let boundary = parameter
        .strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'))
        .unwrap_or(parameter);
    (1..=70).contains(&boundary.len()).then_some(boundary)
}

/// Whether a part's headers name it `file`.
fn is_file(head: &[u8]) -> bool {
    let head = String::from_utf8_lossy(head);
    head.split("\r\n").filter_map(|line| line.split_once(':')).any(|(name, value)| {
        let mut parameters = value.split(';').map(str::trim);
        name.trim().eq_ignore_ascii_case("content-disposition")
            && parameters.next().is_some_and(|kind| kind.eq_ignore_ascii_case("form-data"))
            && parameters.any(|parameter| parameter == "name=\"file\"" || parameter == "name=file")
    })
}

/// What stands before and after the first `separator`.
fn split<'a>(bytes: &'a [u8], separator: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let at = bytes.windows(separator.len()).position(|window| window == separator)?;
    Some((&bytes[..at], &bytes[at + separator.len()..]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const FORM: &str = "multipart/form-data; boundary=\"xx yy\"";

    fn of_form(body: &str) -> Result<String, Code> {
        let found = file("multipart/form-data", FORM, body.as_bytes());
        found
            .map(|bytes| String::from_utf8_lossy(bytes).into_owned())
            .map_err(|error| error.code)
    }

    #[test]
    fn the_body_of_a_csv_upload_is_the_file() {
        assert_eq!(file("text/csv", "text/csv; charset=utf-8", b"a,b").unwrap(), b"a,b");
        assert_eq!(
            file("application/json", "application/json", b"{}").unwrap_err().code,
            Code::UnsupportedMediaType
        );
    }

    #[test]
    fn the_part_named_file_is_found_wherever_it_stands() {
        let other = "--xx yy\r\nContent-Disposition: form-data; name=\"note\"\r\n\r\nfile\r\n";
        let part = "--xx yy\r\nContent-Disposition: form-data; name=\"file\"; filename=\"c.csv\"\r\nContent-Type: application/vnd.ms-excel\r\n\r\na,b\r\n1,2\r\n\r\n";
        for body in [
            format!("{part}--xx yy--\r\n"),
            format!("{other}{part}--xx yy--"),
            format!("preamble\r\n{part}{other}--xx yy--"),
        ] {
            assert_eq!(of_form(&body).unwrap(), "a,b\r\n1,2\r\n");
        }
    }

    #[test]
    fn forms_without_the_file_or_cut_short_are_refused() {
        for body in [
            "",
            "a,b",
            "--xx yy--",
            "--xx yy\r\nContent-Disposition: form-data; name=\"file\"",
            "--xx yy\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\na,b",
            "--xx yy\r\nContent-Disposition: form-data; name=\"other\"\r\n\r\na,b\r\n--xx yy--",
        ] {
            assert_eq!(of_form(body), Err(Code::InvalidRequest), "{body:?}");
        }
        assert_eq!(
            file("multipart/form-data", "multipart/form-data", b"").unwrap_err().code,
            Code::InvalidRequest
        );
    }

    proptest! {
        #[test]
        fn any_body_is_read_or_refused_without_a_panic(body in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = file("multipart/form-data", "multipart/form-data; boundary=-", &body);
        }
    }
}
