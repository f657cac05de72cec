//! tls-alpn-01 against servers with every certificate that is nearly right, and with none.

use std::sync::Arc;
use std::time::Duration;

use ingam_protocol::acme::{ChallengeType, ErrorType};
use rcgen::string::Ia5String;
use rcgen::{
    CertificateParams, CustomExtension, DistinguishedName, DnType, Issuer, KeyPair, PKCS_RSA_SHA256, SanType,
};
use ring::digest;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ServerConfig, SupportedProtocolVersion};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::AsyncWriteExt as _;
use tokio_rustls::TlsAcceptor;

use crate::testing::{
    Act, KEY_AUTHORIZATION, World, attempt, attempt_address, http_server, raw_server, read_head,
};
use crate::{Outcome, Validation as _};

const HOST: &str = "www.example.org";

const RSA_KEY: &str = include_str!("../../testdata/rsa-2048-for-tests.pem");

#[derive(Debug)]
struct Fixed(&'static str, Arc<CertifiedKey>);

impl ResolvesServerCert for Fixed {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        (hello.server_name() == Some(self.0)).then(|| Arc::clone(&self.1))
    }
}

fn acme_identifier(key_authorization: &str) -> CustomExtension {
    CustomExtension::new_acme_identifier(
        digest::digest(&digest::SHA256, key_authorization.as_bytes()).as_ref(),
    )
}

fn dns(name: &str) -> SanType {
    SanType::DnsName(Ia5String::try_from(name).unwrap())
}

/// What RFC 8737 asks for.
fn right() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.subject_alt_names = vec![dns(HOST)];
    params.custom_extensions = vec![acme_identifier(KEY_AUTHORIZATION)];
    params
}

fn acceptor(
    certificate: CertificateDer<'static>,
    key: &KeyPair,
    protocols: &[&[u8]],
    versions: &[&'static SupportedProtocolVersion],
) -> TlsAcceptor {
    acceptor_of(HOST, certificate, key, protocols, versions)
}

/// Answers those who ask for this name.
fn acceptor_of(
    name: &'static str,
    certificate: CertificateDer<'static>,
    key: &KeyPair,
    protocols: &[&[u8]],
    versions: &[&'static SupportedProtocolVersion],
) -> TlsAcceptor {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let signer = rustls::crypto::ring::sign::any_supported_type(&key).unwrap();
    let resolver = Fixed(name, Arc::new(CertifiedKey::new(vec![certificate], signer)));
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(resolver));
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    TlsAcceptor::from(Arc::new(config))
}

async fn tls_server(acceptor: TlsAcceptor) -> u16 {
    raw_server(move |stream| {
        let acceptor = acceptor.clone();
        async move {
            // What the client does with the handshake is its own matter.
            if let Ok(mut stream) = acceptor.accept(stream).await {
                let _ = stream.shutdown().await;
            }
        }
    })
    .await
}

async fn validate(port: u16) -> Outcome {
    let world = World::new().await;
    world.a(HOST, "127.0.0.1");
    let perspective = world.perspective(|config| config.tls_alpn_port = port);
    let outcome = perspective.validate(attempt(HOST, ChallengeType::TlsAlpn01)).await;
    if let Err(failure) = &outcome.result {
        assert!(failure.detail.bytes().all(|byte| (0x20..0x7f).contains(&byte)), "{}", failure.detail);
    }
    outcome
}

const ACME: &[&[u8]] = &[b"acme-tls/1"];

async fn against(params: CertificateParams) -> Outcome {
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    validate(tls_server(acceptor(certificate.der().clone(), &key, ACME, rustls::ALL_VERSIONS)).await).await
}

#[tokio::test]
async fn the_right_certificate_validates_in_both_versions_with_both_kinds_of_key() {
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let keys = [
            KeyPair::generate().unwrap(),
            KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap(),
            KeyPair::from_pem_and_sign_algo(RSA_KEY, &PKCS_RSA_SHA256).unwrap(),
        ];
        for key in keys {
            let certificate = right().self_signed(&key).unwrap();
            let outcome =
                validate(tls_server(acceptor(certificate.der().clone(), &key, ACME, &[version])).await).await;
            let validated = outcome.result.unwrap();
            assert_eq!(validated.challenge(), ChallengeType::TlsAlpn01);
            let hop = &outcome.evidence.hops[0];
            let facts = hop.tls.as_ref().unwrap();
            assert_eq!(facts.application_protocol.as_deref(), Some("acme-tls/1"));
            assert_eq!(facts.certificate.as_deref(), Some(certificate.der().as_ref()));
            assert_eq!((hop.url.as_ref(), hop.hostname.as_str()), (None, HOST));
        }
    }
}

#[tokio::test]
async fn names_are_compared_without_case() {
    let mut params = right();
    params.subject_alt_names = vec![dns("WWW.Example.ORG")];
    against(params).await.result.unwrap();
}

