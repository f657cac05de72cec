//! What the signer makes, openssl judges: hierarchy, leaves of every kind of key, OCSP answers of both kinds of signer,
//! CRLs. What it makes with keys that builds with aws-lc-rs alone have is in `private`. An openssl that is not there is a failure: these tests are the only ones in which another program reads our
//! bytes.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "functions beside the tests of this file are tests too, which clippy cannot know"
)]

#[cfg(feature = "aws-lc-rs")]
mod private;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use ingam_journal::simulated::SimulatedDisk;
use ingam_protocol::crl::{Entry, Scope};
use ingam_protocol::ocsp::{CertStatus, SingleResponse, parse_request};
use ingam_protocol::profile::{IssuerName, MustStaple, Profile, ProfileName};
use ingam_protocol::time::FixedClock;
use ingam_protocol::{Identifier, Random, Reason, Serial, Shard, Timestamp};
use ingam_signer::hierarchy::{Existing, ExistingIssuer, IssuerPlan, Plan, Protection};
use ingam_signer::tls::DevTls;
use ingam_signer::{
    CertificateRequest, CrlContents, DelegateCertificate, Hierarchy, IssuerUrls, KeyKind, Ledger,
    LocalSigner, OcspAnswer, Passphrase, Signer,
};

/// openssl looks at the real time, so these tests do too.
fn now() -> Timestamp {
    #[expect(clippy::disallowed_methods, reason = "openssl judges by the time that it is")]
    let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    Timestamp::from_unix_s(since_epoch.as_secs())
}

struct SystemRandomness;

impl Random for SystemRandomness {
    fn fill(&self, buffer: &mut [u8]) {
        use std::io::Read;
        fs::File::open("/dev/urandom").unwrap().read_exact(buffer).unwrap();
    }
}

fn name(text: &str) -> IssuerName {
    IssuerName::try_from(text.to_owned()).unwrap()
}

fn openssl(arguments: &[&str]) -> String {
    let output = Command::new("openssl").args(arguments).output().expect("openssl is needed for these tests");
    let text =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "openssl {arguments:?}\n{text}");
    text
}

fn passphrase(text: &str) -> Passphrase {
    Passphrase::new(text.as_bytes().to_vec()).unwrap()
}

struct World {
    folder: tempfile::TempDir,
    signer: LocalSigner,
    hierarchy: Hierarchy,
    /// Certificates of those who answer for issuers.
    delegates: Vec<DelegateCertificate>,
}

impl World {
    async fn new() -> Self {
        Self::made(true, &[("ecdsa", KeyKind::EcdsaP256), ("rsa", KeyKind::Rsa2048)]).await
    }

