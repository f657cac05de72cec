//! RFC 8555, sections 7.1.2 and 7.3 but for key changes: accounts from their making to their end.

use axum::http::Method;
use ingam_protocol::Clock;
use serde_json::{Value, json};

use super::scene::{Scene, wish};
use super::{Row, hold, row};
use crate::answer::{plain, send};
use crate::client::{Key, ask, path, register};
use crate::world::HOUR;

const NEW_ACCOUNT_ROWS: &[Row] = &[
    row("newAccount by kid", |scene| scene.by_account("/new-account", b"{}"), 400, "malformed"),
    row(
        "newAccount as POST-as-GET",
        |scene| scene.by_key(&scene.other, "/new-account", b""),
        400,
        "malformed",
    ),
    row(
        "newAccount with an array",
        |scene| scene.by_key(&scene.other, "/new-account", b"[[],true]"),
        400,
        "malformed",
    ),
    row(
        "newAccount with null",
        |scene| scene.by_key(&scene.other, "/new-account", b"null"),
        400,
        "malformed",
    ),
    row(
        "newAccount with half an object",
        |scene| scene.by_key(&scene.other, "/new-account", b"{"),
        400,
        "malformed",
    ),
    row(
        "newAccount with bytes behind it",
        |scene| scene.by_key(&scene.other, "/new-account", b"{}x"),
        400,
        "malformed",
    ),
    row(
        "only existing accounts, and there is none",
        |scene| scene.by_key(&scene.other, "/new-account", b"{\"onlyReturnExisting\":true}"),
        400,
        "accountDoesNotExist",
    ),
    row(
        "consent that is no boolean",
        |scene| scene.by_key(&scene.other, "/new-account", b"{\"termsOfServiceAgreed\":\"yes\"}"),
        400,
        "malformed",
    )
    .saying("must be true or false"),
    row(
        "a contact that is no list",
        |scene| scene.by_key(&scene.other, "/new-account", b"{\"contact\":\"mailto:a@example.org\"}"),
        400,
        "malformed",
    )
    .saying("must be an array"),
    row(
        "a contact that is a list",
        |scene| scene.by_key(&scene.other, "/new-account", b"{\"contact\":[[\"mailto:a@example.org\"]]}"),
        400,
        "malformed",
    )
    .saying("must be a string"),
    row(
        "a telephone for a contact",
        |scene| scene.by_key(&scene.other, "/new-account", b"{\"contact\":[\"tel:+12025551212\"]}"),
        400,
        "unsupportedContact",
    ),
    row(
        "a contact without a scheme",
        |scene| scene.by_key(&scene.other, "/new-account", b"{\"contact\":[\"a@example.org\"]}"),
        400,
        "unsupportedContact",
    ),
    row(
        "a mail address with header fields",
        |scene| {
            scene.by_key(&scene.other, "/new-account", b"{\"contact\":[\"mailto:a@example.org?subject=x\"]}")
        },
        400,
        "invalidContact",
    ),
    row(
        "two mail addresses in one contact",
        |scene| {
            scene.by_key(
                &scene.other,
                "/new-account",
                b"{\"contact\":[\"mailto:a@example.org,b@example.org\"]}",
            )
        },
        400,
        "invalidContact",
    ),
    row(
        "more contacts than are kept",
        |scene| {
            let contacts = json!({ "contact": ["mailto:a@example.org", "mailto:b@example.org", "mailto:c@example.org"] });
            scene.by_key(&scene.other, "/new-account", contacts.to_string().as_bytes())
        },
        400,
        "malformed",
    ),
    row("a new account", |scene| scene.by_key(&scene.other, "/new-account", b"{}"), 201, ""),
    row("the same key again", |scene| scene.by_key(&scene.other, "/new-account", b"{}"), 200, ""),
    row(
        "the same key, whatever else is said",
        |scene| scene.by_key(&scene.other, "/new-account", b"{\"contact\":[\"tel:1\"]}"),
        200,
        "",
    ),
    row(
        "only existing accounts, and there is one",
        |scene| scene.by_key(&scene.other, "/new-account", b"{\"onlyReturnExisting\":true}"),
        200,
        "",
    ),
];

#[test]
fn an_account_is_made_from_a_key() {
    hold(Scene::new(), NEW_ACCOUNT_ROWS);
}

const UPDATE_ROWS: &[Row] = &[
    row("an account read", |scene| scene.by_account(scene.account(), b""), 200, ""),
    row("an account read with an empty object", |scene| scene.by_account(scene.account(), b"{}"), 200, ""),
    row(
        "an account's status that is none",
        |scene| scene.by_account(scene.account(), b"{\"status\":\"revoked\"}"),
        400,
        "malformed",
    ),
    row(
        "an account's status that is a number",
        |scene| scene.by_account(scene.account(), b"{\"status\":1}"),
        400,
        "malformed",
    )
    .saying("must be a string"),
    row(
        "new contacts that are none",
        |scene| scene.by_account(scene.account(), b"{\"contact\":[\"tel:1\"]}"),
        400,
        "unsupportedContact",
    ),
    row("an account with an array", |scene| scene.by_account(scene.account(), b"[]"), 400, "malformed"),
    row(
        "an account at its URL with a jwk",
        |scene| scene.by_key(&scene.key, scene.account(), b""),
        400,
        "malformed",
    ),
    row(
        "the account of somebody else",
        |scene| {
            let others = register(&scene.process, &Key::new());
            scene.by_account(path(&others), b"")
        },
        403,
        "unauthorized",
    ),
    row(
        "the orders of somebody else",
        |scene| {
            let others = register(&scene.process, &Key::new());
            scene.by_account(&format!("{}/orders", path(&others)), b"")
        },
        403,
        "unauthorized",
    ),
    row(
        "the list of orders with an object",
        |scene| scene.by_account(&format!("{}/orders", scene.account()), b"{}"),
        400,
        "malformed",
    ),
    row("the list of orders", |scene| scene.by_account(&format!("{}/orders", scene.account()), b""), 200, ""),
];

