//! openssl's judgement of chains, OCSP answers and CRLs: nobody here wrote it.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::PemObject;
use tempfile::TempDir;
use tokio::process::Command;

use crate::certificate::{Chain, Files};
use crate::command::{Finished, run};
use crate::http::fetch;
use crate::ocsp::{self, Hash};

const INSTALL: &str = "Install openssl, on Debian with `apt-get install openssl`";

/// A folder for openssl's files, and the roots to trust.
pub struct Openssl {
    folder: TempDir,
    roots: PathBuf,
}

/// What `openssl ocsp` made of a verified answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// `good`, `revoked`, `unknown`, or the name of a response status such as `unauthorized`.
    pub status: String,
    /// The revocation reason, as openssl names it.
    pub reason: Option<String>,
    /// When it was revoked, as openssl prints times.
    pub revoked_at: Option<String>,
    /// thisUpdate, as openssl prints times.
    pub this_update: Option<String>,
    /// nextUpdate, as openssl prints times.
    pub next_update: Option<String>,
}

impl Verdict {
    /// Fails the test unless the status is good.
    #[track_caller]
    pub fn is_good(&self) {
        assert_eq!(self.status, "good", "{self:?}");
        assert!(self.next_update.is_some(), "nextUpdate is always there: {self:?}");
    }

    /// Fails the test unless the status is revoked, with this reason (`None`: none is given).
    #[track_caller]
    pub fn is_revoked(&self, reason: Option<&str>) {
        assert_eq!((self.status.as_str(), self.reason.as_deref()), ("revoked", reason), "{self:?}");
        assert!(self.revoked_at.is_some(), "a revocation has a time: {self:?}");
    }

    /// Fails the test unless the responder said `unauthorized`.
    #[track_caller]
    pub fn is_unauthorized(&self) {
        assert_eq!(self.status, "unauthorized", "{self:?}");
    }
}

impl Openssl {
    /// Trusts the roots of this PEM file.
    pub fn trusting(roots: &Path) -> Self {
        Self { folder: TempDir::new().expect("a temporary folder"), roots: roots.to_owned() }
    }

    /// Asserts that the chain verifies up to a root as a TLS server's, for each of these names and addresses.
    pub async fn verify(&self, chain: &Chain, names: &[&str]) {
        let files = self.files(chain);
        for name in names {
            // A wildcard is proved by a name that it covers.
            let host = name.replacen('*', "covered", 1);
            let mut command = Command::new("openssl");
            let expecting = if host.parse::<IpAddr>().is_ok() { "-verify_ip" } else { "-verify_hostname" };
            command.args(["verify", "-x509_strict", "-purpose", "sslserver", expecting, &host]);
            command.arg("-CAfile").arg(&self.roots).arg("-untrusted").arg(&files.issuer).arg(&files.leaf);
            run(&mut command, INSTALL).await.succeeded();
        }
    }

    /// Asks for the leaf's status at the URL in the leaf, by POST, and verifies the answer.
    pub async fn status_by_post(&self, chain: &Chain, hash: Hash) -> Verdict {
        self.status_by_post_at(&chain.ocsp_url(), chain, hash).await
    }

    /// The same at another URL.
    pub async fn status_by_post_at(&self, url: &str, chain: &Chain, hash: Hash) -> Verdict {
        let files = self.files(chain);
        let mut command = self.ocsp(&files, hash);
        command.arg("-url").arg(url);
        verdict(&run(&mut command, INSTALL).await)
    }

    /// The same by GET: openssl writes the request, we carry it, openssl judges the answer.
    pub async fn status_by_get(&self, chain: &Chain, hash: Hash) -> Verdict {
        self.status_by_get_at(&chain.ocsp_url(), chain, hash).await
    }

    /// The same at another URL.
    pub async fn status_by_get_at(&self, url: &str, chain: &Chain, hash: Hash) -> Verdict {
        let files = self.files(chain);
        let (request, response) = (self.folder.path().join("request"), self.folder.path().join("response"));
        let mut command = self.ocsp(&files, hash);
        command.arg("-no_nonce").arg("-reqout").arg(&request);
        run(&mut command, INSTALL).await.succeeded();
        let request = std::fs::read(&request).expect("openssl wrote its request");

        let answer = fetch(&ocsp::get_url(url, &request)).await.expect("an answer to a GET");
        let answer = answer.expect(200);
        assert_eq!(answer.header("content-type"), ocsp::RESPONSE, "{answer}");
        std::fs::write(&response, &answer.body).expect("a writable folder");
        let mut command = self.ocsp(&files, hash);
        command.arg("-no_nonce").arg("-respin").arg(&response);
        verdict(&run(&mut command, INSTALL).await)
    }

    /// Asks in all four ways (GET and POST, SHA-1 and SHA-256), asserts that they agree, and gives the verdict.
    pub async fn status(&self, chain: &Chain) -> Verdict {
        let by_post = self.status_by_post(chain, Hash::Sha1).await;
        let others = [
            self.status_by_post(chain, Hash::Sha256).await,
            self.status_by_get(chain, Hash::Sha1).await,
            self.status_by_get(chain, Hash::Sha256).await,
        ];
        for other in others {
            let same = (&other.status, &other.reason, &other.revoked_at);
            assert_eq!(same, (&by_post.status, &by_post.reason, &by_post.revoked_at), "GET and POST differ");
        }
        by_post
    }

