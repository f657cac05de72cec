//! RFC 8555 7.6: who may revoke, what for, and that a strange request revokes nothing.

use ingam_tests::client::{CertificateRequest, Client, revocation};
use ingam_tests::jws::{Key, base64url};
use serde_json::json;

use crate::{issue, refused_as_one_of, start, stranger, web};

#[tokio::test(flavor = "multi_thread")]
async fn by_the_account_key() {
    let (server, mut client) = start().await;
    let (openssl, prover) = (server.openssl(), web(&server).await);
    let issued = issue(&mut client, &["account.revoke.example.org"], &prover).await;
    let leaf = issued.chain.leaf();

    for reason in [2, 6, 7, 8, 9, 10, 11, 99] {
        client.revoke(leaf, Some(reason)).await.expect("an answer").refused(400, "badRevocationReason");
    }
    openssl.status(&issued.chain).await.is_good();
    let answer = client.revoke(leaf, Some(3)).await.expect("an answer").expect(200);
    assert!(!answer.header("replay-nonce").is_empty(), "{answer}");
    openssl.status(&issued.chain).await.is_revoked(Some("affiliationChanged"));
    client.revoke(leaf, Some(3)).await.expect("an answer").refused(400, "alreadyRevoked");
    client.revoke(leaf, None).await.expect("an answer").refused(400, "alreadyRevoked");
    openssl.status(&issued.chain).await.is_revoked(Some("affiliationChanged"));

    // The certificate is still there to be fetched; its order stays valid.
    let order = client.order_at(&issued.order.url).await.expect("the order");
    assert_eq!(order.status(), "valid");
    assert_eq!(client.certificate(&order).await.expect("a certificate"), issued.chain);
}

#[tokio::test(flavor = "multi_thread")]
async fn by_the_certificate_key() {
    let (server, mut client) = start().await;
    let (openssl, prover) = (server.openssl(), web(&server).await);
    let name = "key.revoke.example.org";
    let issued = issue(&mut client, &[name], &prover).await;
    let url = client.resource("revokeCert");
    let payload = revocation(issued.chain.leaf(), Some(1));

    let mut nobody = stranger(&server).await;
    let sending = nobody.request(&url).payload(payload.clone()).with_jwk();
    refused_as_one_of(sending.send().await.expect("an answer").expect(403), &["unauthorized"]);
    openssl.status(&issued.chain).await.is_good();

    let key = Key::es256_from(&issued.request.key.serialize_der());
    let sending = nobody.request(&url).payload(payload.clone()).with_jwk().signed_by(&key);
    sending.send().await.expect("an answer").expect(200);
    openssl.status(&issued.chain).await.is_revoked(Some("keyCompromise"));
    let sending = nobody.request(&url).payload(payload).with_jwk().signed_by(&key);
    sending.send().await.expect("an answer").refused(400, "alreadyRevoked");

    // A key that its owner called compromised gets no certificate any more, whoever asks.
    let mut other = Client::registered(&server.site()).await.expect("an account");
    let order = other.order(&["again.revoke.example.org"]).await.expect("an order");
    let order = other.prove(&order, &prover).await.expect("a proof");
    let request = CertificateRequest::with_key(issued.request.key, &["again.revoke.example.org"]);
    let answer =
        other.post(order.finalize(), &json!({"csr": base64url(request.der)})).await.expect("an answer");
    refused_as_one_of(answer.expect(400), &["badPublicKey", "badCSR"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn by_other_accounts() {
    let (server, mut client) = start().await;
    let (openssl, prover) = (server.openssl(), web(&server).await);
    let names = ["one.others.example.org", "two.others.example.org"];
    let issued = issue(&mut client, &names, &prover).await;
    let mut other = Client::registered(&server.site()).await.expect("an account");

    let answer = other.revoke(issued.chain.leaf(), Some(4)).await.expect("an answer");
    answer.refused(403, "unauthorized");
    // One of two names is not enough.
    let order = other.order(&names[..1]).await.expect("an order");
    other.prove(&order, &prover).await.expect("a proof");
    let answer = other.revoke(issued.chain.leaf(), Some(4)).await.expect("an answer");
    answer.refused(403, "unauthorized");
    openssl.status(&issued.chain).await.is_good();
    // Whoever holds all of the names may.
    let order = other.order(&names[1..]).await.expect("an order");
    other.prove(&order, &prover).await.expect("a proof");
    other.revoke(issued.chain.leaf(), Some(4)).await.expect("an answer").expect(200);
    openssl.status(&issued.chain).await.is_revoked(Some("superseded"));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_things_that_are_no_certificate_of_ours() {
    let (server, mut client) = start().await;
    let prover = web(&server).await;
    let issued = issue(&mut client, &["mine.revoke.example.org"], &prover).await;
    let mut altered = issued.chain.leaf().to_vec();
    *altered.last_mut().expect("a certificate has bytes") ^= 1;
    let half = &issued.chain.leaf()[..issued.chain.leaf().len() / 2];

    for der in [b"".as_slice(), b"\x30\x00", b"no certificate", half, issued.chain.issuer(), &altered] {
        let answer = client.revoke(der, None).await.expect("an answer");
        refused_as_one_of(answer, &["malformed", "unauthorized"]);
    }
    for payload in [json!({}), json!({"certificate": 5}), json!({"certificate": "+"})] {
        let url = client.resource("revokeCert");
        client.post(&url, &payload).await.expect("an answer").refused(400, "malformed");
    }
    server.openssl().status(&issued.chain).await.is_good();
}
