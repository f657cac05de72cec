//! RFC 8555, section 7.6; BR 4.9.1.1: who may revoke, why, once or for a proven compromise twice, and what a key that its
//! holder called compromised is good for afterwards.

use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};

use super::scene::{Scene, encoded};
use super::{Row, hold, row};
use crate::answer::send;
use crate::client::{Key, ask, key_change, path, register};

/// A revocation by the account of a new certificate of its own.
fn own(scene: &Scene, reason: &Value) -> Request<Body> {
    let (_, der) = scene.certificate(&Key::new(), &["a.example.org"]);
    let wish = json!({ "certificate": der, "reason": reason });
    scene.by_account("/revoke-cert", wish.to_string().as_bytes())
}

fn certificate(scene: &Scene, certificate: &Value) -> Request<Body> {
    scene.by_account("/revoke-cert", json!({ "certificate": certificate }).to_string().as_bytes())
}

const FORM_ROWS: &[Row] = &[
    row("revokeCert as POST-as-GET", |scene| scene.by_account("/revoke-cert", b""), 400, "malformed"),
    row(
        "revokeCert without a certificate",
        |scene| scene.by_account("/revoke-cert", b"{}"),
        400,
        "malformed",
    )
    .saying("is missing"),
    row("a certificate that is a number", |scene| certificate(scene, &json!(1)), 400, "malformed")
        .saying("must be a string"),
    row("a padded certificate", |scene| certificate(scene, &json!("AAA=")), 400, "malformed"),
    row(
        "a certificate that is no DER",
        |scene| certificate(scene, &json!(encoded(&json!({})))),
        400,
        "malformed",
    ),
    row("a reason that is a word", |scene| own(scene, &json!("superseded")), 400, "malformed")
        .saying("must be a whole number"),
    row("a reason that is a fraction", |scene| own(scene, &json!(1.5)), 400, "malformed")
        .saying("must be a whole number"),
    row("the reason cACompromise", |scene| own(scene, &json!(2)), 400, "badRevocationReason"),
    row("the reason certificateHold", |scene| own(scene, &json!(6)), 400, "badRevocationReason"),
    row("the reason that is none", |scene| own(scene, &json!(7)), 400, "badRevocationReason"),
    row("the reason removeFromCRL", |scene| own(scene, &json!(8)), 400, "badRevocationReason"),
    row("the reason privilegeWithdrawn", |scene| own(scene, &json!(9)), 400, "badRevocationReason"),
    row("a reason below all", |scene| own(scene, &json!(-1)), 400, "badRevocationReason"),
    row("a reason of no octet", |scene| own(scene, &json!(257)), 400, "badRevocationReason"),
    row("no reason", |scene| own(scene, &Value::Null), 200, ""),
    row("the reason keyCompromise", |scene| own(scene, &json!(1)), 200, ""),
    row("the reason affiliationChanged", |scene| own(scene, &json!(3)), 200, ""),
    row("the reason superseded", |scene| own(scene, &json!(4)), 200, ""),
    row("the reason cessationOfOperation", |scene| own(scene, &json!(5)), 200, ""),
];

#[test]
fn a_revocation_is_of_known_shape_and_for_a_known_reason() {
    hold(Scene::new(), FORM_ROWS);
}

