//! Proves what RFC 8555, section 6, asks of every request and answer, and what the front end does with requests that
//! never reach the authority. That each answer has its headers and each refusal its document is checked in `answer`,
//! for every request of this file.

use axum::body::{Body, Bytes};
use axum::http::request::Builder;
use axum::http::{Method, Request};
use ingam_protocol::Reason;
use ingam_protocol::bytes::base64url;
use ingam_protocol::key::PublicKey;
use ingam_protocol::operator::Principal;
use ingam_store::{KeyBlock, KeyName};
use serde_json::{Value, json};

use crate::answer::{plain, post, send};
use crate::client::{Key, ask, key_change, nonce, path, protected, register};
use crate::world::{PUBLIC_URL, Process, World, hierarchy};

fn process() -> (World, Process) {
    let world = World::new(hierarchy(), 1);
    let process = world.start();
    (world, process)
}

/// Every resource that takes POST alone, with ids that nothing has.
const POSTS: [&str; 18] = [
    "/new-account",
    "/new-authz",
    "/account/AAAAAAAAAAAAAAAAAAAAAA",
    "/account/AAAAAAAAAAAAAAAAAAAAAA/orders",
    "/key-change",
    "/new-order",
    "/new-order-dry-run",
    "/validation-dry-run",
    "/unpause",
    "/privacy/report",
    "/privacy/report/records",
    "/privacy/erase",
    "/order/AAAAAAAAAAAAAAAAAAAAAA",
    "/order/AAAAAAAAAAAAAAAAAAAAAA/finalize",
    "/authorization/AAAAAAAAAAAAAAAAAAAAAA",
    "/challenge/AAAAAAAAAAAAAAAAAAAAAA/http-01",
    "/certificate/ecdsa/40",
    "/revoke-cert",
];

#[test]
fn the_directory_names_every_resource_and_one_that_nobody_knows() {
    let (_world, process) = process();
    let answer = plain(&process, Method::GET, "/dir");
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), "application/json");
    assert!(answer.links().is_empty() && answer.header("replay-nonce").is_empty());
    let directory = answer.json();
    for (name, path) in [
        ("newNonce", "/new-nonce"),
        ("newAccount", "/new-account"),
        ("newOrder", "/new-order"),
        ("newAuthz", "/new-authz"),
        ("newOrderDryRun", "/new-order-dry-run"),
        ("validationDryRun", "/validation-dry-run"),
        ("revokeCert", "/revoke-cert"),
        ("keyChange", "/key-change"),
        ("renewalInfo", "/renewal-info"),
    ] {
        assert_eq!(directory[name], format!("{PUBLIC_URL}{path}"));
    }
    let meta = json!({
        "externalAccountRequired": false,
        "profiles": { "classic": "ninety days" },
        "unpause": "https://ca.test/unpause",
        "privacy": { "report": "https://ca.test/privacy/report", "erase": "https://ca.test/privacy/erase" },
        "website": "https://www.ca.test",
        "caaIdentities": ["ca.test"],
    });
    assert_eq!(directory["meta"], meta);
    let unknown = |directory: &Value| -> Vec<String> {
        let known = [
            "newNonce",
            "newAccount",
            "newOrder",
            "newAuthz",
            "newOrderDryRun",
            "validationDryRun",
            "revokeCert",
            "keyChange",
            "renewalInfo",
            "meta",
        ];
        let keys = directory.as_object().unwrap().keys();
        keys.filter(|key| !known.contains(&key.as_str())).cloned().collect()
    };
    let first = unknown(&directory);
    assert_eq!(first.len(), 1);
    assert_ne!(unknown(&plain(&process, Method::GET, "/dir").json()), first, "it changes each time");
    assert_eq!(plain(&process, Method::HEAD, "/dir").status, 200);
    process.stop();
}