    /// A signer with a new hierarchy, of issuers with keys of these kinds.
    async fn made(is_public: bool, issuers: &[(&str, KeyKind)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let plan = Plan {
            is_public,
            publication: "http://pki.ca.example".to_owned(),
            country: "XX".to_owned(),
            organization: "Ingam Development".to_owned(),
            root: name("root"),
            issuers: issuers.iter().map(|(own, key)| IssuerPlan { name: name(own), key: *key }).collect(),
        };
        let made = Hierarchy::create(&plan, &FixedClock::new(now()), &SystemRandomness).unwrap();
        made.save(folder.path(), &Protection::default(), &SystemRandomness).unwrap();
        Self::of(folder).await
    }

    /// A signer with what is in a folder.
    async fn of(folder: tempfile::TempDir) -> Self {
        let clock = Arc::new(FixedClock::new(now()));
        let hierarchy = Hierarchy::load(folder.path(), None).unwrap();
        let urls = hierarchy.intermediates.iter().map(|issuer| {
            let issuer = issuer.name.clone();
            let urls = IssuerUrls {
                ocsp: "http://127.0.0.1:14080/ocsp".to_owned(),
                issuer: format!("http://127.0.0.1:14080/issuer/{issuer}"),
                crl: format!("http://127.0.0.1:14080/crl/{issuer}"),
            };
            (issuer, urls)
        });
        let ledger = Ledger::open(Arc::new(SimulatedDisk::new()), clock.clone()).unwrap();
        let random = Arc::new(SystemRandomness);
        let signer = LocalSigner::new(hierarchy.clone(), urls.collect(), ledger, clock, random).unwrap();
        let delegates = signer.renew_delegates(now()).await;
        Self { folder, signer, hierarchy, delegates }
    }

    fn path(&self, file: &str) -> String {
        self.folder.path().join(file).to_str().unwrap().to_owned()
    }

    fn write(&self, file: &str, contents: &[u8]) -> String {
        fs::write(self.folder.path().join(file), contents).unwrap();
        self.path(file)
    }

    /// A public key that openssl made, as DER of a SubjectPublicKeyInfo.
    fn subject_key(&self, algorithm: &[&str]) -> Vec<u8> {
        let (private, public) = (self.path("subject.key"), self.path("subject.pub"));
        openssl(&[&["genpkey", "-out", &private][..], algorithm].concat());
        openssl(&["pkey", "-in", &private, "-pubout", "-outform", "DER", "-out", &public]);
        fs::read(public).unwrap()
    }

    async fn leaf(&self, issuer: &str, public_key_info: Vec<u8>, names: &[&str]) -> (Serial, Vec<u8>) {
        self.leaf_of(profile(issuer), public_key_info, names).await
    }

    async fn leaf_of(&self, profile: Profile, public_key_info: Vec<u8>, names: &[&str]) -> (Serial, Vec<u8>) {
        let serial = Serial::new(&SystemRandomness);
        (serial.clone(), self.leaf_with(serial, profile, public_key_info, names).await)
    }

    async fn leaf_with(
        &self,
        serial: Serial,
        profile: Profile,
        public_key_info: Vec<u8>,
        names: &[&str],
    ) -> Vec<u8> {
        let issuer = profile.issuers.signing().next().unwrap().clone();
        let request = CertificateRequest {
            issuer,
            must_staple: profile.contents.must_staple == MustStaple::Always,
            not_before: None,
            not_after: None,
            profile: Arc::new(profile),
            serial,
            identifiers: names.iter().map(|name| Identifier::parse_dns(name).unwrap()).collect(),
            public_key_info,
            now: now(),
        };
        let prepared = self.signer.prepare(request).await.unwrap();
        self.signer.issue(prepared).await.unwrap()
    }
}

fn profile(issuer: &str) -> Profile {
    Profile {
        description: "ninety days".to_owned(),
        order_lifetime: Duration::from_secs(86400),
        pending_authorization_lifetime: Duration::from_secs(86400),
        valid_authorization_lifetime: Duration::from_secs(86400),
        ..Profile::usual(ProfileName::try_from("classic".to_owned()).unwrap(), name(issuer))
    }
}

const P256: &[&str] = &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"];

/// Writes a certificate as PEM, for `openssl verify`.
fn to_pem(world: &World, file: &str, der: &[u8]) -> String {
    let (from, to) = (world.write(&format!("{file}.der"), der), world.path(&format!("{file}.pem")));
    openssl(&["x509", "-inform", "DER", "-in", &from, "-out", &to]);
    to
}

#[tokio::test]
async fn chains_verify_for_every_kind_of_key() {
    let world = World::new().await;
    let keys: [&[&str]; 5] = [
        P256,
        &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"],
        &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-521"],
        &["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"],
        &["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:3072"],
    ];
    let root = world.path("roots/root.pem");
    for issuer in ["ecdsa", "rsa"] {
        let intermediate = world.path(&format!("issuers/{issuer}.pem"));
        openssl(&["verify", "-x509_strict", "-CAfile", &root, &intermediate]);
        for algorithm in keys {
            let key = world.subject_key(algorithm);
            let (_, leaf) = world.leaf(issuer, key.clone(), &["example.org", "*.example.org"]).await;
            let leaf = to_pem(&world, "leaf", &leaf);
            let public = openssl(&["x509", "-in", &leaf, "-noout", "-pubkey"]);
            let wanted = openssl(&["pkey", "-pubin", "-inform", "DER", "-in", &world.write("key.der", &key)]);
            assert_eq!(public, wanted);
            openssl(&[
                "verify",
                "-x509_strict",
                "-policy",
                "2.23.140.1.2.1",
                "-explicit_policy",
                "-purpose",
                "sslserver",
                "-verify_hostname",
                "www.example.org",
                "-CAfile",
                &root,
                "-untrusted",
                &intermediate,
                &leaf,
            ]);
        }
    }
}

#[tokio::test]
async fn a_leaf_reads_as_it_should() {
    let world = World::new().await;
    let key = world.subject_key(P256);
    let (serial, leaf) = world.leaf("ecdsa", key, &["b.example", "a.example", "B.example"]).await;
    let leaf = to_pem(&world, "leaf", &leaf);
    let text = openssl(&["x509", "-in", &leaf, "-noout", "-text"]);
    for line in [
        "Version: 3 (0x2)",
        "Signature Algorithm: ecdsa-with-SHA256",
        "X509v3 Subject Alternative Name: critical\n                DNS:a.example, DNS:b.example\n",
        "X509v3 Key Usage: critical\n                Digital Signature\n",
        "X509v3 Extended Key Usage: \n                TLS Web Server Authentication\n",
        "X509v3 Basic Constraints: critical\n                CA:FALSE\n",
        "Policy: 2.23.140.1.2.1\n",
        "OCSP - URI:http://127.0.0.1:14080/ocsp\n",
        "CA Issuers - URI:http://127.0.0.1:14080/issuer/ecdsa\n",
        "URI:http://127.0.0.1:14080/crl/ecdsa\n",
        "X509v3 Subject Key Identifier",
        "X509v3 Authority Key Identifier",
    ] {
        assert!(text.contains(line), "{line:?} is not in:\n{text}");
    }
    let subject = openssl(&["x509", "-in", &leaf, "-noout", "-subject", "-serial"]);
    assert_eq!(subject, format!("subject=\nserial={}\n", serial.to_string().to_uppercase()));
    let rsa = world.subject_key(&["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"]);
    let (_, leaf) = world.leaf("rsa", rsa, &["a.example"]).await;
    let text = openssl(&["x509", "-in", &to_pem(&world, "leaf", &leaf), "-noout", "-text"]);
    assert!(
        text.contains("X509v3 Key Usage: critical\n                Digital Signature, Key Encipherment\n")
    );
    assert!(text.contains("Signature Algorithm: sha256WithRSAEncryption"));
}

async fn ocsp_verdict(world: &World, issuer: &str, status: CertStatus) -> String {
    let key = world.subject_key(P256);
    let (_, leaf) = world.leaf(issuer, key, &["example.org"]).await;
    let leaf = to_pem(world, "leaf", &leaf);
    ocsp_verdict_of(world, issuer, &leaf, status).await
}

/// Asks as openssl does, answers as told, and lets openssl judge the answer.
async fn ocsp_verdict_of(world: &World, issuer: &str, leaf: &str, status: CertStatus) -> String {
    let (request, response) = answer(world, issuer, leaf, status).await;
    let (root, intermediate) = (world.path("roots/root.pem"), world.path(&format!("issuers/{issuer}.pem")));
    let asked = ["ocsp", "-issuer", &intermediate, "-cert", leaf, "-reqin", &request, "-respin", &response];
    openssl(&[&asked[..], &["-CAfile", &root, "-verify_other", &intermediate, "-no_nonce"]].concat())
}

/// Files of a question about a leaf, as openssl asks it, and of the answer, which is as told.
async fn answer(world: &World, issuer: &str, leaf: &str, status: CertStatus) -> (String, String) {
    let intermediate = world.path(&format!("issuers/{issuer}.pem"));
    let (request, response) = (world.path("request.der"), world.path("response.der"));
    openssl(&["ocsp", "-issuer", &intermediate, "-cert", leaf, "-reqout", &request]);
    let asked = parse_request(&fs::read(&request).unwrap()).unwrap();
    let answer = OcspAnswer {
        responses: vec![SingleResponse {
            cert_id: asked.cert_ids[0].der.clone(),
            status,
            this_update: now(),
            next_update: now().plus(Duration::from_secs(7 * 86400 - 1)),
        }],
        produced_at: now(),
        nonce: asked.nonce.clone(),
    };
    fs::write(&response, world.signer.sign_ocsp(&name(issuer), answer).await.unwrap()).unwrap();
    (request, response)
}

#[tokio::test]
async fn ocsp_answers_of_both_kinds_of_signer_verify() {
    let world = World::new().await;
    assert!(world.delegates.iter().all(|delegate| delegate.issuer == name("rsa")));
    assert_eq!(world.delegates.len(), 1);
    for issuer in ["ecdsa", "rsa"] {
        let good = ocsp_verdict(&world, issuer, CertStatus::Good).await;
        assert!(good.contains("Response verify OK") && good.contains(": good"), "{good}");
        assert!(!good.contains("WARNING"), "{good}");
        let revoked = CertStatus::Revoked { at: now(), reason: Reason::KeyCompromise };
        let revoked = ocsp_verdict(&world, issuer, revoked).await;
        assert!(
            revoked.contains("Response verify OK") && revoked.contains("Reason: keyCompromise"),
            "{revoked}"
        );
        let text = openssl(&["ocsp", "-respin", &world.path("response.der"), "-noverify", "-text"]);
        let has_delegate = text.contains("OCSP No Check") && text.contains("OCSP Signing");
        assert_eq!(has_delegate, issuer == "rsa", "{text}");
    }
}

/// A list of an issuer, of one day, with these certificates on it.
async fn list(world: &World, issuer: &str, scope: Scope, serials: Vec<Serial>) -> Vec<u8> {
    let revoked = |serial| Entry { serial, revoked_at: now(), reason: Reason::Superseded };
    let contents = CrlContents {
        scope,
        number: 7,
        this_update: now(),
        next_update: now().plus(Duration::from_secs(86400)),
        entries: serials.into_iter().map(revoked).collect(),
    };
    world.signer.sign_crl(&name(issuer), contents).await.unwrap()
}

#[tokio::test]
async fn crls_verify_and_revoke() {
    let world = World::new().await;
    for (issuer, scope) in [
        ("ecdsa", Scope::Complete),
        ("rsa", Scope::Complete),
        ("ecdsa", Scope::Unsharded),
        ("ecdsa", Scope::Shard(SHARD)),
        ("rsa", Scope::Shard(SHARD)),
    ] {
        crl_revokes(&world, &profile(issuer), scope).await;
    }
}

const SHARD: Shard = Shard(12);

/// A list of the profile's issuer revokes what is on it, and nothing else.
async fn crl_revokes(world: &World, profile: &Profile, scope: Scope) {
    let issuer = profile.issuers.signing().next().unwrap().as_str();
    let new_serial = || match scope.shard() {
        None => Serial::new(&SystemRandomness),
        Some(shard) => Serial::in_shard(&SystemRandomness, shard),
    };
    let key = world.subject_key(P256);
    let serial = new_serial();
    let leaf = world.leaf_with(serial.clone(), profile.clone(), key.clone(), &["example.org"]).await;
    let other = world.leaf_with(new_serial(), profile.clone(), key.clone(), &["example.net"]).await;
    let elsewhere = Serial::in_shard(&SystemRandomness, Shard(13));
    let elsewhere = world.leaf_with(elsewhere, profile.clone(), key, &["example.net"]).await;
    let crl = list(world, issuer, scope, vec![serial]).await;
    let (from, crl) = (world.write("crl.der", &crl), world.path("crl.pem"));
    let (root, intermediate) = (world.path("roots/root.pem"), world.path(&format!("issuers/{issuer}.pem")));
    let words = ["crl", "-inform", "DER", "-in", &from, "-out", &crl, "-CAfile", &intermediate, "-text"];
    let text = openssl(&words);
    assert!(text.contains("verify OK"), "{text}");
    let both =
        world.write("both.pem", &[fs::read(&root).unwrap(), fs::read(&intermediate).unwrap()].concat());
    let verify = |leaf: &str| {
        let arguments = ["verify", "-crl_check", "-CAfile", &both, "-CRLfile", &crl, leaf];
        Command::new("openssl").args(arguments).output().unwrap()
    };
    let (leaf, other) = (to_pem(world, "leaf", &leaf), to_pem(world, "other", &other));
    assert!(verify(&other).status.success());
    // What points to another list learns nothing from a list that is not complete.
    let stranger = verify(&to_pem(world, "elsewhere", &elsewhere));
    assert_eq!(stranger.status.success(), scope == Scope::Complete, "{scope:?}");
    let refused = verify(&leaf);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("certificate revoked"));
}

