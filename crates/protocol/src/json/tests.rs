//! Proves that only objects of bounded shape are read, and that each refusal names its place in words of ours.

use serde::Deserialize;

use super::*;

#[derive(Deserialize, Debug)]
#[serde(rename_all = "camelCase")]
struct Wish {
    identifiers: Vec<Named>,
    #[serde(default)]
    is_agreed: bool,
    #[serde(default)]
    reason: Option<i64>,
    #[serde(default)]
    old_key: Option<Map<String, Value>>,
}

#[derive(Deserialize, Debug)]
struct Named {
    #[serde(rename = "type")]
    kind: String,
}

fn read(json: &str) -> Result<Wish, String> {
    Object::parse(json.as_bytes()).and_then(Object::read).map_err(|bad| bad.to_string())
}

#[test]
fn what_is_known_is_read_and_the_rest_ignored() {
    let wish = read(
        r#" {"identifiers":[{"type":"dns","other":[1]}],"reason":-1,"isAgreed":true,"oldKey":{"a":[{}]},"x":{"y":null}} "#,
    )
    .unwrap();
    assert_eq!((wish.identifiers[0].kind.as_str(), wish.reason, wish.is_agreed), ("dns", Some(-1), true));
    assert_eq!(wish.old_key.unwrap()["a"], serde_json::json!([{}]));
    let null = read(r#"{"identifiers":[],"reason":null,"oldKey":null}"#).unwrap();
    assert!(null.reason.is_none() && null.old_key.is_none());
}

#[test]
fn a_refusal_names_the_place_in_words_of_ours() {
    let cases = [
        (r#"{}"#, "\"identifiers\" is missing"),
        (r#"{"identifiers":{}}"#, "\"identifiers\" must be an array"),
        (r#"{"identifiers":null}"#, "\"identifiers\" must be an array"),
        (r#"{"identifiers":[["dns"]]}"#, "\"identifiers[0]\" must be an object"),
        (r#"{"identifiers":[{"type":"dns"},"dns"]}"#, "\"identifiers[1]\" must be an object"),
        (r#"{"identifiers":[{"type":1}]}"#, "\"identifiers[0].type\" must be a string"),
        (r#"{"identifiers":[{"value":"x"}]}"#, "\"identifiers[0].type\" is missing"),
        (r#"{"identifiers":[],"reason":"1"}"#, "\"reason\" must be a whole number"),
        (r#"{"identifiers":[],"reason":1.5}"#, "\"reason\" must be a whole number"),
        (
            r#"{"identifiers":[],"reason":18446744073709551615}"#,
            "\"reason\" must be a whole number within bounds",
        ),
        (r#"{"identifiers":[],"isAgreed":"yes"}"#, "\"isAgreed\" must be true or false"),
        (r#"{"identifiers":[],"oldKey":[]}"#, "\"oldKey\" must be an object"),
    ];
    for (json, expected) in cases {
        assert_eq!(read(json).unwrap_err(), expected, "{json}");
    }
}

#[test]
fn what_is_no_object_is_refused() {
    for json in ["", "[]", "null", "7", "\"{}\"", "[{\"identifiers\":[]}]", "\u{feff}{}"] {
        assert_eq!(read(json).unwrap_err(), "it is no JSON object", "{json:?}");
    }
    assert_eq!(Object::parse(b"{\"a\":\"\xff\"}").unwrap_err().to_string(), "it is not UTF-8");
    for json in ["{", "{}}", "{} x", "{,}", "{\"a\":01}", "{'a':1}", "{\"a\":1e999}", "{\"a\":\"\\ud800\"}"] {
        assert!(read(json).unwrap_err().starts_with("it is not valid JSON, at line 1 column "), "{json}");
    }
}

#[test]
fn a_member_is_there_once_at_any_depth() {
    for json in [
        r#"{"identifiers":[],"identifiers":[]}"#,
        r#"{"identifiers":[],"x":1,"x":2}"#,
        r#"{"identifiers":[],"x":[{"y":1,"\u0079":2}]}"#,
    ] {
        assert!(read(json).unwrap_err().starts_with("it has a member twice"), "{json}");
    }
}

#[test]
fn depth_and_number_of_values_are_bounded() {
    let nested =
        |depth: usize| format!(r#"{{"identifiers":[],"x":{}{}}}"#, "[".repeat(depth), "]".repeat(depth));
    assert!(read(&nested(DEPTH_MAX - 1)).is_ok());
    for depth in [DEPTH_MAX, 10_000, 1_000_000] {
        assert!(read(&nested(depth)).unwrap_err().starts_with("it is nested too deeply"), "{depth}");
    }
    let objects = format!(r#"{{"x":{}1{}}}"#, "{\"y\":".repeat(10_000), "}".repeat(10_000));
    assert!(read(&objects).unwrap_err().starts_with("it is nested too deeply"));
    // The whole and the two members' values count, too.
    let wide = |values: usize| format!(r#"{{"identifiers":[],"x":[{}0]}}"#, "0,".repeat(values - 1));
    assert!(read(&wide(VALUES_MAX - 3)).is_ok());
    assert!(read(&wide(VALUES_MAX - 2)).unwrap_err().starts_with("it has too many values"));
}

/// What serde_json keeps for itself is nothing that a client can say.
#[test]
fn a_string_never_becomes_json() {
    for name in ["RawValue", "Number"] {
        let json =
            format!(r#"{{"identifiers":[],"oldKey":{{"kty":{{"$serde_json::private::{name}":"1"}}}}}}"#);
        assert!(read(&json).unwrap_err().starts_with("it has a member with a reserved name"), "{json}");
    }
}