#[test]
fn new_nonce_answers_head_and_get() {
    let (_world, process) = process();
    for (method, status) in [(Method::HEAD, 200), (Method::GET, 204)] {
        let first = plain(&process, method.clone(), "/new-nonce");
        assert_eq!(first.status, status);
        assert_eq!(first.header("cache-control"), "no-store");
        assert!(first.body.is_empty());
        let second = plain(&process, method, "/new-nonce");
        assert_ne!(first.header("replay-nonce"), second.header("replay-nonce"));
        assert!(first.header("replay-nonce").len() >= 22, "128 bits at least, in base64url");
    }
    process.stop();
}

#[test]
fn other_methods_are_refused_with_the_ones_that_work() {
    let (_world, process) = process();
    for path in POSTS {
        for method in [Method::GET, Method::HEAD, Method::PUT, Method::DELETE, Method::PATCH] {
            let answer = plain(&process, method.clone(), path);
            assert_eq!((answer.status.as_u16(), answer.header("allow")), (405, "POST"), "{method} {path}");
            assert!(answer.header("replay-nonce").is_empty(), "no nonce where none is needed");
        }
    }
    for path in ["/dir", "/new-nonce"] {
        for method in [Method::POST, Method::PUT] {
            let answer = plain(&process, method.clone(), path);
            assert_eq!(
                (answer.status.as_u16(), answer.header("allow")),
                (405, "GET, HEAD"),
                "{method} {path}"
            );
        }
    }
    process.stop();
}

#[test]
fn another_media_type_is_refused() {
    let (_world, process) = process();
    for path in POSTS {
        for media in [None, Some("application/json"), Some("application/jose"), Some("text/plain")] {
            let mut request = Request::post(path);
            if let Some(media) = media {
                request = request.header("content-type", media);
            }
            let answer = send(&process, request.body(Body::from("{}")).unwrap());
            assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (415, "malformed"), "{path}");
        }
    }
    let parameters =
        Request::post("/new-account").header("content-type", "Application/JOSE+json; charset=utf-8");
    let answer = send(&process, parameters.body(Body::from("{}")).unwrap());
    assert_eq!(answer.status, 400, "case and parameters do not matter");
    process.stop();
}

#[test]
fn a_body_over_the_limit_is_refused_by_its_word_and_by_its_length() {
    let (world, process) = process();
    let max = world.config.body_bytes_max;
    let told = Request::post("/new-account")
        .header("content-type", "application/jose+json")
        .header("content-length", (max + 1).to_string());
    // The body is never there: the word alone is enough.
    assert_eq!(send(&process, told.body(Body::empty()).unwrap()).status, 413);

    let chunk = Bytes::from(vec![b' '; 1000]);
    let chunks = (0..=max / 1000).map(move |_| Ok::<_, std::io::Error>(chunk.clone()));
    let streamed = Body::from_stream(futures_util::stream::iter(chunks));
    assert_eq!(post(&process, "/new-account", streamed).status, 413);

    let broken = vec![Ok(Bytes::from_static(b"{")), Err(std::io::Error::other("the client has gone"))];
    let broken = Body::from_stream(futures_util::stream::iter(broken));
    assert_eq!(post(&process, "/new-account", broken).status, 400);

    let fits = post(&process, "/new-account", vec![b' '; max]);
    assert_eq!((fits.status.as_u16(), fits.problem().as_str()), (400, "malformed"));
    process.stop();
}

#[test]
fn what_is_not_there_is_404() {
    let (_world, process) = process();
    for path in ["/", "/directory", "/dir/", "/order", "/order/", "/order/a/b/c", "/new-account/x", "/%00"] {
        for method in [Method::GET, Method::POST] {
            assert_eq!(plain(&process, method, path).status, 404, "{path}");
        }
    }
    let key = Key::new();
    let kid = register(&process, &key);
    let unknown = POSTS.iter().filter(|path| {
        let of_others = ["/order/", "/authorization/", "/challenge/", "/certificate/"];
        of_others.iter().any(|prefix| path.starts_with(prefix))
    });
    for path in unknown {
        let payload = if path.ends_with("finalize") { json!({ "csr": "AA" }) } else { Value::Null };
        assert_eq!(ask(&process, &key, Some(&kid), path, &payload).status, 404, "{path}");
    }
    for path in
        ["/order/short", "/authorization/+", "/challenge/AAAAAAAAAAAAAAAAAAAAAA/http-02", "/certificate/a/zz"]
    {
        assert_eq!(ask(&process, &key, Some(&kid), path, &Value::Null).status, 404, "{path}");
    }
    process.stop();
}

