//! `multipart/form-data` (RFC 7578) of text fields, the same bytes each time.
//!
//! Not reqwest's: on wasm it hands a `FormData` to the platform, which draws a random boundary, so no two attempts would have the same
//! bytes and no hash of a body would pin it.

use uuid::Uuid;

use super::Mail;

/// Names come from this crate and need no quoting. `None` where a value holds the boundary: it would end its field. The boundary is
/// made of the row's random id, which nobody who writes a value knows.
pub fn encode(id: Uuid, fields: &[(&str, &str)]) -> Option<Mail> {
    let boundary = format!("lonieve-{}", id.simple());
    if fields.iter().any(|(_, value)| value.contains(&boundary)) {
        return None;
    }
    let mut body = String::new();
    for (name, value) in fields {
        body.push_str(&format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"
        ));
    }
    body.push_str(&format!("--{boundary}--\r\n"));
    Some(Mail {
        content_type: format!("multipart/form-data; boundary={boundary}"),
        body,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_what_the_standard_describes() {
        let mail = encode(
            Uuid::from_u128(1),
            &[("to", "a@example.com"), ("text", "Line one\r\nДва\n--not-a-boundary")],
        )
        .unwrap();
        let boundary = "lonieve-00000000000000000000000000000001";
        assert_eq!(mail.content_type, format!("multipart/form-data; boundary={boundary}"));
        assert_eq!(
            mail.body,
            format!(
                "--{boundary}\r\nContent-Disposition: form-data; name=\"to\"\r\n\r\na@example.com\r\n\
                 --{boundary}\r\nContent-Disposition: form-data; name=\"text\"\r\n\r\nLine one\r\nДва\n--not-a-boundary\r\n\
                 --{boundary}--\r\n"
            )
        );
    }

    #[test]
    fn a_value_cannot_end_its_field() {
        let id = Uuid::from_u128(2);
        let hostile = format!(
            "x\r\n--lonieve-{}\r\nContent-Disposition: form-data; name=\"to\"\r\n\r\nevil@example.com",
            id.simple()
        );
        assert_eq!(encode(id, &[("text", &hostile)]), None);
        assert!(
            encode(Uuid::from_u128(3), &[("text", &hostile)]).is_some(),
            "the twin: another mail's boundary is only text"
        );
    }
}