    /// Fetches the CRL that the leaf names, has openssl verify it against the issuer, and reads it.
    pub async fn crl(&self, chain: &Chain) -> Crl {
        let files = self.files(chain);
        let answer = fetch(&chain.crl_url()).await.expect("the CRL").expect(200);
        assert_eq!(
            answer.header("content-type"),
            "application/pkix-crl",
            "a CRL's media type (RFC 5280 4.2.1.13)"
        );
        let path = self.folder.path().join("issuer.crl");
        std::fs::write(&path, &answer.body).expect("a writable folder");
        let mut command = Command::new("openssl");
        command.args(["crl", "-inform", "DER", "-noout", "-text", "-CAfile"]).arg(&files.issuer);
        command.arg("-in").arg(&path);
        let finished = run(&mut command, INSTALL).await.succeeded();
        assert!(finished.stderr.contains("verify OK"), "the CRL verifies: {finished}");
        Crl::from_text(&finished.text())
    }

    /// Verifies the leaf as a client does that goes by the CRL which the leaf names.
    pub async fn verify_by_crl(&self, chain: &Chain) -> ByCrl {
        let files = self.files(chain);
        let answer = fetch(&chain.crl_url()).await.expect("the CRL").expect(200);
        let path = self.folder.path().join("issuer.crl");
        std::fs::write(&path, &answer.body).expect("a writable folder");
        let mut command = Command::new("openssl");
        command.args(["verify", "-x509_strict", "-crl_check", "-CAfile"]).arg(&self.roots);
        command.arg("-untrusted").arg(&files.issuer).arg("-CRLfile").arg(&path).arg(&files.leaf);
        ByCrl(run(&mut command, INSTALL).await)
    }

    /// Asserts that the issuer's certificate is where the leaf says, and is the one in the chain.
    pub async fn issuer_is_published(&self, chain: &Chain) {
        let answer = fetch(&chain.issuer_url()).await.expect("the issuer's certificate").expect(200);
        assert_eq!(answer.header("content-type"), "application/pkix-cert", "a certificate's media type");
        assert_eq!(answer.body, chain.issuer(), "caIssuers gives the certificate that is in the chain");
    }

    fn ocsp(&self, files: &Files, hash: Hash) -> Command {
        let mut command = Command::new("openssl");
        // The hash holds for the certificates after it; the issuer stands in for what the answer's signer needs.
        let hash = match hash {
            Hash::Sha1 => "-sha1",
            Hash::Sha256 => "-sha256",
        };
        command.args(["ocsp", hash, "-issuer"]).arg(&files.issuer).arg("-cert").arg(&files.leaf);
        command.arg("-CAfile").arg(&self.roots).arg("-verify_other").arg(&files.issuer);
        command
    }

    fn files(&self, chain: &Chain) -> Files {
        chain.write(self.folder.path())
    }
}

/// What openssl made of a leaf by its CRL.
pub struct ByCrl(Finished);

impl ByCrl {
    /// Fails the test unless the leaf verifies.
    #[track_caller]
    pub fn is_good(&self) {
        assert!(self.0.status.success(), "{}", self.0);
    }

    /// Fails the test unless the leaf is refused for being revoked.
    #[track_caller]
    pub fn is_revoked(&self) {
        assert!(!self.0.status.success() && self.0.said().contains("certificate revoked"), "{}", self.0);
    }
}

fn verdict(finished: &Finished) -> Verdict {
    let said = finished.said();
    if let Some((_, refusal)) = said.split_once("Responder Error: ") {
        let status = refusal.split_whitespace().next().unwrap_or("").to_owned();
        return Verdict { status, reason: None, revoked_at: None, this_update: None, next_update: None };
    }
    assert!(finished.status.success(), "openssl asked for a status: {finished}");
    assert!(said.contains("Response verify OK"), "openssl verifies the answer: {finished}");
    let after = |label: &str| {
        let line = said.lines().find_map(|line| line.split_once(label));
        line.map(|(_, value)| value.trim().to_owned())
    };
    Verdict {
        status: after("leaf.pem:").unwrap_or_default(),
        reason: after("Reason:"),
        revoked_at: after("Revocation Time:"),
        this_update: after("This Update:"),
        next_update: after("Next Update:"),
    }
}

/// The serials of a CRL that openssl has verified.
#[derive(Debug)]
pub struct Crl {
    serials: BTreeSet<String>,
}

impl Crl {
    fn from_text(text: &str) -> Self {
        let lines = text.lines().filter_map(|line| line.trim().strip_prefix("Serial Number:"));
        Self { serials: lines.map(|serial| serial.trim().to_owned()).collect() }
    }

    /// Whether it holds the leaf of this chain.
    pub fn contains(&self, chain: &Chain) -> bool {
        self.serials.contains(&chain.serial_hex())
    }
}

/// A new RSA-2048 key in PKCS#8 DER; ring makes none.
pub async fn rsa_key() -> Vec<u8> {
    let mut command = Command::new("openssl");
    command.args(["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"]);
    // Its PEM is PKCS#8; its DER would be the older RSAPrivateKey.
    let pem = run(&mut command, INSTALL).await.succeeded().stdout;
    PrivatePkcs8KeyDer::from_pem_slice(&pem).expect("a key in PKCS#8").secret_pkcs8_der().to_vec()
}