#[test]
fn any_page_may_talk_to_the_ca() {
    let (_world, process) = process();
    for path in POSTS.iter().chain(&["/dir", "/new-nonce"]) {
        let request = Request::builder()
            .method(Method::OPTIONS)
            .uri(*path)
            .header("origin", "https://page.example")
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", "content-type");
        let answer = send(&process, request.body(Body::empty()).unwrap());
        assert!(answer.status.is_success(), "{path}");
        assert!(answer.header("access-control-allow-methods").contains("POST"));
        assert!(answer.header("access-control-allow-headers").eq_ignore_ascii_case("content-type"));
        let exposed = answer.header("access-control-expose-headers");
        for name in ["Link", "Location", "Replay-Nonce", "Retry-After"] {
            assert!(exposed.contains(name), "{exposed}");
        }
    }
    let exposed = plain(&process, Method::GET, "/dir");
    assert!(exposed.header("access-control-expose-headers").contains("Replay-Nonce"));
    process.stop();
}

#[test]
fn hsts_is_sent_where_it_is_configured() {
    let (mut world, process) = process();
    assert_eq!(plain(&process, Method::GET, "/dir").header("strict-transport-security"), "");
    process.stop();
    world.config.hsts_max_age_s = Some(31_536_000);
    let process = world.start();
    let answer = plain(&process, Method::GET, "/dir");
    assert_eq!(answer.header("strict-transport-security"), "max-age=31536000");
    process.stop();
}

#[test]
fn a_nonce_is_good_once_and_for_this_process_alone() {
    let (world, process) = process();
    let key = Key::new();
    let kid = register(&process, &key);
    let old = nonce(&process);
    let body = |nonce: &str| {
        let header = protected(&key, Some(&kid), nonce, path(&kid));
        key.sign(&header, b"").to_string()
    };
    let request = body(&old);
    assert_eq!(post(&process, path(&kid), request.clone()).status, 200);
    let replayed = post(&process, path(&kid), request);
    assert_eq!((replayed.status.as_u16(), replayed.problem().as_str()), (400, "badNonce"));
    // The refusal brings a nonce along that works.
    let fresh = replayed.header("replay-nonce").to_owned();
    assert_eq!(post(&process, path(&kid), body(&fresh)).status, 200);
    for bad in ["", "AAAA", &base64url(&[7; 28]), &format!("{}A", nonce(&process))] {
        assert_eq!(post(&process, path(&kid), body(bad)).problem(), "badNonce", "{bad:?}");
    }
    let mut header = protected(&key, Some(&kid), "", path(&kid));
    header.as_object_mut().unwrap().remove("nonce");
    assert_eq!(post(&process, path(&kid), key.sign(&header, b"").to_string()).problem(), "badNonce");

    let unused = nonce(&process);
    process.stop();
    let process = world.start();
    assert_eq!(post(&process, path(&kid), body(&unused)).problem(), "badNonce", "a restart replays nothing");
    process.stop();
}

#[test]
fn every_answer_with_a_nonce_brings_one_that_is_good_once() {
    let (_world, process) = process();
    let key = Key::new();
    let kid = register(&process, &key);
    let get = |method| plain(&process, method, "/new-nonce").header("replay-nonce").to_owned();
    let problem = |path: &str, body: &str| {
        let answer = post(&process, path, body.to_owned());
        assert!(answer.status.is_client_error(), "{path}");
        answer.header("replay-nonce").to_owned()
    };
    let another_media = plain(&process, Method::POST, "/new-order");
    let nonces = [
        get(Method::HEAD),
        get(Method::GET),
        ask(&process, &key, Some(&kid), path(&kid), &Value::Null).header("replay-nonce").to_owned(),
        another_media.header("replay-nonce").to_owned(),
        problem("/new-order", "no json"),
        problem("/nowhere", "{}"),
        problem("/dir", "{}"),
    ];
    for nonce in nonces {
        let header = protected(&key, Some(&kid), &nonce, path(&kid));
        let request = key.sign(&header, b"").to_string();
        assert_eq!(post(&process, path(&kid), request.clone()).status, 200);
        assert_eq!(post(&process, path(&kid), request).problem(), "badNonce");
    }
    process.stop();
}