#[test]
fn an_account_is_read_and_changed_by_its_holder() {
    hold(Scene::new(), UPDATE_ROWS);
}

/// RFC 8555, section 7.3: values that are the server's to set are ignored, and so is what nobody knows.
#[test]
fn what_a_client_may_not_set_is_ignored() {
    let scene = Scene::new();
    let wish = json!({ "orders": "https://elsewhere.test/", "status": "deactivated", "createdAt": 1, "x": { "y": [] } });
    let made = ask(&scene.process, &scene.other, None, "/new-account", &wish);
    assert_eq!(made.status, 201, "{made:?}");
    let kid = made.header("location").to_owned();
    let account = made.json();
    assert_eq!((&account["status"], &account["orders"]), (&json!("valid"), &json!(format!("{kid}/orders"))));
    assert!(account.get("x").is_none());
    let update = json!({ "orders": "https://elsewhere.test/", "x": 1, "contact": ["mailto:a@example.org"] });
    let changed = ask(&scene.process, &scene.other, Some(&kid), path(&kid), &update);
    assert_eq!(changed.json()["orders"], format!("{kid}/orders"));
    assert_eq!(changed.json()["contact"], json!(["mailto:a@example.org"]));
    let taken_away = ask(&scene.process, &scene.other, Some(&kid), path(&kid), &json!({ "contact": [] }));
    assert_eq!(taken_away.json()["contact"], json!([]));
    scene.process.stop();
}

/// RFC 8555, sections 7.3 and 7.3.3.
#[test]
fn terms_of_service_have_to_be_agreed_to() {
    let terms = "https://www.ca.test/terms";
    let scene = Scene::changed(|world| world.policy.terms_of_service = Some(terms.to_owned()));
    for wish in [json!({}), json!({ "termsOfServiceAgreed": false })] {
        let refused = ask(&scene.process, &scene.other, None, "/new-account", &wish);
        assert_eq!((refused.status.as_u16(), refused.problem().as_str()), (403, "userActionRequired"));
        assert_eq!(refused.json()["instance"], terms);
        assert!(
            refused.links().contains(&format!("<{terms}>;rel=\"terms-of-service\"").as_str()),
            "{refused:?}"
        );
    }
    let directory = plain(&scene.process, Method::GET, "/dir").json();
    assert_eq!(directory["meta"]["termsOfService"], terms);
    let agreed =
        ask(&scene.process, &scene.other, None, "/new-account", &json!({ "termsOfServiceAgreed": true }));
    assert_eq!((agreed.status.as_u16(), &agreed.json()["termsOfServiceAgreed"]), (201, &json!(true)));
    scene.process.stop();
}

/// RFC 8555, section 7.3.3: whoever agreed to other terms is told where the new ones are, until they agree to them.
#[test]
fn changed_terms_have_to_be_agreed_to_again() {
    let terms = "https://www.ca.test/terms/2";
    let scene = Scene::changed(|world| {
        world.policy.terms_of_service = Some(terms.to_owned());
        world.policy.terms_since = Some(world.clock.now().plus(HOUR));
    });
    scene.world.clock.advance(HOUR);
    let order = wish(&["a.example.org"]);
    let refused = scene.ask("/new-order", &order);
    assert_eq!((refused.status.as_u16(), refused.problem().as_str()), (403, "userActionRequired"));
    assert_eq!(refused.json()["instance"], terms);
    assert!(refused.links().contains(&format!("<{terms}>;rel=\"terms-of-service\"").as_str()), "{refused:?}");
    assert_eq!(scene.done(scene.account(), &json!({ "termsOfServiceAgreed": true })).status, 200);
    assert_eq!(scene.ask("/new-order", &order).status, 201);
    scene.process.stop();
}

/// RFC 8555, section 7.3.6: with the very next request, for every resource, for good.
#[test]
fn a_deactivated_account_can_do_nothing() {
    let scene = Scene::new();
    let order = scene.ready(&["a.example.org"]);
    let (certificate, der) = scene.certificate(&Key::new(), &["b.example.org"]);
    let ended = scene.done(scene.account(), &json!({ "status": "deactivated" }));
    assert_eq!((ended.status.as_u16(), &ended.json()["status"]), (200, &json!("deactivated")));
    assert_eq!(ended.json()["contact"], json!([]));
    let csr = Key::new().csr(&order.names);
    let requests = [
        (scene.account().to_owned(), Value::Null),
        (scene.account().to_owned(), json!({ "status": "valid" })),
        (format!("{}/orders", scene.account()), Value::Null),
        ("/new-order".to_owned(), wish(&["c.example.org"])),
        (order.path.clone(), Value::Null),
        (order.authorizations[0].clone(), Value::Null),
        (order.finalize(), json!({ "csr": csr })),
        (certificate, Value::Null),
        ("/revoke-cert".to_owned(), json!({ "certificate": der })),
        ("/key-change".to_owned(), json!({})),
    ];
    for (at, payload) in requests {
        let answer = scene.ask(&at, &payload);
        assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (401, "unauthorized"), "{at}");
    }
    for wish in [&b"{}"[..], b"{\"onlyReturnExisting\":true}"] {
        let again = send(&scene.process, scene.by_key(&scene.key, "/new-account", wish));
        assert_eq!((again.status.as_u16(), again.problem().as_str()), (401, "unauthorized"));
    }
    scene.process.stop();
}
