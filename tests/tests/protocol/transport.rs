//! RFC 8555 6.1, 6.4, 6.5, 6.7, 7.1.1, 7.2: what holds for every request.

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Method, Request};
use ingam_tests::client::JOSE;
use ingam_tests::http::Answer;
use serde_json::json;

use crate::{refused_as_one_of, start};

async fn plain(client: &mut ingam_tests::client::Client, method: Method, url: &str) -> Answer {
    let request = Request::builder().method(method).uri(url).body(Full::default()).expect("a request");
    client.connection().send(request).await.expect("an answer")
}

#[track_caller]
fn has_index_link(answer: &Answer, directory: &str) {
    let links = answer.header_all("link");
    let index = links.iter().any(|link| link.contains(directory) && link.contains("rel=\"index\""));
    assert!(index, "every resource but the directory links to it (7.1): {answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn directory_nonces_and_headers() {
    let (server, mut client) = start().await;
    let directory = server.site().directory;

    let answer = client.connection().get(&directory).await.expect("an answer").expect(200);
    assert!(answer.header("content-type").starts_with("application/json"), "{answer}");
    assert_eq!(answer.header("access-control-allow-origin"), "*", "browsers may be clients (6.1): {answer}");
    assert_eq!(answer.header("replay-nonce"), "", "a GET that needs no nonce gets none: {answer}");
    let object = answer.json();
    for resource in ["newNonce", "newAccount", "newOrder", "revokeCert", "keyChange"] {
        assert!(
            object[resource].as_str().is_some_and(|url| url.starts_with("https://")),
            "{resource}: {object}"
        );
    }
    assert!(object["meta"]["profiles"].is_object(), "profiles are offered in meta: {object}");
    let known =
        ["newNonce", "newAccount", "newOrder", "newAuthz", "revokeCert", "keyChange", "renewalInfo", "meta"];
    let unknown = object.as_object().expect("an object").keys().any(|key| !known.contains(&key.as_str()));
    assert!(unknown, "a random key teaches clients to ignore what they do not know: {object}");

    let new_nonce = client.resource("newNonce");
    let head = plain(&mut client, Method::HEAD, &new_nonce).await.expect(200);
    let get = plain(&mut client, Method::GET, &new_nonce).await.expect(204);
    for answer in [&head, &get] {
        assert!(answer.header("cache-control").contains("no-store"), "a nonce is not cached (7.2): {answer}");
        assert!(!answer.header("replay-nonce").is_empty(), "{answer}");
        has_index_link(answer, &directory);
        let exposed = answer.header("access-control-expose-headers").to_ascii_lowercase();
        for name in ["link", "location", "replay-nonce", "retry-after"] {
            assert!(exposed.contains(name), "{name} is for scripts to see (6.1): {answer}");
        }
    }
    assert_ne!(head.header("replay-nonce"), get.header("replay-nonce"), "no nonce is given twice");

    let order = client.order(&["headers.example.org"]).await.expect("an order");
    let answer = client.read(&order.url).await.expect("an answer").expect(200);
    has_index_link(&answer, &directory);
    assert!(!answer.header("replay-nonce").is_empty(), "every answer to a POST has a nonce (6.5): {answer}");
    let url = client.resource("newOrder");
    let answer = client.post(&url, &json!({"identifiers": []})).await.expect("an answer");
    assert!(!answer.header("replay-nonce").is_empty(), "errors included: {answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn methods_media_types_and_sizes() {
    let (_server, mut client) = start().await;
    let url = client.resource("newOrder");

    for method in [Method::GET, Method::PUT, Method::DELETE] {
        let answer = plain(&mut client, method.clone(), &url).await;
        assert_eq!(answer.status, 405, "{method} newOrder: {answer}");
        assert!(answer.header("allow").contains("POST"), "405 says what is allowed: {answer}");
    }
    for kind in ["application/json", "text/plain", "application/x-www-form-urlencoded"] {
        let sending = client.request(&url).payload(json!({})).content_type(kind);
        sending.send().await.expect("an answer").refused(415, "malformed");
    }

    let huge = vec![b'a'; 4 << 20];
    let answer = client.request(&url).body(huge).send().await;
    // A server may close the connection in the middle of such a body, which is an answer too.
    if let Ok(answer) = answer {
        refused_as_one_of(answer.expect(413), &["malformed"]);
    }
    client.order(&["still.here.example.org"]).await.expect("the server goes on");

    let path = format!("{}/no/such/place", url);
    let answer = client.request(&path).payload(json!({})).send().await.expect("an answer");
    assert_eq!(answer.status, 404, "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_are_no_jws() {
    let (_server, mut client) = start().await;
    let url = client.resource("newOrder");
    let whole =
        client.request(&url).payload(json!({"identifiers": []})).jws().await.expect("a JWS").to_string();

    for length in [0, 1, whole.len() / 3, whole.len() / 2, whole.len() - 1] {
        let part = Bytes::copy_from_slice(&whole.as_bytes()[..length]);
        client.request(&url).body(part).send().await.expect("an answer").refused(400, "malformed");
    }
    let bodies: [&[u8]; 9] = [
        b"null",
        b"[]",
        b"{}",
        b"\xff\xfe\x00",
        b"{\"protected\":1,\"payload\":2,\"signature\":3}",
        b"{\"protected\":\"\",\"payload\":\"\",\"signature\":\"\"}",
        b"{\"protected\":\"e30\",\"payload\":\"e30\",\"signature\":\"e30\"}",
        b"{\"protected\":\"bm8ganNvbg\",\"payload\":\"\",\"signature\":\"\"}",
        b"{\"payload\":\"e30\",\"signatures\":[]}",
    ];
    for body in bodies {
        let answer = client.request(&url).body(Bytes::from_static(body)).send().await.expect("an answer");
        let document = refused_as_one_of(answer, &["malformed", "badSignatureAlgorithm", "badNonce"]);
        assert!(document["detail"].is_string(), "{document}");
    }
    let nested = format!("{}{}", "[".repeat(50_000), "]".repeat(50_000));
    client.request(&url).body(nested).send().await.expect("an answer").refused(400, "malformed");

    // A payload that is signed as it should be, and is no JSON of this resource.
    for payload in
        [json!(null), json!([]), json!("text"), json!({"identifiers": "x"}), json!({"identifiers": [1]})]
    {
        client.post(&url, &payload).await.expect("an answer").refused(400, "malformed");
    }
    let request = Request::post(&url).header("content-type", JOSE).body(Full::default()).expect("a request");
    client.connection().send(request).await.expect("an answer").refused(400, "malformed");
}
