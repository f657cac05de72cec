//! RFC 8555 6.2 to 6.5: who signed what, for which URL, and that nothing is heard twice.

use ingam_tests::client::Client;
use ingam_tests::jws::{Key, base64url, signed};
use serde_json::{Map, json};

use crate::{refused_as_one_of, start, stranger};

#[tokio::test(flavor = "multi_thread")]
async fn a_nonce_is_good_once() {
    let (_server, mut client) = start().await;
    let url = client.account();

    let nonce = client.nonce().await.expect("a nonce");
    client.request(&url).header("nonce", json!(nonce)).send().await.expect("an answer").expect(200);
    let invented = base64url([7; 24]);
    for bad in [nonce.as_str(), "", "not base64url!", "AAAA", &invented] {
        let answer = client.request(&url).header("nonce", json!(bad)).send().await.expect("an answer");
        let fresh = answer.header("replay-nonce").to_owned();
        // What is no base64url at all is malformed by 6.5.1; everything else is a nonce that is not good.
        refused_as_one_of(
            answer.expect(400),
            if bad.contains('!') { &["malformed", "badNonce"] } else { &["badNonce"] },
        );
        assert!(!fresh.is_empty(), "badNonce comes with a nonce that is good");
        client.request(&url).header("nonce", json!(fresh)).send().await.expect("an answer").expect(200);
    }
    let answer = client.request(&url).without("nonce").send().await.expect("an answer").expect(400);
    refused_as_one_of(answer, &["badNonce", "malformed"]);

    // The same bytes again are a replay, whatever is in them.
    let body = client.request(&url).jws().await.expect("a JWS").to_string();
    client.request(&url).body(body.clone()).send().await.expect("an answer").expect(200);
    client.request(&url).body(body).send().await.expect("an answer").refused(400, "badNonce");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_for_its_own_url() {
    let (_server, mut client) = start().await;
    let url = client.resource("newOrder");
    let payload = json!({"identifiers": [{"type": "dns", "value": "url.example.org"}]});

    let others = [
        client.resource("newAccount"),
        url.replace("https:", "http:"),
        format!("{url}/"),
        format!("{url}?a"),
    ];
    for other in others {
        let sending = client.request(&url).payload(payload.clone()).header("url", json!(other));
        sending.send().await.expect("an answer").refused(401, "unauthorized");
    }
    let answer =
        client.request(&url).payload(payload.clone()).without("url").send().await.expect("an answer");
    refused_as_one_of(answer, &["malformed", "unauthorized"]);
    client.post(&url, &payload).await.expect("an answer").expect(201);
}

#[tokio::test(flavor = "multi_thread")]
async fn algorithms() {
    let (_server, mut client) = start().await;
    let url = client.account();
    for algorithm in ["HS256", "none", "RS1", "PS256", ""] {
        let answer = client.request(&url).header("alg", json!(algorithm)).send().await.expect("an answer");
        let document = answer.refused(400, "badSignatureAlgorithm");
        let offered = document["algorithms"].as_array().expect("a list of algorithms (6.2)");
        for known in ["RS256", "ES256", "EdDSA"] {
            assert!(offered.contains(&json!(known)), "{known} is on offer: {document}");
        }
    }
    // An algorithm that we know, though not that of the account's key.
    let answer = client.request(&url).header("alg", json!("RS256")).send().await.expect("an answer");
    refused_as_one_of(answer, &["badSignatureAlgorithm", "malformed"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_identity_a_request() {
    let (server, mut client) = start().await;
    let (account, new_account, new_order) =
        (client.account(), client.resource("newAccount"), client.resource("newOrder"));
    let jwk = client.key().jwk();
    let payload = json!({"identifiers": [{"type": "dns", "value": "who.example.org"}]});

    let both = client.request(&new_order).payload(payload.clone()).header("jwk", jwk);
    both.send().await.expect("an answer").refused(400, "malformed");
    let neither = client.request(&new_order).payload(payload.clone()).without("kid");
    neither.send().await.expect("an answer").refused(400, "malformed");
    let key_only = client.request(&new_order).payload(payload.clone()).with_jwk();
    key_only.send().await.expect("an answer").refused(400, "malformed");
    let account_only = client.request(&new_account).payload(json!({"termsOfServiceAgreed": true}));
    account_only.send().await.expect("an answer").refused(400, "malformed");

    let unknown = format!("{}0", account);
    for kid in [unknown.as_str(), "https://localhost/elsewhere/1", "", "1"] {
        let sending = client.request(&new_order).payload(payload.clone()).header("kid", json!(kid));
        let answer = sending.send().await.expect("an answer").expect(400);
        refused_as_one_of(answer, &["accountDoesNotExist", "malformed"]);
    }
    let sending = client.request(&new_order).payload(payload.clone()).header("kid", json!(unknown));
    sending.send().await.expect("an answer").refused(400, "accountDoesNotExist");

    // Somebody else's signature under our account's name.
    let other = stranger(&server).await;
    let sending = client.request(&new_order).payload(payload).signed_by(other.key());
    refused_as_one_of(sending.send().await.expect("an answer"), &["malformed", "unauthorized"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn flattened_json_and_nothing_else() {
    let (_server, mut client) = start().await;
    let url = client.account();

    let sound = client.request(&url).jws().await.expect("a JWS");
    let mut unprotected = sound.clone();
    unprotected["header"] = json!({"alg": "ES256"});
    let mut general = sound.clone();
    general["signatures"] = json!([{"protected": sound["protected"], "signature": sound["signature"]}]);
    let mut padded = sound.clone();
    padded["signature"] = json!(format!("{}==", sound["signature"].as_str().expect("a text")));
    let mut spaced = sound.clone();
    spaced["protected"] = json!(format!("{}\n", sound["protected"].as_str().expect("a text")));
    let mut foreign = sound.clone();
    foreign["payload"] = json!(base64url("{}"));
    let trailing = format!("{sound} {{}}");
    for body in
        [unprotected, general, padded, spaced].map(|jws| jws.to_string()).into_iter().chain([trailing])
    {
        client.request(&url).body(body).send().await.expect("an answer").refused(400, "malformed");
    }
    let answer = client.request(&url).body(foreign.to_string()).send().await.expect("an answer");
    refused_as_one_of(answer, &["malformed", "unauthorized"]);

    for (name, value) in [("crit", json!(["exp"])), ("b64", json!(false))] {
        let sending = client.request(&url).header(name, value);
        sending.send().await.expect("an answer").refused(400, "malformed");
    }
    let too_short = base64url([1; 63]);
    for signature in ["", "AAAA", &too_short] {
        let answer = client.request(&url).signature(signature).send().await.expect("an answer");
        refused_as_one_of(answer, &["malformed", "unauthorized"]);
    }
    client.read(&url).await.expect("an answer").expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_nobody_should_have() {
    let (server, _client) = start().await;
    let mut client = stranger(&server).await;
    let sound = client.key().jwk();
    let off_curve = json!({"kty": "EC", "crv": "P-256", "x": sound["y"], "y": sound["x"]});
    let unknown_curve = json!({"kty": "EC", "crv": "P-192", "x": sound["x"], "y": sound["y"]});
    let symmetric = json!({"kty": "oct", "k": "AAAA"});
    let small = json!({"kty": "RSA", "n": base64url([0xFF; 128]), "e": "AQAB"});
    let even = json!({"kty": "RSA", "n": base64url([0xFE; 256]), "e": "AQAB"});
    let cubed = json!({"kty": "RSA", "n": base64url([0xFF; 256]), "e": "Aw"});
    for jwk in [off_curve, unknown_curve, symmetric, json!({}), json!("key")] {
        let answer = new_account_with(&mut client, "ES256", jwk).await;
        refused_as_one_of(answer.expect(400), &["badPublicKey", "malformed", "badSignatureAlgorithm"]);
    }
    for jwk in [small, even, cubed] {
        new_account_with(&mut client, "RS256", jwk).await.refused(400, "badPublicKey");
    }
}

/// The answer to a newAccount that shows this key, under a signature of another.
async fn new_account_with(
    client: &mut Client,
    algorithm: &str,
    jwk: serde_json::Value,
) -> ingam_tests::http::Answer {
    let url = client.resource("newAccount");
    let nonce = client.nonce().await.expect("a nonce");
    let mut protected = Map::new();
    protected.insert("alg".into(), algorithm.into());
    protected.insert("jwk".into(), jwk);
    protected.insert("nonce".into(), nonce.into());
    protected.insert("url".into(), url.clone().into());
    let jws = signed(&Key::es256(), &protected, Some(&json!({"termsOfServiceAgreed": true})));
    client.request(&url).body(jws.to_string()).send().await.expect("an answer")
}