#[tokio::test]
async fn certificates_that_are_nearly_right_are_refused() {
    let hash = digest::digest(&digest::SHA256, KEY_AUTHORIZATION.as_bytes());
    let extension = |content: Vec<u8>, critical: bool| {
        let mut extension = CustomExtension::from_oid_content(&[1, 3, 6, 1, 5, 5, 7, 1, 31], content);
        extension.set_criticality(critical);
        vec![extension]
    };
    let octets = |tag: u8, bytes: &[u8]| {
        let mut content = vec![tag, u8::try_from(bytes.len()).unwrap()];
        content.extend_from_slice(bytes);
        content
    };
    let mut longer = octets(4, hash.as_ref());
    longer.push(0);
    let long_form = [&[4, 0x81, 32], hash.as_ref()].concat();
    let twice = vec![acme_identifier(KEY_AUTHORIZATION), acme_identifier(KEY_AUTHORIZATION)];
    let identifiers: Vec<(&str, Vec<CustomExtension>)> = vec![
        ("no acmeIdentifier extension", Vec::new()),
        ("is not critical", extension(octets(4, hash.as_ref()), false)),
        ("for another key authorization", vec![acme_identifier("another")]),
        ("not an OCTET STRING of 32 bytes", extension(octets(3, hash.as_ref()), true)),
        ("not an OCTET STRING of 32 bytes", extension(octets(4, &hash.as_ref()[..31]), true)),
        ("not an OCTET STRING of 32 bytes", extension(hash.as_ref().to_vec(), true)),
        ("not an OCTET STRING of 32 bytes", extension(longer, true)),
        ("not an OCTET STRING of 32 bytes", extension(long_form, true)),
        ("not an OCTET STRING of 32 bytes", extension(Vec::new(), true)),
        ("more than one acmeIdentifier", twice),
    ];
    for (words, extensions) in identifiers {
        let mut params = right();
        params.custom_extensions = extensions;
        let failure = against(params).await.result.unwrap_err();
        assert_eq!(failure.error, ErrorType::Unauthorized);
        assert!(failure.detail.contains(words), "{words}: {failure}");
    }
    let address = SanType::IpAddress("127.0.0.1".parse().unwrap());
    for (words, names) in [
        ("no subjectAlternativeName", vec![]),
        ("is for \"other.example.org\"", vec![dns("other.example.org")]),
        ("is for \"*.example.org\"", vec![dns("*.example.org")]),
        ("is for \"www.example.org.\"", vec![dns("www.example.org.")]),
        ("has 2 names", vec![dns(HOST), dns("other.example.org")]),
        ("has 2 names", vec![dns(HOST), dns(HOST)]),
        ("has 2 names", vec![dns(HOST), address.clone()]),
        ("has 1 names, and must have one dNSName", vec![address]),
    ] {
        let mut params = right();
        params.subject_alt_names = names;
        let failure = against(params).await.result.unwrap_err();
        assert!(failure.detail.contains(words), "{words}: {failure}");
    }
}

/// Validates an address against a server that answers its reverse name with these names in the certificate.
async fn against_address(names: Vec<SanType>, server_name: &'static str) -> Outcome {
    let mut params = right();
    params.subject_alt_names = names;
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap().der().clone();
    let port = tls_server(acceptor_of(server_name, certificate, &key, ACME, rustls::ALL_VERSIONS)).await;
    let world = World::new().await;
    let perspective = world.perspective(|config| config.tls_alpn_port = port);
    perspective.validate(attempt_address("127.0.0.1", ChallengeType::TlsAlpn01)).await
}

#[tokio::test]
async fn addresses_are_asked_for_by_their_reverse_names() {
    let address = |text: &str| SanType::IpAddress(text.parse().unwrap());
    let reverse = "1.0.0.127.in-addr.arpa";
    let outcome = against_address(vec![address("127.0.0.1")], reverse).await;
    assert_eq!(outcome.result.unwrap().host().to_string(), "127.0.0.1");
    assert_eq!(outcome.evidence.lookups, []);
    assert_eq!(outcome.evidence.hops[0].hostname, "127.0.0.1");
    for (names, words) in [
        (vec![address("127.0.0.2")], "is for another address"),
        (vec![address("::1")], "is for another address"),
        (vec![address("127.0.0.1"), dns(HOST)], "has 2 names, and must have one iPAddress alone"),
        (vec![dns(reverse)], "has 1 names, and must have one iPAddress alone"),
    ] {
        let failure = against_address(names, reverse).await.result.unwrap_err();
        assert!(failure.detail.contains(words), "{words}: {failure}");
    }
    let failure = against_address(vec![address("127.0.0.1")], HOST).await.result.unwrap_err();
    assert_eq!(failure.error, ErrorType::Tls, "{failure}");
}

#[tokio::test]
async fn certificates_of_others_are_refused() {
    let (issuer_key, key) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let mut issuer = CertificateParams::default();
    issuer.distinguished_name = DistinguishedName::new();
    issuer.distinguished_name.push(DnType::CommonName, "a CA");
    let other_name = right().signed_by(&key, &Issuer::new(issuer, &issuer_key)).unwrap();
    // The same name as issuer and subject, but signed by another key.
    let forged = right().signed_by(&key, &Issuer::new(right(), &issuer_key)).unwrap();
    for certificate in [other_name, forged] {
        let acceptor = acceptor(certificate.der().clone(), &key, ACME, rustls::ALL_VERSIONS);
        let failure = validate(tls_server(acceptor).await).await.result.unwrap_err();
        assert!(failure.detail.contains("not self-signed"), "{failure}");
    }
}

