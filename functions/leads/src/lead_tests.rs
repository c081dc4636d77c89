use super::*;
use proptest::prelude::*;
use serde_json::json;

fn good() -> Value {
    json!({"name": "Aida", "email": "Aida@Example.com", "phone": "8 (777) 123-45-67", "source": "twland"})
}

fn with(member: &str, value: Value) -> Value {
    let mut lead = good();
    lead[member] = value;
    lead
}

fn read(value: &Value) -> Result<Lead, ApiError> {
    Lead::from_json(value.to_string().as_bytes())
}

fn refusal(result: Result<Lead, ApiError>) -> String {
    let error = result.unwrap_err();
    assert_eq!(error.code, Code::InvalidRequest);
    error.response("r").into_body()
}

#[test]
fn the_documented_request_is_accepted() {
    let lead = read(&good()).unwrap();
    assert_eq!(
        (lead.name.as_str(), lead.email.as_deref(), lead.phone.as_deref()),
        ("Aida", Some("aida@example.com"), Some("8 (777) 123-45-67"))
    );
    assert_eq!((lead.stage, lead.consent, lead.answers, lead.is_bot), (None, None, None, false));
    let lead = read(&json!({
        "name": "Aida", "phone": "+77771234567", "source": "proftest_a", "stage": "proftest_submitted", "unknown": 5, "email": null,
        "utm": {"utm_source": "Google", "utm_term": " ", "other": 7}, "answers": {"q1": ["a", 2]},
        "consent": {"text": "I agree.", "version": "2026-01"}, "turnstileToken": "tok", "website": "",
    }))
    .unwrap();
    assert_eq!((lead.utm.utm_source.as_deref(), lead.utm.utm_term), (Some("google"), None));
    assert_eq!(lead.answers, Some(json!({"q1": ["a", 2]})));
    assert_eq!(
        lead.consent,
        Some(Consent {
            text: "I agree.".into(),
            version: "2026-01".into()
        })
    );
    assert_eq!(lead.turnstile_token.as_deref(), Some("tok"));
}

#[test]
fn each_wrong_field_is_named() {
    let deep = (0..MAX_ANSWERS_DEPTH).fold(json!({}), |inner, _| json!({"a": inner}));
    for (member, value, field) in [
        ("name", json!(null), "name"),
        ("name", json!("  "), "name"),
        ("name", json!(5), "name"),
        ("name", json!("x".repeat(201)), "name"),
        ("name", json!("a\u{0}b"), "name"),
        ("email", json!("nope"), "email"),
        ("email", json!(7), "email"),
        ("phone", json!(77771234567_i64), "phone"),
        ("phone", json!("1".repeat(41)), "phone"),
        ("source", json!(null), "source"),
        ("source", json!([]), "source"),
        ("stage", json!(1), "stage"),
        ("stage", json!("s".repeat(81)), "stage"),
        ("utm", json!("google"), "utm"),
        ("utm", json!({"utm_source": 5}), "utm.utm_source"),
        ("utm", json!({"utm_term": "t".repeat(256)}), "utm.utm_term"),
        ("answers", json!([1]), "answers"),
        ("answers", json!("yes"), "answers"),
        ("answers", json!({"a": "x".repeat(MAX_ANSWERS_BYTES)}), "answers"),
        ("answers", deep, "answers"),
        ("answers", json!({"a": "\u{0}"}), "answers"),
        ("consent", json!(true), "consent"),
        ("consent", json!({"version": "1"}), "consent.text"),
        ("consent", json!({"text": "I agree."}), "consent.version"),
        ("consent", json!({"text": "I agree.", "version": 1}), "consent.version"),
        ("turnstileToken", json!(false), "turnstileToken"),
        ("turnstileToken", json!("t".repeat(2049)), "turnstileToken"),
    ] {
        let body = refusal(read(&with(member, value.clone())));
        assert!(body.contains(&format!(r#""fields":{{"{field}":"#)), "{member}: {value}: {body}");
    }
}

#[test]
fn one_answer_names_all_that_is_missing() {
    let body = refusal(read(&json!({"email": " "})));
    for field in ["name", "source", "email", "phone"] {
        assert!(body.contains(&format!("\"{field}\":\"is missing")), "{field}: {body}");
    }
    for contact in ["email", "phone"] {
        assert!(read(&with(contact, Value::Null)).is_ok(), "one contact is enough");
    }
}

#[test]
fn only_objects_with_each_field_once_are_taken() {
    for body in ["[]", "7", "null", r#"{"name":"a","name":"b"}"#, r#"{"name":"\ud800"}"#] {
        assert!(refusal(Lead::from_json(body.as_bytes())).contains(r#""body":"#), "{body}");
    }
    for body in ["", "{", "name=a", "{} {}"] {
        assert_eq!(Lead::from_json(body.as_bytes()).unwrap_err().code, Code::InvalidJson, "{body}");
    }
    assert_eq!(Lead::from_json(b"\xff").unwrap_err().code, Code::InvalidJson);
}

#[test]
fn a_form_says_the_same_as_json() {
    let form = "name=Aida&email=Aida%40Example.com&phone=8+%28777%29+123-45-67&source=twland&stage=&utm_source=Google&utm%5Butm_term%5D=gifts\
                &answers%5Bgoal%5D=job&answers%5Bdays%5D=mon&answers%5Bdays%5D=tue&consent%5Btext%5D=I+agree.&consent%5Bversion%5D=1\
                &cf-turnstile-response=tok&website=";
    let json = json!({
        "name": "Aida", "email": "aida@example.com", "phone": "8 (777) 123-45-67", "source": "twland", "utm": {"utm_source": "google", "utm_term": "gifts"},
        "answers": {"goal": "job", "days": ["mon", "tue"]}, "consent": {"text": "I agree.", "version": "1"}, "turnstileToken": "tok",
    });
    assert_eq!(Lead::from_form(form.as_bytes()).unwrap(), read(&json).unwrap());
}

#[test]
fn an_unticked_box_of_a_form_is_no_consent() {
    let lead = Lead::from_form(b"name=Aida&phone=87771234567&source=twland&consent%5Bversion%5D=1").unwrap();
    assert_eq!(lead.consent, None);
    let body = refusal(Lead::from_form(b"name=Aida&phone=87771234567&source=twland&consent%5Btext%5D=yes"));
    assert!(body.contains(r#""consent.version":"is missing""#), "{body}");
}

#[test]
fn a_forms_repeated_or_mixed_up_field_is_a_wrong_field() {
    let body = refusal(Lead::from_form(b"name=a&name=b&phone=1&source=s&answers=x&answers%5By%5D=z"));
    assert!(body.contains(r#""name":"must be a text""#), "{body}");
}

#[test]
fn the_field_no_person_sees_marks_a_program() {
    for (value, bot) in [
        (json!("http://spam.example"), true),
        (json!(" "), true),
        (json!(1), true),
        (json!(""), false),
        (Value::Null, false),
    ] {
        assert_eq!(read(&with("website", value.clone())).unwrap().is_bot, bot, "{value}");
    }
}

proptest! {
    #[test]
    fn any_body_gets_an_answer(body in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = Lead::from_json(&body);
        let _ = Lead::from_form(&body);
    }

    #[test]
    fn any_form_gets_an_answer(fields in proptest::collection::vec(("(name|answers|consent|utm|answers\\[a\\]|consent\\[text\\])", ".{0,20}"), 0..8)) {
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let _ = Lead::from_form(body.as_bytes());
    }
}
