//! RFC 8555, section 6.2; RFC 7515: one form of request, and everything else refused before it counts.

use axum::body::Body;
use axum::http::Request;
use ingam_protocol::bytes::{base64url, from_base64url};
use ingam_protocol::der::{Writer, tag};
use serde_json::{Value, json};

use super::scene::{Scene, encoded};
use super::{Row, hold, row};
use crate::answer::jose;

/// The account's POST-as-GET to itself, with its JWS changed.
fn jws(scene: &Scene, change: impl FnOnce(&mut Value)) -> Request<Body> {
    let mut jws = scene.jws();
    change(&mut jws);
    jose(scene.account(), jws.to_string())
}

/// The same with one text put for another in the whole body.
fn text(scene: &Scene, change: impl FnOnce(String) -> String) -> Request<Body> {
    jose(scene.account(), change(scene.jws().to_string()))
}

/// The same with this text for a header, signed.
pub(super) fn header_text(scene: &Scene, header: &str) -> Request<Body> {
    let mut jws = scene.jws();
    jws["protected"] = json!(base64url(header.as_bytes()));
    jose(scene.account(), jws.to_string())
}

fn append(value: &mut Value, text: &str) {
    *value = json!(format!("{}{text}", value.as_str().unwrap()));
}

/// The members of the JWS.
const FORM_ROWS: &[Row] = &[
    row("a flattened JWS", |scene| jws(scene, |_| {}), 200, ""),
    row("a member that nobody knows", |scene| jws(scene, |jws| jws["x"] = json!({ "y": [1] })), 200, ""),
    row(
        "the general form",
        |scene| {
            jws(scene, |jws| {
                let one = json!({ "protected": jws["protected"], "signature": jws["signature"] });
                *jws = json!({ "payload": "", "signatures": [one] });
            })
        },
        400,
        "malformed",
    ),
    row(
        "signatures beside the signature",
        |scene| jws(scene, |jws| jws["signatures"] = json!([])),
        400,
        "malformed",
    ),
    row(
        "the compact form",
        |scene| {
            let jws = scene.jws();
            let part = |name: &str| jws[name].as_str().unwrap().to_owned();
            let compact = format!("{}.{}.{}", part("protected"), part("payload"), part("signature"));
            jose(scene.account(), compact)
        },
        400,
        "malformed",
    ),
    row(
        "an unprotected header",
        |scene| jws(scene, |jws| jws["header"] = json!({ "kid": "x" })),
        400,
        "malformed",
    ),
    row("an empty unprotected header", |scene| jws(scene, |jws| jws["header"] = json!({})), 400, "malformed"),
    row(
        "an unprotected header that is null",
        |scene| jws(scene, |jws| jws["header"] = Value::Null),
        400,
        "malformed",
    ),
    row("no protected header", |scene| jws(scene, |jws| drop(remove(jws, "protected"))), 400, "malformed"),
    row("no payload", |scene| jws(scene, |jws| drop(remove(jws, "payload"))), 400, "malformed"),
    row("no signature", |scene| jws(scene, |jws| drop(remove(jws, "signature"))), 400, "malformed"),
    row("a payload that is null", |scene| jws(scene, |jws| jws["payload"] = Value::Null), 400, "malformed"),
    row(
        "a payload that is an object",
        |scene| jws(scene, |jws| jws["payload"] = json!({})),
        400,
        "malformed",
    )
    .saying("must be a string"),
    row(
        "a member twice",
        |scene| text(scene, |text| text.replacen('{', "{\"payload\":\"\",", 1)),
        400,
        "malformed",
    ),
    row(
        "an unknown member twice",
        |scene| text(scene, |text| text.replacen('{', "{\"x\":1,\"x\":1,", 1)),
        400,
        "malformed",
    )
    .saying("twice"),
    row(
        "the members' values in an array",
        |scene| jws(scene, |jws| *jws = json!([jws["protected"], "", jws["signature"]])),
        400,
        "malformed",
    ),
    row("no body", |scene| jose(scene.account(), ""), 400, "malformed"),
    row("a body that is no JSON", |scene| text(scene, |text| text[1..].to_owned()), 400, "malformed"),
    row("a byte behind the body", |scene| text(scene, |text| text + "}"), 400, "malformed"),
    row("a second JWS behind the first", |scene| text(scene, |text| text.repeat(2)), 400, "malformed"),
    row("a byte order mark", |scene| text(scene, |text| format!("\u{feff}{text}")), 400, "malformed"),
    row("white space around the body", |scene| text(scene, |text| format!("\r\n {text}\t\n")), 200, ""),
    row(
        "a body that is no UTF-8",
        |scene| {
            let mut body = scene.jws().to_string().into_bytes();
            body.splice(1..1, *b"\"\xff\":1,");
            jose(scene.account(), body)
        },
        400,
        "malformed",
    ),
    row(
        "a body of depth 10,000",
        |scene| {
            let deep = format!("{{\"x\":{}{},", "[".repeat(10_000), "]".repeat(10_000));
            text(scene, |text| text.replacen('{', &deep, 1))
        },
        400,
        "malformed",
    )
    .saying("nested too deeply"),
    row(
        "a header of depth 10,000",
        |scene| header_text(scene, &format!("{{\"x\":{}{}}}", "[".repeat(10_000), "]".repeat(10_000))),
        400,
        "malformed",
    )
    .saying("nested too deeply"),
    row(
        "a payload of depth 10,000",
        |scene| {
            let deep = format!("{{\"x\":{}{}}}", "[".repeat(10_000), "]".repeat(10_000));
            scene.by_account("/new-order", deep.as_bytes())
        },
        400,
        "malformed",
    )
    .saying("nested too deeply"),
];

