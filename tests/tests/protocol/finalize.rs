//! RFC 8555 7.4 and 7.4.2: from a ready order to exactly one certificate.

use ingam_tests::certificate::{Chain, parse};
use ingam_tests::client::{CertificateRequest, Client};
use ingam_tests::jws::{Key, base64url};
use rcgen::{
    CertificateParams, CustomExtension, DistinguishedName, ExtendedKeyUsagePurpose, KeyPair, PublicKeyData,
};
use serde_json::json;

use crate::{issue, kept_out, refused_as_one_of, start, web};

#[tokio::test(flavor = "multi_thread")]
async fn not_before_the_order_is_ready() {
    let (_server, mut client) = start().await;
    let name = "early.example.org";
    let order = client.order(&[name]).await.expect("an order");
    let csr = base64url(CertificateRequest::of(&[name]).der);
    let answer = client.post(order.finalize(), &json!({"csr": csr})).await.expect("an answer");
    answer.refused(403, "orderNotReady");
    assert_eq!(client.order_at(&order.url).await.expect("the order").status(), "pending");
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_do_not_fit() {
    let (server, _client) = start().await;
    let prover = web(&server).await;
    // An account key that is also at hand as a certificate's key.
    let account_key = KeyPair::generate().expect("rcgen makes P-256 keys");
    let key = Key::es256_from(&account_key.serialize_der());
    let mut client = Client::new(&server.site(), key).await.expect("a directory");
    client.register().await.expect("an account");

    let names = ["fits.example.org", "also.example.org"];
    let order = client.order(&names).await.expect("an order");
    let order = client.prove(&order, &prover).await.expect("a proof");
    let sound = CertificateRequest::of(&names);
    let mut broken = sound.der.clone();
    *broken.last_mut().expect("a CSR has bytes") ^= 1;
    let mut longer = sound.der.clone();
    longer.push(0);
    let requests = [
        CertificateRequest::of(&names[..1]).der,
        CertificateRequest::of(&[names[0], names[1], "more.example.org"]).der,
        CertificateRequest::of(&["other.example.org"]).der,
        CertificateRequest::of(&["*.example.org"]).der,
        CertificateRequest::with_key(account_key, &names).der,
        broken,
        longer,
        Vec::new(),
        vec![0x30, 0x80],
        vec![0x30, 0x84, 0xFF, 0xFF, 0xFF, 0xFF],
        sound.der[..sound.der.len() / 2].to_vec(),
    ];
    for csr in requests {
        let answer = client.post(order.finalize(), &json!({"csr": base64url(csr)})).await.expect("an answer");
        refused_as_one_of(answer.expect(400), &["badCSR", "badPublicKey"]);
    }
    for payload in [json!({}), json!({"csr": 1}), json!({"csr": "+/="})] {
        let answer = client.post(order.finalize(), &payload).await.expect("an answer");
        refused_as_one_of(answer.expect(400), &["malformed", "badCSR"]);
    }

    // None of that cost anything: the order is ready still.
    let order = client.finalize(&order, &sound.der).await.expect("a valid order");
    assert_eq!(
        client.certificate(&order).await.expect("a certificate").names(),
        ["also.example.org", "fits.example.org"]
    );
}

/// RFC 6960 4.2.2.2: who has this purpose answers for the CA.
#[tokio::test(flavor = "multi_thread")]
async fn no_request_makes_a_signer_of_ocsp_answers() {
    let (server, mut client) = start().await;
    let prover = web(&server).await;
    let name = "responder.example.org";
    let mut params = CertificateParams::new([name.to_owned()]).expect("a name");
    params.distinguished_name = DistinguishedName::new();
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::OcspSigning];
    // id-pkix-ocsp-nocheck.
    let no_check = CustomExtension::from_oid_content(&[1, 3, 6, 1, 5, 5, 7, 48, 1, 5], vec![5, 0]);
    params.custom_extensions = vec![no_check];
    let key = KeyPair::generate().expect("rcgen makes P-256 keys");
    let csr = params.serialize_request(&key).expect("a CSR").der().to_vec();
    assert!(csr.windows(8).any(|window| window == [0x2B, 6, 1, 5, 5, 7, 3, 9]), "it asks for the purpose");
    let order = client.order(&[name]).await.expect("an order");
    let order = client.prove(&order, &prover).await.expect("a proof");
    let order = client.finalize(&order, &csr).await.expect("what else it asks for does not count");
    let chain = client.certificate(&order).await.expect("a certificate");
    let leaf = chain.parsed();
    let usage = leaf.extended_key_usage().expect("an extension that can be read").expect("purposes").value;
    assert!(usage.server_auth && !usage.ocsp_signing && !usage.any && usage.other.is_empty(), "{usage:?}");
    let no_check = leaf.extensions().iter().find(|one| one.oid.to_id_string() == "1.3.6.1.5.5.7.48.1.5");
    assert!(no_check.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn finalized_twice_and_at_once() {
    let (server, mut client) = start().await;
    let prover = web(&server).await;
    let name = "twice.example.org";
    let issued = issue(&mut client, &[name], &prover).await;
    let url = issued.order.certificate().expect("a valid order has a certificate").to_owned();

    // Once more with the same request, and with another: the order is what it is.
    for csr in [&issued.request.der, &CertificateRequest::of(&[name]).der] {
        let answer =
            client.post(issued.order.finalize(), &json!({"csr": base64url(csr)})).await.expect("an answer");
        assert!(answer.status == 200 || answer.problem() == "orderNotReady", "harmless: {answer}");
        let order = client.order_at(&issued.order.url).await.expect("the order");
        assert_eq!((order.status(), order.certificate()), ("valid", Some(url.as_str())));
        assert_eq!(client.certificate(&order).await.expect("a certificate"), issued.chain);
    }

    // Two at once, each with a key of its own, over two connections.
    let name = "race.example.org";
    let order = client.order(&[name]).await.expect("an order");
    let order = client.prove(&order, &prover).await.expect("a proof");
    let mut others = Vec::new();
    for _ in 0..4 {
        let csr = base64url(CertificateRequest::of(&[name]).der);
        let mut other = Client::new(&server.site(), Key::es256()).await.expect("a directory");
        let payload = json!({"csr": csr});
        let mut sending = client.request(order.finalize()).payload(payload);
        let body = sending.jws().await.expect("a JWS").to_string();
        let url = order.finalize().to_owned();
        others.push(tokio::spawn(
            async move { other.request(&url).body(body).send().await.expect("an answer") },
        ));
    }
    for other in others {
        let answer = other.await.expect("a task that ends");
        assert!(answer.status == 200 || answer.problem() == "orderNotReady", "harmless: {answer}");
    }
    let order = client.poll(&order.url, &["processing"]).await.expect("the order is decided");
    assert_eq!(order.status(), "valid");
    let first = client.certificate(&order).await.expect("a certificate");
    assert_eq!(
        client.certificate(&order).await.expect("a certificate"),
        first,
        "one certificate, always the same"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_certificate_as_it_is_served() {
    let (server, mut client) = start().await;
    let prover = web(&server).await;
    let names = ["served.example.org", "www.served.example.org"];
    let issued = issue(&mut client, &names, &prover).await;
    let url = issued.order.certificate().expect("a valid order has a certificate").to_owned();

    let answer = client.read(&url).await.expect("an answer").expect(200);
    assert_eq!(answer.header("content-type"), "application/pem-certificate-chain", "{answer}");
    let chain = Chain::from_pem(&answer.body);
    assert_eq!(chain, issued.chain, "the same bytes every time");
    let issuer = parse(chain.issuer());
    assert_ne!(issuer.subject(), issuer.issuer(), "no root at the end of the chain (9.1)");
    assert!(
        answer.text().ends_with('\n') && answer.text().starts_with("-----BEGIN CERTIFICATE-----"),
        "{answer}"
    );

    let leaf = chain.parsed();
    let serial = chain.serial();
    assert!(
        (18..=19).contains(&serial.len()) && serial[0] & 0x80 == 0,
        "18 random octets, positive: {serial:02X?}"
    );
    assert_eq!(leaf.public_key().raw, issued.request.key.subject_public_key_info(), "the key of the request");
    assert!(!leaf.is_ca(), "an end entity");
    let usage = leaf.extended_key_usage().expect("one extension").expect("an extended key usage");
    assert!(usage.value.server_auth && !usage.value.any && !usage.value.ocsp_signing, "a TLS server's");

    let mut other = Client::registered(&server.site()).await.expect("an account");
    kept_out(other.read(&url).await.expect("an answer"));
    let answer = other.post(issued.order.finalize(), &json!({"csr": base64url(&issued.request.der)})).await;
    kept_out(answer.expect("an answer"));
}