#[tokio::test]
async fn servers_must_own_the_key() {
    let (key, another) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let certificate = right().self_signed(&key).unwrap();
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let acceptor = acceptor(certificate.der().clone(), &another, ACME, &[version]);
        let failure = validate(tls_server(acceptor).await).await.result.unwrap_err();
        assert_eq!(failure.error, ErrorType::Tls, "{failure}");
    }
}

#[tokio::test]
async fn the_application_protocol_is_acme_tls() {
    let key = KeyPair::generate().unwrap();
    let certificate = right().self_signed(&key).unwrap();
    for (protocols, error) in
        [(&[][..], ErrorType::Unauthorized), (&[&b"h2"[..], b"http/1.1"][..], ErrorType::Tls)]
    {
        let acceptor = acceptor(certificate.der().clone(), &key, protocols, rustls::ALL_VERSIONS);
        let failure = validate(tls_server(acceptor).await).await.result.unwrap_err();
        assert_eq!(failure.error, error, "{failure}");
    }
}

#[tokio::test]
async fn certificates_that_cannot_be_read_are_refused() {
    let key = KeyPair::generate().unwrap();
    let good = right().self_signed(&key).unwrap().der().to_vec();
    let mut longer = good.clone();
    longer.push(0);
    for certificate in [vec![], vec![0x30], good[..good.len() - 1].to_vec(), longer, vec![0xff; 5000]] {
        let acceptor = acceptor(CertificateDer::from(certificate), &key, ACME, rustls::ALL_VERSIONS);
        assert!(validate(tls_server(acceptor).await).await.result.is_err());
    }
}

#[tokio::test]
async fn what_is_no_tls_ends_in_time() {
    for (act, error) in [
        (Act::Say(b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec()), ErrorType::Tls),
        (Act::Say(vec![0xff; 100]), ErrorType::Tls),
        (Act::Say(Vec::new()), ErrorType::Connection),
        (Act::Say(vec![0x16, 3, 3, 0, 100, 2]), ErrorType::Connection),
        (Act::SayAndStay(Vec::new()), ErrorType::Connection),
        (Act::SayAndStay(vec![0x16, 3, 3, 0, 100, 2]), ErrorType::Connection),
        (
            Act::Drip(
                vec![0x16, 3, 3, 0x40, 0, 2, 0, 0x3f, 0xfc, 3, 3, 0, 0, 0, 0],
                Duration::from_millis(50),
            ),
            ErrorType::Connection,
        ),
        (Act::Flood(Vec::new(), vec![0x16, 3, 3, 0, 1, 2]), ErrorType::Tls),
    ] {
        let world = World::new().await;
        world.a(HOST, "127.0.0.1");
        let shown = format!("{act:?}");
        let port = raw_server(move |mut stream| {
            let act = act.clone();
            async move { act.play(&mut stream).await }
        })
        .await;
        let perspective = world.perspective(|config| {
            config.tls_alpn_port = port;
            config.handshake_timeout_ms = 300;
        });
        let failure = perspective.validate(attempt(HOST, ChallengeType::TlsAlpn01)).await.result.unwrap_err();
        // A server that hangs up while we still write looks like a broken connection now and then.
        assert!(failure.error == error || failure.error == ErrorType::Connection, "{shown}: {failure}");
    }
}

#[tokio::test]
async fn http_01_follows_redirects_to_https_whatever_the_certificate() {
    let world = World::new().await;
    world.a(HOST, "127.0.0.1");
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.subject_alt_names = vec![dns("somebody.else.example")];
    params.not_after = rcgen::date_time_ymd(2001, 1, 1);
    let certificate = params.self_signed(&key).unwrap();
    let acceptor = acceptor(certificate.der().clone(), &key, &[b"http/1.1"], rustls::ALL_VERSIONS);
    let https_port = raw_server(move |stream| {
        let acceptor = acceptor.clone();
        async move {
            let mut stream = acceptor.accept(stream).await.unwrap();
            let head = read_head(&mut stream).await;
            let body = if head.starts_with("GET /over-tls ") { KEY_AUTHORIZATION } else { "no" };
            Act::answer("200 OK", "", body).play(&mut stream).await;
        }
    })
    .await;
    let (http_port, _) =
        http_server("127.0.0.1:0", |_| Act::redirect("https://www.example.org/over-tls")).await;
    let perspective = world.perspective(|config| {
        config.http_port = http_port;
        config.https_port = https_port;
    });
    let outcome = perspective.validate(attempt(HOST, ChallengeType::Http01)).await;
    outcome.result.unwrap();
    let hop = &outcome.evidence.hops[1];
    assert_eq!((hop.port, hop.status), (https_port, Some(200)));
    let facts = hop.tls.as_ref().unwrap();
    assert!(facts.certificate_sha256.is_some() && facts.certificate.is_none());
}