#[test]
fn the_development_servers_certificate_verifies() {
    let folder = tempfile::tempdir().unwrap();
    let clock = FixedClock::new(now());
    DevTls::load_or_create(folder.path(), &clock, &SystemRandomness).unwrap();
    let path = |file: &str| -> PathBuf { Path::new(folder.path()).join(file) };
    let (ca, server) = (path("tls-ca.pem"), path("tls-server.pem"));
    let (ca, server) = (ca.to_str().unwrap(), server.to_str().unwrap());
    for (option, value) in
        [("-verify_hostname", "localhost"), ("-verify_ip", "127.0.0.1"), ("-verify_ip", "::1")]
    {
        openssl(&["verify", "-x509_strict", "-purpose", "sslserver", option, value, "-CAfile", ca, server]);
    }
}

#[tokio::test]
async fn the_keys_files_are_what_openssl_takes_for_keys() {
    let world = World::new().await;
    for issuer in ["ecdsa", "rsa"] {
        let key = openssl(&["pkey", "-in", &world.path(&format!("keys/{issuer}.pem")), "-pubout"]);
        let certificate = world.path(&format!("issuers/{issuer}.pem"));
        assert_eq!(key, openssl(&["x509", "-in", &certificate, "-noout", "-pubkey"]));
    }
    assert!(world.hierarchy.root.key.is_none(), "the root's key is never loaded");
}