/// The node that made it may be gone: whoever gets it refuses it, and gives one of its own.
#[test]
fn a_nonce_of_another_node_brings_a_fresh_one() {
    let (_world, process) = process();
    let other_world = World::new(hierarchy(), 2);
    let other = other_world.start();
    let foreign = nonce(&other);
    other.stop();
    let key = Key::new();
    let kid = register(&process, &key);
    let body = |nonce: &str| key.sign(&protected(&key, Some(&kid), nonce, path(&kid)), b"").to_string();
    let refused = post(&process, path(&kid), body(&foreign));
    assert_eq!((refused.status.as_u16(), refused.problem().as_str()), (400, "badNonce"));
    assert_eq!(post(&process, path(&kid), body(refused.header("replay-nonce"))).status, 200);
    process.stop();
}

/// What proxies or clients say of host and scheme changes no link, and no URL that has to be signed.
#[test]
fn the_public_url_is_the_configured_one_whatever_a_request_says() {
    let (_world, process) = process();
    let says = |request: Builder| {
        request
            .header("host", "elsewhere.example")
            .header("x-forwarded-host", "elsewhere.example")
            .header("x-forwarded-proto", "http")
            .header("x-forwarded-prefix", "/acme")
            .header("forwarded", "host=elsewhere.example;proto=http")
    };
    let directory = send(&process, says(Request::get("/dir")).body(Body::empty()).unwrap()).json();
    assert_eq!(directory["newOrder"], format!("{PUBLIC_URL}/new-order"));
    let key = Key::new();
    let header = protected(&key, None, &nonce(&process), "/new-account");
    let request = says(Request::post("/new-account")).header("content-type", "application/jose+json");
    let answer = send(&process, request.body(Body::from(key.sign(&header, b"{}").to_string())).unwrap());
    assert_eq!(answer.status, 201);
    assert!(answer.header("location").starts_with(PUBLIC_URL));
    // There is no path before it: a proxy that adds one is answered 404, and one that takes one away is told what to sign.
    assert_eq!(plain(&process, Method::GET, "/acme/dir").status, 404);
    let mut header = protected(&key, None, &nonce(&process), "/new-account");
    header["url"] = json!(format!("{PUBLIC_URL}/acme/new-account"));
    let refused = post(&process, "/new-account", key.sign(&header, b"{}").to_string());
    assert_eq!((refused.status.as_u16(), refused.problem().as_str()), (401, "unauthorized"));
    assert!(refused.json()["detail"].as_str().unwrap().contains(&format!("{PUBLIC_URL}/new-account")));
    process.stop();
}

#[test]
fn a_request_in_the_clear_from_afar_is_told_where_to_begin() {
    let (_world, process) = process();
    for (method, path) in [(Method::GET, "/dir"), (Method::HEAD, "/new-nonce"), (Method::POST, "/new-order")]
    {
        let mut request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
        request.extensions_mut().insert(ingam_frontend::InTheClear);
        let answer = send(&process, request);
        assert_eq!(answer.status, 403);
        if !answer.body.is_empty() {
            assert_eq!(answer.problem(), "unauthorized");
            assert!(answer.json()["detail"].as_str().unwrap().contains(&format!("{PUBLIC_URL}/dir")));
        }
    }
    process.stop();
}

#[test]
fn certificates_are_given_by_get_where_that_is_configured() {
    let (mut world, process) = process();
    let path = "/certificate/ecdsa/40";
    assert_eq!(plain(&process, Method::GET, path).header("allow"), "POST");
    process.stop();
    world.config.certificates_by_get = true;
    let process = world.start();
    for missing in [path, "/certificate/nobody/40", "/certificate/ecdsa/zz", "/certificate/ECDSA/40"] {
        assert_eq!(plain(&process, Method::GET, missing).status, 404, "{missing}");
    }
    assert_eq!(plain(&process, Method::PUT, path).header("allow"), "GET, HEAD, POST");
    let picky = Request::get(path).header("accept", "application/pkix-cert").body(Body::empty()).unwrap();
    assert_eq!(send(&process, picky).status, 406);
    process.stop();
}

