//! Proves that what nobody should send is refused in the one form that refusals have, changes nothing and breaks nothing:
//! names that are none, bodies too long, too deep, of another type or with members too many, queries that nobody knows,
//! bytes that are no text. And that pages of other sites get nowhere.
//!
//! What is not a failure: which of several mistakes in one request is named.

use std::collections::BTreeMap;

use axum::http::{HeaderValue, Method, header};
use ingam_protocol::operator::Role;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::acts::{CASES, routes, why};
use crate::client::{Ask, get, post};
use crate::world::World;

/// What is put where a name should be, ready for a URL.
const NAMES: [&str; 16] = [
    "x",
    "AAAAAAAAAAAAAAAAAAAAAA",
    "AAAAAAAAAAAAAAAAAAAAAB",
    "%00",
    "%ff%fe",
    "%c3%28",
    "%F0%9F%A6%80",
    "%2e%2e",
    "%2e%2e%2fv1%2froles",
    "..%5c..",
    "%0d%0aset-cookie:%20a",
    "%1b%5b2J",
    "-",
    "%25",
    "0a:0b",
    "null",
];

fn with_name(path: &str, name: &str) -> String {
    let parts = path.split('/').map(|part| if part.starts_with('{') { name } else { part });
    parts.collect::<Vec<_>>().join("/")
}

/// A request with the least that a route asks for.
fn plain(method: &str, path: &str) -> Ask {
    if method == "get" { get(path) } else { post(path, json!({})) }
}

#[test]
fn names_that_are_none_are_refused() {
    let world = World::new();
    let boss = world.somebody(&[Role::Administrator]);
    let long = "a".repeat(5000);
    for (method, path) in routes().iter().filter(|(_, path)| path.contains('{')) {
        for name in NAMES.into_iter().chain([long.as_str()]) {
            let uri = with_name(path, name);
            let before = world.rows();
            for ask in [plain(method, &uri), post(&uri, why()), get(format!("{uri}?reason=ticket"))] {
                let ask = Ask { method: method.to_uppercase().parse().unwrap(), ..ask };
                let answer = world.send(boss, &ask);
                assert!(answer.status.is_client_error(), "{method} {uri}: {}", answer.text());
            }
            assert!(world.rows() == before, "{method} {uri}");
        }
    }
    world.stop();
}

/// Somebody without a right is told no more by a mistake, and it does not grow the log by what was sent.
#[test]
fn what_is_refused_is_on_record_in_bounds() {
    let world = World::new();
    let nobody = world.somebody(&[]);
    let serials: Vec<_> = (0..20_000).map(|_| "0123456789abcdef0123456789abcdef0123").collect();
    let requests = [
        post(
            "/v1/revocations",
            json!({
                "selection": { "serials": serials }, "revocation_reason": "superseded", "per_second": 1,
                "expected": 1, "reason": "x".repeat(1000),
            }),
        ),
        post("/v1/names", json!({ "name": "x".repeat(900_000), "verdict": "block", "reason": "why" })),
        post("/v1/roles/grant", json!({ "principal": "x".repeat(900_000), "role": "y", "reason": "why" })),
        get(format!("/v1/accounts/{}", "x".repeat(60_000))),
        get(format!("/v1/log?reason=why&text={}", "x".repeat(60_000))),
        get("/v1/roles").with("user-agent", &"x".repeat(60_000)),
    ];
    for ask in requests {
        let (answer, told) = world.told(|| world.send(nobody, &ask));
        assert_eq!(answer.problem(), (403, "role-needed".to_owned()));
        assert_eq!(told.len(), 1);
        let bytes = told[0].payload.to_string().len();
        assert!(bytes < 10_000, "{} {} bytes on record", ask.uri.get(..20).unwrap_or_default(), bytes);
    }
    world.stop();
}

fn deep(open: &str, close: &str, depth: usize) -> Vec<u8> {
    [open.repeat(depth), close.repeat(depth)].concat().into_bytes()
}