#[tokio::test]
async fn keys_under_a_passphrase_are_what_openssl_takes_for_them() {
    let world = World::new().await;
    let folder = tempfile::tempdir().unwrap();
    let plain = |key: &str| world.path(&format!("keys/{key}.pem"));
    let clock = FixedClock::new(now());
    let issuers = ["ecdsa", "rsa"].map(|issuer| ExistingIssuer {
        name: name(issuer),
        certificate: world.path(&format!("issuers/{issuer}.pem")).into(),
        key: plain(issuer).parse().unwrap(),
    });
    let existing = Existing {
        further: Vec::new(),
        root: name("root"),
        root_certificate: world.path("roots/root.pem").into(),
        issuers: issuers.into(),
        passphrase: None,
        pin: None,
    };
    let taken = Hierarchy::take_over(&existing, &clock, &SystemRandomness).unwrap();
    let protection = Protection { root: None, issuers: Some(passphrase("a secret")) };
    taken.save(folder.path(), &protection, &SystemRandomness).unwrap();
    for issuer in ["ecdsa", "rsa"] {
        let path = folder.path().join(format!("keys/{issuer}.pem"));
        let path = path.to_str().unwrap();
        assert!(fs::read_to_string(path).unwrap().starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----\n"));
        let opened = openssl(&["pkey", "-in", path, "-passin", "pass:a secret", "-pubout"]);
        assert_eq!(opened, openssl(&["pkey", "-in", &plain(issuer), "-pubout"]));
        let wrong = ["pkey", "-in", path, "-passin", "pass:another", "-noout"];
        assert!(!Command::new("openssl").args(wrong).output().unwrap().status.success());
        let parsed = openssl(&["asn1parse", "-in", path]);
        for part in ["PBES2", ":scrypt", ":4000", "aes-256-cbc"] {
            assert!(parsed.contains(part), "{part} is not in:\n{parsed}");
        }
    }
    Hierarchy::load(folder.path(), Some(&passphrase("a secret"))).unwrap();
}

/// A CA that openssl made, with encrypted keys, in files; `subject` is that of the issuing CA on P-256.
fn foreign_ca(subject: &str) -> (tempfile::TempDir, Existing) {
    let folder = tempfile::tempdir().unwrap();
    let path = |file: &str| folder.path().join(file).to_str().unwrap().to_owned();
    let ca = ["-x509", "-nodes", "-addext", "keyUsage=critical,keyCertSign,cRLSign"];
    let (root, root_key) = (path("root.pem"), path("root.key"));
    let new_root =
        ["req", "-newkey", "rsa:2048", "-keyout", &root_key, "-out", &root, "-subj", "/CN=Elsewhere"];
    openssl(&[&new_root[..], &ca, &["-days", "31"]].concat());
    let keys: [(&str, &[&str]); 2] =
        [("ecdsa", P256), ("rsa", &["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:3072"])];
    let issuers = keys.map(|(issuer, algorithm)| {
        let (certificate, key) = (path(&format!("{issuer}.pem")), path(&format!("{issuer}.key")));
        let new_key = ["genpkey", "-aes256", "-pass", "pass:old", "-out", &key];
        openssl(&[&new_key[..], algorithm].concat());
        let subject = if issuer == "ecdsa" { subject } else { "/C=KR/O=Elsewhere/CN=RSA" };
        let signed = ["req", "-key", &key, "-passin", "pass:old", "-out", &certificate, "-subj", subject];
        let by =
            ["-CA", &root, "-CAkey", &root_key, "-addext", "basicConstraints=critical,CA:TRUE,pathlen:0"];
        openssl(&[&signed[..], &ca, &by, &["-days", "30"]].concat());
        ExistingIssuer { name: name(issuer), certificate: certificate.into(), key: key.parse().unwrap() }
    });
    let existing = Existing {
        further: Vec::new(),
        root: name("root"),
        root_certificate: root.into(),
        issuers: issuers.into(),
        passphrase: Some(passphrase("old")),
        pin: None,
    };
    (folder, existing)
}

#[tokio::test]
async fn a_ca_that_openssl_made_goes_on_here() {
    let (_files, existing) = foreign_ca("/C=KR/O=Elsewhere/CN=ECDSA");
    let clock = FixedClock::new(now().plus(Duration::from_secs(5)));
    let missing = Existing { passphrase: None, ..existing.clone() };
    let error = Hierarchy::take_over(&missing, &clock, &SystemRandomness).unwrap_err().to_string();
    assert!(error.contains("ecdsa.key") && error.contains("--existing-passphrase-file"), "{error}");
    let folder = tempfile::tempdir().unwrap();
    let taken = Hierarchy::take_over(&existing, &clock, &SystemRandomness).unwrap();
    taken.save(folder.path(), &Protection::default(), &SystemRandomness).unwrap();

    let world = World::of(folder).await;
    let root = world.path("roots/root.pem");
    for issuer in ["ecdsa", "rsa"] {
        let intermediate = world.path(&format!("issuers/{issuer}.pem"));
        // Its issuer ends before a certificate of ninety days would.
        let day = Profile { validity: Duration::from_secs(86400), ..profile(issuer) };
        let (_, leaf) = world.leaf_of(day, world.subject_key(P256), &["example.org"]).await;
        let leaf = to_pem(&world, "leaf", &leaf);
        openssl(&["verify", "-x509_strict", "-CAfile", &root, "-untrusted", &intermediate, &leaf]);
        // Neither certificate has digitalSignature: a delegate answers for both.
        let good = ocsp_verdict_of(&world, issuer, &leaf, CertStatus::Good).await;
        assert!(good.contains("Response verify OK") && good.contains(": good"), "{good}");
        let text = openssl(&["ocsp", "-respin", &world.path("response.der"), "-noverify", "-text"]);
        assert!(text.contains("OCSP No Check"), "{text}");
    }
}

#[test]
fn a_subject_that_would_not_be_repeated_is_found_before_anything_is_signed() {
    let (_files, existing) = foreign_ca("/O=Elsewhere/OU=One/OU=Two/CN=ECDSA");
    let clock = FixedClock::new(now().plus(Duration::from_secs(5)));
    let error = Hierarchy::take_over(&existing, &clock, &SystemRandomness).unwrap_err().to_string();
    assert!(error.contains("ecdsa.pem") && error.contains("issuer_name"), "{error}");
}