#[test]
fn a_request_for_another_url_is_unauthorized() {
    let (_world, process) = process();
    let key = Key::new();
    let kid = register(&process, &key);
    let others =
        ["/new-account", "/dir", "/account", &format!("{}?a=b", path(&kid)), &format!("{}/", path(&kid))];
    for other in others {
        let header = protected(&key, Some(&kid), &nonce(&process), other);
        let answer = post(&process, path(&kid), key.sign(&header, b"").to_string());
        assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (401, "unauthorized"), "{other}");
    }
    // The nonce of a request for another URL was not used up: whoever sent it by mistake may repeat it.
    let nonce = nonce(&process);
    let misled = protected(&key, Some(&kid), &nonce, "/new-order");
    post(&process, path(&kid), key.sign(&misled, b"").to_string());
    let right = protected(&key, Some(&kid), &nonce, path(&kid));
    assert_eq!(post(&process, path(&kid), key.sign(&right, b"").to_string()).status, 200);
    process.stop();
}

#[test]
fn an_unknown_account_is_400_and_a_deactivated_one_401() {
    let (_world, process) = process();
    let key = Key::new();
    let kid = register(&process, &key);
    let foreign = format!("{PUBLIC_URL}/account/AAAAAAAAAAAAAAAAAAAAAA");
    for unknown in [foreign.as_str(), "", "https://elsewhere.test/account/AAAAAAAAAAAAAAAAAAAAAA", path(&kid)]
    {
        let answer = ask(&process, &key, Some(unknown), "/new-order", &json!({}));
        assert_eq!(
            (answer.status.as_u16(), answer.problem().as_str()),
            (400, "accountDoesNotExist"),
            "{unknown}"
        );
    }
    let missing = ask(&process, &Key::new(), None, "/new-account", &json!({ "onlyReturnExisting": true }));
    assert_eq!((missing.status.as_u16(), missing.problem().as_str()), (400, "accountDoesNotExist"));

    let ended = ask(&process, &key, Some(&kid), path(&kid), &json!({ "status": "deactivated" }));
    assert_eq!((ended.status.as_u16(), &ended.json()["status"]), (200, &json!("deactivated")));
    for asked in [path(&kid), "/new-order", "/revoke-cert", "/key-change"] {
        let answer = ask(&process, &key, Some(&kid), asked, &json!({}));
        assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (401, "unauthorized"), "{asked}");
    }
    process.stop();
}

/// An operator blocked the account's key: nothing is done for it any more, and nothing told of its account.
#[test]
fn a_blocked_account_key_is_refused_everywhere() {
    let (_world, process) = process();
    let key = Key::new();
    let kid = register(&process, &key);
    let public = PublicKey::from_jwk(key.jwk().as_object().unwrap()).unwrap();
    let block = KeyBlock {
        hash: public.thumbprint().as_slice().into(),
        named_by: KeyName::Thumbprint,
        at: process.authority.clock().now(),
        reason: Reason::KeyCompromise,
        serial: None,
        by: Some(Principal::User(1)),
        comment: None,
        source: None,
    };
    assert!(process.run(process.store.key_block_insert(block, Vec::new())).unwrap());
    for asked in [path(&kid), "/new-order", "/revoke-cert", "/key-change"] {
        let answer = ask(&process, &key, Some(&kid), asked, &json!({}));
        assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (401, "unauthorized"), "{asked}");
    }
    for wish in [json!({}), json!({ "onlyReturnExisting": true })] {
        let answer = ask(&process, &key, None, "/new-account", &wish);
        assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (400, "badPublicKey"));
        assert_eq!(answer.header("location"), "");
    }
    process.stop();
}