#[test]
fn bodies_that_are_none_are_refused() {
    let world = World::new();
    let boss = world.somebody(&[Role::Administrator]);
    let bodies: Vec<(&str, Vec<u8>, u16)> = vec![
        ("nothing", Vec::new(), 400),
        ("no JSON", b"reason=why".to_vec(), 400),
        ("cut short", b"{\"reason\": \"why\"".to_vec(), 400),
        ("with more behind", b"{\"reason\": \"why\"} {}".to_vec(), 400),
        ("a number", b"7".to_vec(), 400),
        ("null", b"null".to_vec(), 400),
        ("of another kind", br#"{"reason": 7, "serials": 7, "selection": 7, "name": 7}"#.to_vec(), 400),
        (
            "twice",
            br#"{"reason": "a", "reason": "b", "name": "a", "name": "b", "serials": [], "serials": []}"#
                .to_vec(),
            400,
        ),
        ("no text", b"{\"reason\": \"\xff\xfe\"}".to_vec(), 400),
        ("half a surrogate", br#"{"reason": "\ud800"}"#.to_vec(), 400),
        ("a member too many", br#"{"reason": "why", "unheard-of": 1}"#.to_vec(), 400),
        ("deep lists", deep("[", "]", 100_000), 400),
        ("deep objects", deep("{\"a\":", "}", 100_000), 400),
        ("deep within", [b"{\"selection\":".to_vec(), deep("[", "]", 100_000), b"}".to_vec()].concat(), 400),
        ("a huge number", br#"{"reason": "why", "per_second": 1e999}"#.to_vec(), 400),
        ("too long", vec![b' '; 2 << 20], 413),
        ("too long, and JSON", json!({ "reason": "x".repeat(2 << 20) }).to_string().into_bytes(), 413),
    ];
    for (method, path) in routes().iter().filter(|(method, _)| method == "post") {
        let uri = with_name(path, "AAAAAAAAAAAAAAAAAAAAAA");
        for (what, body, status) in &bodies {
            let ask = Ask { body: body.clone(), ..post(&uri, json!({})) };
            let before = world.rows();
            let (answer, told) = world.told(|| world.send(boss, &ask));
            assert_eq!(answer.problem().0, *status, "{method} {uri}, {what}: {}", answer.text());
            assert!(told.is_empty() && world.rows() == before, "{uri}, {what}");
        }
        for other in
            [None, Some("text/plain"), Some("application/x-www-form-urlencoded"), Some("multipart/form-data")]
        {
            let mut ask = post(&uri, why());
            ask.headers.remove(header::CONTENT_TYPE);
            if let Some(other) = other {
                ask.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(other));
            }
            assert_eq!(
                world.send(boss, &ask).problem(),
                (415, "media-type".to_owned()),
                "{uri} as {other:?}"
            );
        }
    }
    world.stop();
}

#[test]
fn queries_that_nobody_knows_are_refused() {
    let world = World::new();
    let boss = world.somebody(&[Role::Administrator]);
    let with_query = [
        "/v1/accounts",
        "/v1/orders",
        "/v1/certificates",
        "/v1/revocations",
        "/v1/incidents",
        "/v1/keys",
        "/v1/names",
        "/v1/limits/overrides",
        "/v1/approvals",
        "/v1/cases",
        "/v1/log",
        "/v1/log/follow",
    ];
    for path in with_query {
        for (query, status) in [
            ("unheard-of=1", 400),
            ("limit=0", 422),
            ("limit=1001", 422),
            ("limit=-1", 400),
            ("limit=x", 400),
            ("limit=99999999999999999999999", 400),
            ("limit=1&limit=2", 400),
            ("%ff=1", 400),
        ] {
            let reason = if path.starts_with("/v1/log") { "&reason=why" } else { "" };
            let (answer, told) = world.told(|| world.send(boss, &get(format!("{path}?{query}{reason}"))));
            assert_eq!((answer.problem().0, told), (status, Vec::new()), "{path}?{query}: {}", answer.text());
        }
        for nonsense in ["after=%ff", "after=*", "after=AAAAAAAAAAAAAAAAAAAAA*", "after=%00"] {
            if !path.starts_with("/v1/log") && path != "/v1/incidents" {
                let answer = world.send(boss, &get(format!("{path}?{nonsense}")));
                assert_eq!(answer.problem().0, 422, "{path}?{nonsense}: {}", answer.text());
            }
        }
    }
    let refused = BTreeMap::from([
        ("/v1/accounts", "status=new&key=x&created_from=now&created_until=2026-02-30T00:00:00Z"),
        ("/v1/orders", "account=x&status=done&name=*.example.org&created_from=0"),
        (
            "/v1/certificates",
            "serial=0&serial=zz&account=x&key=x&name=localhost&below=.&issuer=%00&issued_from=x&expires_until=1970&status=bad",
        ),
        ("/v1/log", "class=secrets&type=unheard_of&subject=x&from=yesterday&until=x"),
        ("/v1/authorizations", "order=x"),
    ]);
    for (path, query) in refused {
        for part in query.split('&') {
            let reason = if path == "/v1/log" { "&reason=why" } else { "" };
            let (answer, told) = world.told(|| world.send(boss, &get(format!("{path}?{part}{reason}"))));
            assert_eq!((answer.problem().0, told), (422, Vec::new()), "{path}?{part}: {}", answer.text());
        }
    }
    world.stop();
}

#[test]
fn paths_and_methods_that_are_none_are_refused() {
    let world = World::new();
    let boss = world.somebody(&[Role::Administrator]);
    for path in [
        "/v2/accounts",
        "/v1",
        "/v1/",
        "/v1/accounts/",
        "//v1/accounts",
        "/v1/Accounts",
        "/..",
        "/%2e%2e/v1/roles",
    ] {
        assert_eq!(world.send(boss, &get(path)).problem().0, 404, "{path}");
    }
    let known = routes();
    for (_, path) in &known {
        let uri = with_name(path, "AAAAAAAAAAAAAAAAAAAAAA");
        for method in [Method::PUT, Method::DELETE, Method::PATCH, Method::OPTIONS, Method::GET, Method::POST]
        {
            let name = method.as_str().to_lowercase();
            if known.contains(&(name, path.clone())) {
                continue;
            }
            let ask = Ask { method: method.clone(), ..post(&uri, why()) };
            let problem = world.send(boss, &ask).problem();
            assert_eq!(problem, (405, "method-not-allowed".to_owned()), "{method} {uri}");
        }
    }
    world.stop();
}

/// A listener that knows nobody lets nobody in, wherever they go.
#[test]
fn whoever_is_not_known_gets_nowhere() {
    let world = World::new();
    for (method, path) in routes() {
        let uri = with_name(&path, "AAAAAAAAAAAAAAAAAAAAAA");
        let (answer, told) = world.told(|| world.send_of(None, &plain(&method, &uri)));
        assert_eq!((answer.problem().0, told), (403, Vec::new()), "{method} {uri}");
    }
    assert_eq!(world.send_of(None, &get("/openapi.json")).problem().0, 403);
    world.stop();
}

/// What browsers say of where a request comes from: of another site, or by a script of any.
#[test]
fn pages_of_other_sites_get_nowhere() {
    let world = World::new();
    let boss = world.somebody(&[Role::Administrator]);
    let from = |ask: &Ask, headers: &[(&'static str, &str)]| {
        headers.iter().fold(ask.clone(), |ask, (name, value)| ask.with(name, value))
    };
    for case in CASES.iter().filter(|case| case.act != "log.follow") {
        let ask = (case.ask)(&world);
        let by_script: [&[(&'static str, &str)]; 4] = [
            &[("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "no-cors")],
            &[("sec-fetch-site", "same-site"), ("sec-fetch-mode", "cors"), ("origin", "https://a.example")],
            // A link, a form, a frame: the answer is for nobody's eyes, but it would go on record as somebody's act.
            &[("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "iframe")],
            &[
                ("sec-fetch-site", "cross-site"),
                ("sec-fetch-mode", "navigate"),
                ("sec-fetch-dest", "document"),
            ],
        ];
        for headers in by_script {
            let before = world.rows();
            let (answer, told) = world.told(|| world.send(boss, &from(&ask, headers)));
            assert_eq!(answer.problem(), (403, "foreign-page".to_owned()), "{} {headers:?}", case.act);
            assert!(told.is_empty() && world.rows() == before, "{} {headers:?}", case.act);
        }
        if ask.method == Method::POST {
            for origin in ["null", "https://a.example", "http://localhost:8080"] {
                let answer = world.send(boss, &from(&ask, &[("origin", origin)]));
                assert_eq!(answer.problem(), (403, "foreign-page".to_owned()), "{} of {origin}", case.act);
            }
        }
        let answer = world.send(boss, &ask);
        assert_eq!(answer.status, case.done, "{}: tools say nothing of that kind", case.act);
    }
    // A person who follows a link to the pages for people gets there.
    let link =
        [("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")];
    assert_eq!(world.send(boss, &from(&get("/livez"), &link)).status, 200);
    let typed = [("sec-fetch-site", "none"), ("sec-fetch-mode", "navigate")];
    assert_eq!(world.send(boss, &from(&get("/v1/status"), &typed)).status, 200);
    world.stop();
}

fn anything() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "\\PC{0,12}".prop_map(Value::from),
        prop_oneof![Just("superseded"), Just("example.org"), Just("uid:5"), Just("block"), Just("0a0b")]
            .prop_map(Value::from),
    ];
    let key = prop_oneof![
        Just("reason"),
        Just("selection"),
        Just("serials"),
        Just("name"),
        Just("names"),
        Just("verdict"),
        Just("exact"),
        Just("principal"),
        Just("role"),
        Just("label"),
        Just("thumbprint"),
        Just("pem"),
        Just("revocation_reason"),
        Just("per_second"),
        Just("expected"),
        Just("block_key"),
        Just("summary"),
        Just("kind"),
        Just("fields"),
        Just("subjects"),
        Just("incident"),
        Just("below"),
    ];
    leaf.prop_recursive(3, 24, 6, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map(key.clone().prop_map(ToOwned::to_owned), inner, 0..6)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever is sent to whichever route: `client` looks at each answer.
    #[test]
    fn no_body_and_no_query_breaks_anything(
        bodies in proptest::collection::vec(anything(), 8),
        query in "[a-z_]{0,8}=[!-~]{0,20}(&[a-z_]{1,8}=[!-~]{0,20})?",
        name in "[!-.0-~&&[^?#]]{1,30}",
    ) {
        let world = World::new();
        // A keeper, so that no random word takes the last one's right.
        world.somebody(&[Role::Administrator]);
        let boss = world.somebody(&[Role::Administrator]);
        let query: String = query.chars().filter(|c| !"#\"<>\\^`{|}".contains(*c)).collect();
        let name: String = name.chars().filter(|c| !"\"<>\\^`{|}%".contains(*c)).collect();
        let name = if name.is_empty() || name == "." || name == ".." { "x".to_owned() } else { name };
        world.stop_host();
        for (method, path) in routes() {
            let uri = with_name(&path, &name);
            if method == "get" {
                world.send(boss, &get(format!("{uri}?{query}")));
            } else {
                for body in &bodies {
                    world.send(boss, &post(&uri, body.clone()));
                }
            }
        }
        world.stop();
    }
}
