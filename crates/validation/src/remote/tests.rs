//! Remote perspectives that are none, answer what is no answer, or answer without end.

use std::path::{Path, PathBuf};
use std::time::Duration;

use ingam_protocol::acme::ChallengeType;
use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls::server::WebPkiClientVerifier;
use rustls_pki_types::PrivatePkcs8KeyDer;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::testing::{attempt, clock, query, raw_server};

/// A CA, with certificates and keys in files.
struct Authority {
    folder: PathBuf,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new(folder: &Path, name: &str) -> Self {
        let (key, mut params) = (KeyPair::generate().unwrap(), CertificateParams::default());
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        std::fs::create_dir_all(folder.join(name)).unwrap();
        let folder = folder.join(name);
        std::fs::write(folder.join("ca.pem"), params.self_signed(&key).unwrap().pem()).unwrap();
        Self { folder, issuer: Issuer::new(params, key) }
    }

    fn certify(&self, name: &str, usage: ExtendedKeyUsagePurpose) {
        let (key, mut params) =
            (KeyPair::generate().unwrap(), CertificateParams::new([name.to_owned()]).unwrap());
        params.extended_key_usages = vec![usage];
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        std::fs::write(self.folder.join(format!("{name}.pem")), certificate.pem()).unwrap();
        std::fs::write(self.folder.join(format!("{name}.key")), key.serialize_pem()).unwrap();
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// A server that says this to every request, with a certificate for `name`; its port.
    async fn serve(&self, name: &str, answer: Vec<u8>) -> u16 {
        self.certify(name, ExtendedKeyUsagePurpose::ServerAuth);
        let certificates = |file: &str| {
            let found = CertificateDer::pem_file_iter(self.file(file)).unwrap();
            found.collect::<Result<Vec<_>, _>>().unwrap()
        };
        let mut roots = RootCertStore::empty();
        certificates("ca.pem").into_iter().for_each(|root| roots.add(root).unwrap());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone());
        let key = PrivatePkcs8KeyDer::from_pem_file(self.file(&format!("{name}.key"))).unwrap();
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(verifier.build().unwrap())
            .with_single_cert(certificates(&format!("{name}.pem")), key.into())
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        raw_server(move |stream| {
            let (acceptor, answer) = (acceptor.clone(), answer.clone());
            async move {
                let Ok(mut stream) = acceptor.accept(stream).await else { return };
                let mut request = [0; 16 * 1024];
                // Questions are small, and come in one piece on this machine.
                let _ = stream.read(&mut request).await;
                let _ = stream.write_all(&answer).await;
                let _ = stream.shutdown().await;
            }
        })
        .await
    }

    /// Somebody who asks that server, as a client of this CA that trusts the other's servers.
    fn remote(&self, trusted: &Self, port: u16) -> Remote {
        self.certify("coordinator", ExtendedKeyUsagePurpose::ClientAuth);
        let mut config = Config::default();
        config.corroboration.certificate = Some(self.file("coordinator.pem"));
        config.corroboration.key = Some(self.file("coordinator.key"));
        config.corroboration.server_ca = Some(trusted.file("ca.pem"));
        let url = format!("https://localhost:{port}/");
        config.remotes = vec![RemoteConfig { name: "a".into(), url, ..RemoteConfig::default() }];
        Remote::all(&config, &clock()).unwrap().remove(0)
    }
}

fn http(status: &str, headers: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n{headers}\r\n{body}", body.len()).into_bytes()
}

async fn asked(remote: &Remote) -> Result<Heard, Unreached> {
    let attempt = attempt("www.example.org", ChallengeType::Http01);
    tokio::time::timeout(Duration::from_secs(10), remote.validate(&attempt)).await.expect("it ends by itself")
}

#[tokio::test]
async fn an_answer_is_heard_and_what_is_none_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let ca = Authority::new(folder.path(), "ca");
    let good = r#"{"check_completed": true, "check_passed": true, "details": {"caa_record_present": false}}"#;
    let remote = ca.remote(&ca, ca.serve("localhost", http("200 OK", "", good)).await);
    assert_eq!(asked(&remote).await.unwrap().result, Ok(None));
    assert_eq!(remote.check_caa(&query("www.example.org", false)).await.unwrap().result, Ok(None));
    remote.knock().await.unwrap();
    let endless = format!("HTTP/1.1 200 OK\r\n\r\n{}", " ".repeat(BODY_BYTES_MAX + 1)).into_bytes();
    for (answer, words) in [
        (http("503 Service Unavailable", "", "come\u{1b} again"), "it answers 503: come? again"),
        (http("302 Found", "Location: https://elsewhere.example/\r\n", ""), "it answers 302: "),
        (http("200 OK", "", "yes"), "its answer is none of Open MPIC"),
        (endless, "its answer has more than 65536 bytes"),
        (b"garbage\r\n\r\n".to_vec(), "error sending request"),
    ] {
        let remote = ca.remote(&ca, ca.serve("localhost", answer).await);
        let unreached = asked(&remote).await.unwrap_err().to_string();
        assert!(unreached.starts_with(words), "{unreached}");
        assert!(!unreached.contains("localhost"), "{unreached}");
    }
}

#[tokio::test]
async fn a_door_that_opens_for_others_alone_is_trouble() {
    let folder = tempfile::tempdir().unwrap();
    let ca = Authority::new(folder.path(), "ca");
    let knocked = async |answer: Vec<u8>| {
        let knocked = ca.remote(&ca, ca.serve("localhost", answer).await).knock().await;
        knocked.err().map(|unreached| unreached.to_string())
    };
    for status in ["200 OK", "204 No Content", "404 Not Found", "405 Method Not Allowed"] {
        assert_eq!(knocked(http(status, "", "")).await, None, "{status}");
    }
    let told = knocked(http("403 Forbidden", "", "not one of\u{7} perspective.clients")).await;
    assert_eq!(told.as_deref(), Some("it answers 403: not one of? perspective.clients"));
    let told = knocked(http("503 Service Unavailable", "", &"x".repeat(100_000))).await.unwrap();
    assert!(told.starts_with("it answers 503: xxx") && told.len() < 200, "{told}");
    assert_eq!(knocked(http("302 Found", "", "")).await.as_deref(), Some("it answers 302: "));
}

#[tokio::test]
async fn whoever_is_not_the_one_that_was_meant_is_not_asked() {
    let folder = tempfile::tempdir().unwrap();
    let (ca, other) = (Authority::new(folder.path(), "ca"), Authority::new(folder.path(), "other"));
    let good = || http("200 OK", "", r#"{"check_completed": true, "check_passed": true}"#);
    // For another name; of another CA; and one that does not let us in.
    let named = ca.remote(&ca, ca.serve("elsewhere.example", good()).await);
    assert!(asked(&named).await.unwrap_err().to_string().contains("certificate"), "for another name");
    let foreign = ca.remote(&ca, other.serve("localhost", good()).await);
    assert!(asked(&foreign).await.unwrap_err().to_string().contains("certificate"), "of another CA");
    let stranger = other.remote(&ca, ca.serve("localhost", good()).await);
    assert!(asked(&stranger).await.is_err(), "a client of another CA");
    assert!(stranger.knock().await.is_err());
    let nobody = ca.remote(&ca, 1);
    assert!(asked(&nobody).await.is_err());
}