#[test]
fn who_signs_and_how_is_checked() {
    let (_world, process) = process();
    let (key, other) = (Key::new(), Key::new());
    let kid = register(&process, &key);
    let others = register(&process, &other);
    let by_kid = ask(&process, &key, Some(&kid), "/new-account", &json!({}));
    assert_eq!(by_kid.problem(), "malformed", "newAccount brings its key along");
    let by_key = ask(&process, &key, None, "/new-order", &json!({ "identifiers": [] }));
    assert_eq!(by_key.problem(), "malformed", "newOrder does not");
    let wrong_key = ask(&process, &other, Some(&kid), path(&kid), &Value::Null);
    assert_eq!(wrong_key.problem(), "malformed");
    let foreign = ask(&process, &other, Some(&others), path(&kid), &Value::Null);
    assert_eq!((foreign.status.as_u16(), foreign.problem().as_str()), (403, "unauthorized"));

    let mut header = protected(&key, Some(&kid), &nonce(&process), path(&kid));
    header["alg"] = json!("HS256");
    let answer = post(&process, path(&kid), key.sign(&header, b"").to_string());
    assert_eq!(answer.problem(), "badSignatureAlgorithm");
    assert!(answer.json()["algorithms"].as_array().unwrap().contains(&json!("ES256")));

    let mut header = protected(&key, None, &nonce(&process), "/new-account");
    header["jwk"]["x"] = json!(base64url(&[1; 32]));
    let answer = post(&process, "/new-account", key.sign(&header, b"{}").to_string());
    assert_eq!(answer.problem(), "badPublicKey");
    process.stop();
}

#[test]
fn a_key_change_that_would_take_anothers_key_names_that_account() {
    let (_world, process) = process();
    let (key, other, new) = (Key::new(), Key::new(), Key::new());
    let kid = register(&process, &key);
    let others = register(&process, &other);
    let change =
        |from: &Key, to: &Key| ask(&process, from, Some(&kid), "/key-change", &key_change(from, to, &kid));
    let conflict = change(&key, &other);
    assert_eq!((conflict.status.as_u16(), conflict.header("location")), (409, others.as_str()));
    assert_eq!(change(&key, &new).status, 200);
    assert_eq!(ask(&process, &key, Some(&kid), path(&kid), &Value::Null).problem(), "malformed");
    let again = ask(&process, &new, None, "/new-account", &json!({}));
    assert_eq!((again.status.as_u16(), again.header("location")), (200, kid.as_str()));
    process.stop();
}

#[test]
fn orders_are_listed_page_by_page() {
    let (_world, process) = process();
    let key = Key::new();
    let kid = register(&process, &key);
    let mut made = Vec::new();
    for number in 0..103 {
        let wish = json!({ "identifiers": [{ "type": "dns", "value": format!("n{number}.example.org") }] });
        let answer = ask(&process, &key, Some(&kid), "/new-order", &wish);
        assert_eq!(answer.status, 201);
        made.push(answer.header("location").to_owned());
    }
    let mut listed = Vec::new();
    let mut next = Some(format!("{}/orders", path(&kid)));
    while let Some(page) = next {
        let answer = ask(&process, &key, Some(&kid), &page, &Value::Null);
        assert_eq!(answer.status, 200);
        let orders = answer.json()["orders"].as_array().unwrap().clone();
        listed.extend(orders.iter().map(|url| url.as_str().unwrap().to_owned()));
        let link = answer.links().into_iter().find(|link| link.ends_with("rel=\"next\"")).map(str::to_owned);
        next = link.map(|link| path(link.split(['<', '>']).nth(1).unwrap()).to_owned());
    }
    made.sort();
    listed.sort();
    assert_eq!(listed, made, "each once");
    process.stop();
}
/// What axum itself would refuse with a document of its own.
#[test]
fn a_path_or_query_that_cannot_be_read_is_a_problem_too() {
    let (_world, process) = process();
    for path in
        ["/order/%ff", "/certificate/%ff/40", "/challenge/%ff/http-01", "/account/a/orders?after=1&after=2"]
    {
        let answer = post(&process, path, "{}");
        assert!(answer.status.is_client_error(), "{path}");
    }
    process.stop();
}
