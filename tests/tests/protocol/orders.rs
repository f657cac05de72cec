//! RFC 8555 7.1.3, 7.1.4, 7.4: what may be ordered, and what an order and its authorizations look like.

use ingam_tests::client::{Client, challenge_of};
use serde_json::{Value, json};

use crate::{kept_out, refused_as_one_of, start};

#[tokio::test(flavor = "multi_thread")]
async fn an_order_and_its_authorizations() {
    let (server, mut client) = start().await;
    let mut other = Client::registered(&server.site()).await.expect("an account");

    let order = client.order(&["shape.example.org", "*.shape.example.org"]).await.expect("an order");
    assert_eq!(order.status(), "pending");
    assert!(order.object["expires"].as_str().is_some_and(is_rfc3339), "{}", order.object);
    assert_eq!(order.authorizations().len(), 2, "{}", order.object);
    assert!(order.certificate().is_none(), "no certificate before there is one: {}", order.object);
    let identifiers = order.object["identifiers"].as_array().expect("a list");
    for name in ["shape.example.org", "*.shape.example.org"] {
        assert!(identifiers.contains(&json!({"type": "dns", "value": name})), "{}", order.object);
    }
    assert_eq!(client.order_at(&order.url).await.expect("the order").object["status"], "pending");
    kept_out(other.read(&order.url).await.expect("an answer"));

    for url in order.authorizations() {
        let authorization = client.read(&url).await.expect("an answer").expect(200).json();
        assert_eq!(authorization["status"], "pending");
        assert_eq!(authorization["identifier"]["value"], "shape.example.org", "without the wildcard (7.1.4)");
        let is_wildcard = authorization["wildcard"] == json!(true);
        assert_eq!(challenge_of(&authorization, "http-01").is_some(), !is_wildcard, "{authorization}");
        assert_eq!(challenge_of(&authorization, "tls-alpn-01").is_some(), !is_wildcard, "{authorization}");
        assert!(challenge_of(&authorization, "dns-01").is_some(), "{authorization}");
        for challenge in authorization["challenges"].as_array().expect("a list") {
            let token = challenge["token"].as_str().expect("every challenge has a token");
            assert!(token.len() >= 22, "a token has 128 bits at least (8.1): {challenge}");
            assert_eq!(challenge["status"], "pending");
            kept_out(other.read(challenge["url"].as_str().expect("a URL")).await.expect("an answer"));
        }
        kept_out(other.read(&url).await.expect("an answer"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_nobody_gets() {
    let (_server, mut client) = start().await;
    let url = client.resource("newOrder");
    let (long_label, long_name) =
        (format!("{}.example.org", "a".repeat(64)), format!("{}example.org", "a.".repeat(122)));
    let names = [
        "",
        ".",
        "org",
        "localhost",
        ".example.org",
        "a..example.org",
        "-a.example.org",
        "a-.example.org",
        "a_b.example.org",
        "a b.example.org",
        "a/b.example.org",
        "a\u{0}b.example.org",
        "\u{fc}.example.org",
        "xn--\u{fc}.example.org",
        "xn--99999999.example.org",
        "*.*.example.org",
        "a.*.example.org",
        "a*.example.org",
        "*",
        "*.",
        "192.0.2.1",
        "[2001:db8::1]",
        "2001:db8::1",
        "https://example.org",
        "example.org:443",
        "user@example.org",
        &long_label,
        &long_name,
    ];
    for name in names {
        let payload = json!({"identifiers": [{"type": "dns", "value": name}]});
        let answer = client.post(&url, &payload).await.expect("an answer");
        refused_as_one_of(answer, &["rejectedIdentifier", "malformed"]);
    }
    for kind in ["email", "DNS", ""] {
        let payload = json!({"identifiers": [{"type": kind, "value": "a@example.org"}]});
        client.post(&url, &payload).await.expect("an answer").refused(400, "unsupportedIdentifier");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_bad_name_has_its_own_problem() {
    let (_server, mut client) = start().await;
    let names = ["fine.example.org", "not fine.example.org", "neither-.example.org"];
    let identifiers: Value = names.iter().map(|name| json!({"type": "dns", "value": name})).collect();
    let url = client.resource("newOrder");
    let answer = client.post(&url, &json!({"identifiers": identifiers})).await.expect("an answer");
    let document = refused_as_one_of(answer, &["rejectedIdentifier", "malformed"]);
    let subproblems = document["subproblems"].as_array().expect("a problem for each name (6.7.1)");
    let mut named: Vec<&str> =
        subproblems.iter().filter_map(|one| one["identifier"]["value"].as_str()).collect();
    named.sort_unstable();
    assert_eq!(named, ["neither-.example.org", "not fine.example.org"], "{document}");
    for one in subproblems {
        assert!(
            one["type"].as_str().is_some_and(|kind| kind.starts_with("urn:ietf:params:acme:error:")),
            "{one}"
        );
        assert!(one["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{one}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn how_many_names_and_how_they_are_written() {
    let (_server, mut client) = start().await;
    let url = client.resource("newOrder");

    let order = client.order(&["Twice.Example.ORG", "twice.example.org"]).await.expect("an order");
    assert_eq!(order.object["identifiers"], json!([{"type": "dns", "value": "twice.example.org"}]));
    assert_eq!(order.authorizations().len(), 1);

    client.post(&url, &json!({"identifiers": []})).await.expect("an answer").refused(400, "malformed");
    client.post(&url, &json!({})).await.expect("an answer").refused(400, "malformed");
    let many: Vec<String> = (0..101).map(|number| format!("{number}.many.example.org")).collect();
    let hundred: Vec<&str> = many[..100].iter().map(String::as_str).collect();
    let order = client.order(&hundred).await.expect("a hundred names are fine here");
    assert_eq!(order.authorizations().len(), 100);
    let identifiers: Value = many.iter().map(|name| json!({"type": "dns", "value": name})).collect();
    let answer = client.post(&url, &json!({"identifiers": identifiers})).await.expect("an answer");
    refused_as_one_of(answer, &["malformed", "rejectedIdentifier"]);
    let order =
        client.order(&["under.test", "a.b.c.d.e.f.example"]).await.expect("special-use names are fine here");
    assert_eq!(order.status(), "pending");
}

#[tokio::test(flavor = "multi_thread")]
async fn profiles_and_dates() {
    let (_server, mut client) = start().await;
    let url = client.resource("newOrder");
    let with = |name: &str, value: Value| {
        let mut payload = json!({"identifiers": [{"type": "dns", "value": "profile.example.org"}]});
        payload[name] = value;
        payload
    };
    let answer = client.post(&url, &with("profile", json!("no-such-profile"))).await.expect("an answer");
    answer.refused(400, "invalidProfile");
    let profiles = client.directory()["meta"]["profiles"].clone();
    for profile in profiles.as_object().expect("profiles in meta").keys() {
        let answer =
            client.post(&url, &with("profile", json!(profile))).await.expect("an answer").expect(201);
        assert_eq!(answer.json()["profile"], json!(profile), "an order shows its profile: {answer}");
    }
    for date in ["yesterday", "2016-13-01T00:00:00Z", "0"] {
        let answer = client.post(&url, &with("notAfter", json!(date))).await.expect("an answer");
        refused_as_one_of(answer, &["malformed"]);
    }
    // What was asked for is honoured within the profile's bounds or refused, never ignored.
    let answer =
        client.post(&url, &with("notAfter", json!("2999-01-01T00:00:00Z"))).await.expect("an answer");
    refused_as_one_of(answer, &["malformed"]);
}

/// `YYYY-MM-DDTHH:MM:SS` and a zone.
fn is_rfc3339(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() >= 20 && bytes[4] == b'-' && bytes[7] == b'-' && bytes[10] == b'T' && bytes[13] == b':'
}
