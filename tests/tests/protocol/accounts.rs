//! RFC 8555 7.1.2, 7.1.2.1 and 7.3: accounts from their making to their end.

use ingam_tests::client::Client;
use ingam_tests::jws::{Key, signed};
use ingam_tests::openssl::rsa_key;
use ingam_tests::server::Server;
use serde_json::{Map, Value, json};

use crate::{issue, kept_out, refused_as_one_of, start, stranger, web};

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_key_gets_a_certificate() {
    let server = Server::start().await;
    let (openssl, prover) = (server.openssl(), web(&server).await);
    let keys = [Key::es256(), Key::eddsa(), Key::rs256_from(&rsa_key().await)];
    for key in keys {
        let name = format!("{}.keys.example.org", key.algorithm().to_ascii_lowercase());
        let mut client = Client::new(&server.site(), key).await.expect("a directory");
        client.register().await.expect("an account");
        let issued = issue(&mut client, &[&name], &prover).await;
        openssl.verify(&issued.chain, &[&name]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn made_once_and_found_again() {
    let (server, mut client) = start().await;
    let url = client.account();

    let answer =
        client.new_account(json!({"termsOfServiceAgreed": true})).await.expect("an answer").expect(200);
    assert_eq!(answer.header("location"), url, "a known key leads to its account (7.3.1)");
    assert_eq!(answer.json()["status"], "valid");
    assert_eq!(client.find_account().await.expect("the account"), url);

    let mut nobody = stranger(&server).await;
    let answer = nobody.new_account(json!({"onlyReturnExisting": true})).await.expect("an answer");
    answer.refused(400, "accountDoesNotExist");
    let answer =
        nobody.new_account(json!({"termsOfServiceAgreed": true})).await.expect("an answer").expect(201);
    let location = answer.header("location").to_owned();
    assert!(!location.is_empty() && location != url, "a new key is a new account: {answer}");
    assert_eq!(answer.json()["status"], "valid");
    assert!(answer.json()["orders"].is_string(), "an account has a list of orders (7.1.2): {answer}");

    nobody.set_account(Some(location));
    kept_out(nobody.read(&url).await.expect("an answer"));
}

#[tokio::test(flavor = "multi_thread")]
async fn contacts() {
    let (server, mut client) = start().await;
    let url = client.account();
    let bad = [
        (json!(["tel:+15551234"]), "unsupportedContact"),
        (json!(["https://example.org/me"]), "unsupportedContact"),
        (json!(["mailto:a@example.org,b@example.org"]), "invalidContact"),
        (json!(["mailto:a@example.org?subject=x"]), "invalidContact"),
        (json!(["mailto:nobody"]), "invalidContact"),
    ];
    for (contact, problem) in &bad {
        let payload = json!({"termsOfServiceAgreed": true, "contact": contact});
        let mut nobody = stranger(&server).await;
        nobody.new_account(payload).await.expect("an answer").refused(400, problem);
        client.post(&url, &json!({"contact": contact})).await.expect("an answer").refused(400, problem);
    }
    let payload = json!({"contact": ["mailto:owner@example.org"]});
    client.post(&url, &payload).await.expect("an answer").expect(200);
    client.post(&url, &json!({"contact": []})).await.expect("an answer").expect(200);
    client
        .post(&url, &json!({"contact": "mailto:owner@example.org"}))
        .await
        .expect("an answer")
        .refused(400, "malformed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deactivated_account_does_nothing_more() {
    let (_server, mut client) = start().await;
    let url = client.account();
    let order = client.order(&["gone.example.org"]).await.expect("an order");

    let answer = client.post(&url, &json!({"status": "deactivated"})).await.expect("an answer").expect(200);
    assert_eq!(answer.json()["status"], "deactivated");
    for resource in [url, order.url.clone()] {
        client.read(&resource).await.expect("an answer").refused(401, "unauthorized");
    }
    let new_order = client.resource("newOrder");
    let payload = json!({"identifiers": [{"type": "dns", "value": "again.example.org"}]});
    client.post(&new_order, &payload).await.expect("an answer").refused(401, "unauthorized");
    // Its key makes no second account either; with which status, 7.3.6 says only of requests in the account's name.
    for payload in [json!({"termsOfServiceAgreed": true}), json!({"onlyReturnExisting": true})] {
        let answer = client.new_account(payload).await.expect("an answer");
        assert!([401, 403].contains(&answer.status), "{answer}");
        refused_as_one_of(answer, &["unauthorized"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_list_of_orders() {
    let (server, mut client) = start().await;
    let account = client.read(&client.account()).await.expect("an answer").expect(200).json();
    let list = account["orders"].as_str().expect("an account has a list of orders").to_owned();
    assert_eq!(client.read(&list).await.expect("an answer").expect(200).json()["orders"], json!([]));

    let mut made = Vec::new();
    for number in 0..3 {
        made.push(client.order(&[&format!("{number}.list.example.org")]).await.expect("an order").url);
    }
    let listed = client.read(&list).await.expect("an answer").expect(200).json();
    let listed: Vec<&str> =
        listed["orders"].as_array().expect("a list").iter().filter_map(Value::as_str).collect();
    for url in &made {
        assert!(listed.contains(&url.as_str()), "{url} is on the list: {listed:?}");
    }
    let mut other = Client::registered(&server.site()).await.expect("an account");
    kept_out(other.read(&list).await.expect("an answer"));
}

#[tokio::test(flavor = "multi_thread")]
async fn key_rollover() {
    let (server, mut client) = start().await;
    let taken = Client::registered(&server.site()).await.expect("an account");
    let (account, url) = (client.account(), client.resource("keyChange"));

    // A key that has an account already is a conflict, and the answer says whose (7.3.5).
    let inner = rollover(taken.key(), &url, &account, &client.key().jwk());
    let answer = client.post(&url, &inner).await.expect("an answer").expect(409);
    assert_eq!(answer.header("location"), taken.account(), "{answer}");

    let new = Key::es256();
    let wrong = [
        rollover(&new, &url, &taken.account(), &client.key().jwk()),
        rollover(&new, &url, &account, &taken.key().jwk()),
        rollover(&new, &client.resource("newOrder"), &account, &client.key().jwk()),
    ];
    for inner in wrong {
        let answer = client.post(&url, &inner).await.expect("an answer");
        refused_as_one_of(answer, &["malformed", "unauthorized"]);
    }
    client.post(&url, &json!({})).await.expect("an answer").refused(400, "malformed");

    let inner = rollover(&new, &url, &account, &client.key().jwk());
    client.post(&url, &inner).await.expect("an answer").expect(200);
    let answer = client.read(&account).await.expect("an answer");
    refused_as_one_of(answer, &["malformed", "unauthorized"]);
    client.set_key(new);
    client.read(&account).await.expect("an answer").expect(200);
    assert_eq!(client.find_account().await.expect("the account"), account, "the same account by its new key");
}

/// The inner JWS of a key change: by the new key, about the account and its old key, without a nonce.
fn rollover(new: &Key, url: &str, account: &str, old: &Value) -> Value {
    let mut protected = Map::new();
    protected.insert("alg".into(), new.algorithm().into());
    protected.insert("jwk".into(), new.jwk());
    protected.insert("url".into(), url.into());
    signed(new, &protected, Some(&json!({"account": account, "oldKey": old})))
}