pub(super) fn remove(value: &mut Value, member: &str) -> Value {
    value.as_object_mut().unwrap().remove(member).unwrap()
}

#[test]
fn only_the_flattened_form_is_read() {
    hold(Scene::new(), FORM_ROWS);
}

/// Base64url (RFC 7515, section 2; RFC 8555, section 6.1).
const BASE64URL_ROWS: &[Row] = &[
    row("a padded header", |scene| jws(scene, |jws| append(&mut jws["protected"], "=")), 400, "malformed"),
    row("a padded payload", |scene| jws(scene, |jws| jws["payload"] = json!("e30=")), 400, "malformed"),
    row(
        "a padded signature",
        |scene| jws(scene, |jws| append(&mut jws["signature"], "==")),
        400,
        "malformed",
    ),
    row(
        "white space in the header",
        |scene| jws(scene, |jws| append(&mut jws["protected"], " ")),
        400,
        "malformed",
    ),
    row(
        "white space in the payload",
        |scene| jws(scene, |jws| jws["payload"] = json!("e3 0")),
        400,
        "malformed",
    ),
    row("white space for a payload", |scene| jws(scene, |jws| jws["payload"] = json!(" ")), 400, "malformed"),
    row(
        "a line end in the signature",
        |scene| jws(scene, |jws| append(&mut jws["signature"], "\n")),
        400,
        "malformed",
    ),
    row("the other alphabet", |scene| jws(scene, |jws| jws["signature"] = json!("+/+/")), 400, "malformed"),
    row(
        "bits left over behind the signature",
        // 64 bytes are 86 characters, of which the last carries two bits and four zeros.
        |scene| {
            jws(scene, |jws| {
                let text = jws["signature"].as_str().unwrap().to_owned();
                let (all, last) = text.split_at(85);
                let other = match last {
                    "A" => "B",
                    "Q" => "R",
                    "g" => "h",
                    _ => "x",
                };
                jws["signature"] = json!(format!("{all}{other}"));
            })
        },
        400,
        "malformed",
    )
    .saying("base64url"),
    row(
        "bits left over behind the payload",
        |scene| jws(scene, |jws| jws["payload"] = json!("e31")),
        400,
        "malformed",
    )
    .saying("base64url"),
    row(
        "one character too many",
        |scene| jws(scene, |jws| jws["payload"] = json!("e30AA")),
        400,
        "malformed",
    ),
];

#[test]
fn base64url_has_one_form() {
    hold(Scene::new(), BASE64URL_ROWS);
}

/// Signatures over something else.
const SIGNATURE_ROWS: &[Row] = &[
    row(
        "another key's signature",
        |scene| jose(scene.account(), scene.other.sign(&scene.header(scene.account()), b"").to_string()),
        400,
        "malformed",
    ),
    row(
        "the signature of another payload",
        |scene| {
            let mut jws = scene.key.sign(&scene.header("/new-order"), b"{}");
            jws["payload"] = json!(base64url(b"{\"identifiers\":[]}"));
            jose("/new-order", jws.to_string())
        },
        400,
        "malformed",
    ),
    row(
        "the signature of another header",
        |scene| {
            let mut jws = scene.jws();
            jws["protected"] = json!(encoded(&scene.header(scene.account())));
            jose(scene.account(), jws.to_string())
        },
        400,
        "malformed",
    ),
    row("an empty signature", |scene| jws(scene, |jws| jws["signature"] = json!("")), 400, "malformed"),
    row(
        "a signature of zeros",
        |scene| jws(scene, |jws| jws["signature"] = json!(base64url(&[0; 64]))),
        400,
        "malformed",
    ),
    row(
        "a signature in DER",
        |scene| {
            jws(scene, |jws| {
                let raw = from_base64url(jws["signature"].as_str().unwrap()).unwrap();
                jws["signature"] = json!(base64url(&in_der(&raw)));
            })
        },
        400,
        "malformed",
    ),
    row(
        "a signature with a byte more",
        |scene| {
            jws(scene, |jws| {
                let raw = from_base64url(jws["signature"].as_str().unwrap()).unwrap();
                jws["signature"] = json!(base64url(&[raw.as_slice(), &[0]].concat()));
            })
        },
        400,
        "malformed",
    ),
];

/// An ECDSA signature as X.509 has it: the same numbers, well formed (RFC 3279, section 2.2.3).
fn in_der(raw: &[u8]) -> Vec<u8> {
    let (r, s) = raw.split_at(raw.len() / 2);
    let mut signature = Writer::new();
    signature.wrap(tag::SEQUENCE, |numbers| {
        numbers.unsigned_integer(s);
        numbers.unsigned_integer(r);
    });
    signature.finish()
}

#[test]
fn a_signature_is_for_these_bytes_alone() {
    hold(Scene::new(), SIGNATURE_ROWS);
}