/// By the account that ordered it, by one that holds all names, by the certificate's key; by nobody else.
#[test]
fn three_ways_lead_to_a_revocation() {
    let scene = Scene::new();
    let names = ["a.example.org", "b.example.org"];
    let keys = [Key::new(), Key::new(), Key::new()];
    let certificates = keys.each_ref().map(|key| scene.certificate(key, &names).1);
    let wish = |der: &String| json!({ "certificate": der, "reason": 4 });
    let revoke = |key: &Key, kid: Option<&str>, der: &String| {
        ask(&scene.process, key, kid, "/revoke-cert", &wish(der))
    };
    let others = register(&scene.process, &scene.other);
    let refused = revoke(&scene.other, Some(&others), &certificates[1]);
    assert_eq!((refused.status.as_u16(), refused.problem().as_str()), (403, "unauthorized"));
    let half = scene.order_of(&scene.other, &others, &names[..1]);
    scene.prove(&scene.other, &others, &half);
    assert_eq!(revoke(&scene.other, Some(&others), &certificates[1]).problem(), "unauthorized", "one of two");
    for key in [&scene.other, &keys[0], &scene.key] {
        let refused = revoke(key, None, &certificates[2]);
        assert_eq!((refused.status.as_u16(), refused.problem().as_str()), (403, "unauthorized"));
    }

    assert_eq!(revoke(&scene.key, Some(&scene.kid), &certificates[0]).status, 200);
    let rest = scene.order_of(&scene.other, &others, &names[1..]);
    scene.prove(&scene.other, &others, &rest);
    assert_eq!(revoke(&scene.other, Some(&others), &certificates[1]).status, 200);
    assert_eq!(revoke(&keys[2], None, &certificates[2]).status, 200);
    for der in &certificates {
        let again = revoke(&scene.key, Some(&scene.kid), der);
        assert_eq!((again.status.as_u16(), again.problem().as_str()), (400, "alreadyRevoked"));
    }
    scene.process.stop();
}

/// BR 4.9.1.1: the reason changes once more, if the key itself says so.
#[test]
fn a_revocation_is_repeated_for_a_proven_compromise_alone() {
    let scene = Scene::new();
    let key = Key::new();
    let (_, der) = scene.certificate(&key, &["a.example.org"]);
    let wish = |reason: u8| json!({ "certificate": der, "reason": reason });
    let by_account = |reason| scene.ask("/revoke-cert", &wish(reason));
    let by_key = |reason| ask(&scene.process, &key, None, "/revoke-cert", &wish(reason));
    assert_eq!(by_account(4).status, 200);
    assert_eq!(by_account(1).problem(), "alreadyRevoked", "said, not proven");
    assert_eq!(by_key(4).problem(), "alreadyRevoked", "proven, and nothing new");
    assert_eq!(by_key(1).status, 200);
    assert_eq!(by_key(1).problem(), "alreadyRevoked");
    scene.process.stop();
}

/// In CSRs, for new accounts, for accounts that change to it, and for the account that has it.
#[test]
fn a_key_that_was_called_compromised_is_never_taken_again() {
    let scene = Scene::new();
    let key = Key::new();
    let (_, der) = scene.certificate(&key, &["a.example.org"]);
    // The same key has an account of its own, and an order there that only waits for its CSR.
    let kid = register(&scene.process, &key);
    let theirs = scene.order_of(&key, &kid, &["b.example.org"]);
    scene.prove(&key, &kid, &theirs);
    let wish = json!({ "certificate": der, "reason": 1 });
    assert_eq!(ask(&scene.process, &key, None, "/revoke-cert", &wish).status, 200);

    let order = scene.ready(&["c.example.org"]);
    let refused = scene.ask(&order.finalize(), &json!({ "csr": key.csr(&order.names) }));
    assert_eq!((refused.status.as_u16(), refused.problem().as_str()), (400, "badCSR"));
    assert_eq!(scene.done(&order.path, &Value::Null).json()["status"], "ready", "the order is not to blame");

    let refused = scene.ask("/key-change", &key_change(&scene.key, &key, &scene.kid));
    assert_eq!((refused.status.as_u16(), refused.problem().as_str()), (400, "badPublicKey"));
    for wish in [&b"{}"[..], b"{\"onlyReturnExisting\":true}"] {
        let refused = send(&scene.process, scene.by_key(&key, "/new-account", wish));
        assert_eq!((refused.status.as_u16(), refused.problem().as_str()), (400, "badPublicKey"));
    }
    let csr = json!({ "csr": Key::new().csr(&theirs.names) });
    let change = key_change(&key, &Key::new(), &kid);
    let requests = [
        (path(&kid), Value::Null),
        (theirs.path.as_str(), Value::Null),
        ("/key-change", change),
        (&theirs.finalize(), csr),
    ];
    for (at, payload) in requests {
        let refused = ask(&scene.process, &key, Some(&kid), at, &payload);
        assert_eq!((refused.status.as_u16(), refused.problem().as_str()), (401, "unauthorized"), "{at}");
    }
    scene.process.stop();
}
