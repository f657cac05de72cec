//! A running CA that signs with every kind of key, and files of all that it gives out.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use ingam_tests::certificate::{Chain, Files};
use ingam_tests::challenge::{Prover, Zone};
use ingam_tests::client::{Client, from_base64url};
use ingam_tests::command::run;
use ingam_tests::http::fetch;
use ingam_tests::judge::openssl;
use ingam_tests::ocsp::{self, Hash};
use ingam_tests::server::{Server, Setup, binary};
use ingam_tests::token::Tokens;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;

/// Each issuing CA, and a profile that it signs for.
pub(crate) const ISSUERS: [(&str, &str); 5] = [
    ("ecdsa", "tlsserver"),
    ("p384", "by-p384"),
    ("rsa", "classic-rsa"),
    ("rsa-3072", "by-rsa-3072"),
    ("rsa-4096", "by-rsa-4096"),
];

/// Kinds of subscribers' keys, as openssl makes them.
pub(crate) const KEYS: [(&str, &[&str]); 4] = [
    ("p256", &["ec", "-pkeyopt", "ec_paramgen_curve:P-256"]),
    ("p384", &["ec", "-pkeyopt", "ec_paramgen_curve:P-384"]),
    ("p521", &["ec", "-pkeyopt", "ec_paramgen_curve:P-521", "-sha512"]),
    ("rsa", &["rsa:2048"]),
];

/// Profiles that `ingam dev` has by itself, beside those of [`ISSUERS`].
pub(crate) const FURTHER_PROFILES: [&str; 3] = ["classic", "shortlived", "private"];

/// The profile whose certificates follow the RFCs alone.
pub(crate) const PRIVATE: &str = "private";
/// The profile whose certificates go to logs.
pub(crate) const LOGGED: &str = "logged";

/// Reasons for revocation by their numbers (RFC 5280, section 5.3.1); 0 is never told.
pub(crate) const REASONS: [u8; 6] = [0, 1, 3, 4, 5, 9];
/// privilegeWithdrawn, which operators alone may give.
const PRIVILEGE_WITHDRAWN: u8 = 9;

/// Lists on which many issuers' certificates are spread.
const SHARDS: usize = 2;

fn config() -> String {
    let mut text = format!(
        "[responder]\ncrl_shards = {SHARDS}\n\n[hierarchy.issuers]\np384 = \"ecdsa-p384\"\nrsa-3072 = \"rsa-3072\"\n\
         rsa-4096 = \"rsa-4096\"\n"
    );
    for (issuer, profile) in ISSUERS.iter().filter(|(_, profile)| profile.starts_with("by-")) {
        let validity = "validity_s = 7776000";
        text += &format!(
            "\n[profiles.{profile}]\ndescription = \"{issuer}\"\nissuer = \"{issuer}\"\n{validity}\n"
        );
    }
    text + "\n[profiles.logged]\ndescription = \"in logs\"\nissuer = \"ecdsa\"\nvalidity_s = 7776000\n\
            transparency = \"required\"\n"
}

/// Where the keys of the issuing CAs are. The root's, which signs at ceremonies alone, is in a file.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keys {
    InFiles,
    OnToken,
}

/// A subscriber's certificate.
pub(crate) struct Leaf {
    pub(crate) profile: String,
    pub(crate) names: Vec<String>,
    pub(crate) chain: Chain,
    pub(crate) files: Files,
}

/// An OCSP answer, with what was asked.
pub(crate) struct Answered {
    pub(crate) request: PathBuf,
    pub(crate) response: PathBuf,
    /// PEM of the issuer of what was asked about.
    pub(crate) issuer: PathBuf,
    pub(crate) body: Vec<u8>,
}

/// A CRL that the CA serves.
pub(crate) struct List {
    /// DER.
    pub(crate) file: PathBuf,
    /// PEM of the issuing CA.
    pub(crate) issuer: PathBuf,
    pub(crate) url: String,
    pub(crate) der: Vec<u8>,
}

pub(crate) struct World {
    pub(crate) server: Server,
    /// PEM of the root, as it is published.
    pub(crate) root: PathBuf,
    client: Client,
    prover: Prover,
    folder: PathBuf,
    made: usize,
}

impl World {
    pub(crate) async fn start(keys: Keys) -> Self {
        // pkilint takes http://localhost for no URL.
        let publication_host = "127.0.0.1".to_owned();
        let setup = Setup { further_config: config(), publication_host, ..Setup::new() };
        let server = match keys {
            Keys::InFiles => Server::start_with(setup).await,
            Keys::OnToken => start_on_token(setup).await,
        };
        let client = Client::registered(&server.site()).await.expect("an account");
        let prover = Prover::Dns(Zone::managed_at(server.ports().dns_management));
        let folder = server.scratch("judged");
        let published = format!("http://127.0.0.1:{}/roots.pem", server.ports().publication);
        let published = fetch(&published).await.expect("an answer").expect(200);
        let root = folder.join("root.pem");
        fs::write(&root, &published.body).expect("a writable folder");
        Self { server, root, client, prover, folder, made: 0 }
    }

    /// Writes a file under a name of its own.
    pub(crate) fn write(&mut self, ending: &str, bytes: &[u8]) -> PathBuf {
        self.made += 1;
        let path = self.folder.join(format!("{}.{ending}", self.made));
        fs::write(&path, bytes).expect("a writable folder");
        path
    }

    /// A certificate of a profile for a new key of this kind; with a wildcard where the profile is not private, as RFC 5280
    /// alone knows none.
    pub(crate) async fn issue(&mut self, profile: &str, key: &str) -> Leaf {
        self.made += 1;
        let name = format!("{}.{profile}.example.org", self.made);
        let mut names = vec![name.clone(), format!("www.{name}")];
        if profile != PRIVATE {
            names.push(format!("*.{name}"));
        }
        let names_text: Vec<&str> = names.iter().map(String::as_str).collect();
        let order =
            self.client.order_with(&names_text, json!({ "profile": profile })).await.expect("an order");
        let order = self.client.prove(&order, &self.prover).await.expect("control");
        let folder = self.folder.join(format!("{}-{profile}-{key}", self.made));
        fs::create_dir(&folder).expect("a writable folder");
        let csr = csr(&folder, &names, key).await;
        let order = self.client.finalize(&order, &csr).await.expect("a certificate");
        let chain = self.client.certificate(&order).await.expect("its chain");
        let files = chain.write(&folder);
        Leaf { profile: profile.to_owned(), names, chain, files }
    }

    /// Revokes as whoever subscribed would, or as an operator where only these may give the reason.
    pub(crate) async fn revoke(&mut self, leaf: &Leaf, reason: u8) {
        if reason == PRIVILEGE_WITHDRAWN {
            let serial = leaf.chain.serial_hex();
            let words = ["--revocation-reason", "privilegeWithdrawn", "--reason", "a test"];
            self.server.admin(&[&["revoke", serial.as_str()][..], &words].concat()).await.succeeded();
            return;
        }
        let told = (reason != 0).then_some(reason);
        self.client.revoke(leaf.chain.leaf(), told).await.expect("an answer").expect(200);
    }

    /// Asks about a certificate: by both hashes, by GET and POST, with and without a nonce.
    pub(crate) async fn ask(&mut self, leaf: &Leaf) -> Vec<Answered> {
        let mut all = Vec::new();
        for hash in [Hash::Sha1, Hash::Sha256] {
            let plain = ocsp::request_for(&leaf.chain, hash);
            let get = fetch(&ocsp::get_url(&leaf.chain.ocsp_url(), &plain)).await.expect("an answer");
            all.push(self.answered(leaf, &plain, get.expect(200).body.to_vec()));
            all.push(self.ask_by_post(leaf, &plain).await);
            let nonce = self.request_with_nonce(hash, std::slice::from_ref(leaf)).await;
            all.push(self.ask_by_post(leaf, &nonce).await);
        }
        all
    }

    /// One question about several certificates of one issuer.
    pub(crate) async fn ask_about_all(&mut self, leaves: &[Leaf]) -> Answered {
        let request = self.request_with_nonce(Hash::Sha1, leaves).await;
        self.ask_by_post(&leaves[0], &request).await
    }

    /// What is said to a question about a serial number that was never issued, and to no question.
    pub(crate) async fn refusals(&mut self, leaf: &Leaf) -> Vec<Vec<u8>> {
        let unknown = ocsp::request(leaf.chain.issuer(), &[1], Hash::Sha256);
        let mut bodies = Vec::new();
        for (request, status) in [(unknown, ocsp::UNAUTHORIZED), (vec![0], ocsp::MALFORMED)] {
            let answer = self.ask_by_post(leaf, &request).await;
            assert_eq!(ocsp::status(&answer.body), status);
            bodies.push(answer.body);
        }
        bodies
    }

    async fn ask_by_post(&mut self, leaf: &Leaf, request: &[u8]) -> Answered {
        let url = leaf.chain.ocsp_url();
        let mut connection = ocsp::connect(&url);
        let answer = ocsp::post(&mut connection, &url, request).await.expect("an answer").expect(200);
        self.answered(leaf, request, answer.body.to_vec())
    }

    async fn request_with_nonce(&self, hash: Hash, leaves: &[Leaf]) -> Vec<u8> {
        let text = |path: &Path| path.to_str().expect("a path in UTF-8").to_owned();
        let mut words = vec!["ocsp".to_owned(), "-reqout".to_owned(), "request".to_owned()];
        words.push(if hash == Hash::Sha1 { "-sha1" } else { "-sha256" }.to_owned());
        words.extend(["-issuer".to_owned(), text(&leaves[0].files.issuer)]);
        for leaf in leaves {
            words.extend(["-cert".to_owned(), text(&leaf.files.leaf)]);
        }
        openssl(&self.folder, &words.iter().map(String::as_str).collect::<Vec<_>>()).await;
        fs::read(self.folder.join("request")).expect("openssl wrote its request")
    }

    fn answered(&mut self, leaf: &Leaf, request: &[u8], body: Vec<u8>) -> Answered {
        let issuer = leaf.files.issuer.clone();
        let (request, response) = (self.write("request", request), self.write("response", &body));
        Answered { request, response, issuer, body }
    }

    /// All lists that the issuer of this certificate says it has, and the one of certificates that are in no shard.
    pub(crate) async fn lists(&mut self, issuer: &str, leaf: &Leaf) -> Vec<List> {
        let all = format!("http://127.0.0.1:{}/crl/{issuer}.json", self.server.ports().publication);
        let urls = fetch(&all).await.expect("an answer").expect(200).json();
        let mut urls: BTreeSet<String> = serde_json::from_value(urls).expect("an array of strings");
        urls.insert(all.replace(".json", ".crl"));
        let mut lists = Vec::new();
        for url in urls {
            let der = fetch(&url).await.expect("an answer").expect(200).body.to_vec();
            lists.push(List { file: self.write("crl", &der), issuer: leaf.files.issuer.clone(), url, der });
        }
        assert_eq!(lists.len(), SHARDS + 1);
        lists
    }

    /// The root's list, from where the certificate of this leaf's issuer says that it is.
    pub(crate) async fn root_list(&mut self, leaf: &Leaf) -> PathBuf {
        let url = ingam_tests::certificate::crl_url(leaf.chain.issuer());
        let der = fetch(&url).await.expect("an answer").expect(200).body.to_vec();
        self.write("crl", &der)
    }

    /// The next one, which `ingam ceremony` makes with this leaf's issuer on it, and which the CA is handed.
    pub(crate) async fn next_root_list(&mut self, leaf: &Leaf, before: &Path) -> PathBuf {
        self.made += 1;
        let file = self.folder.join(format!("{}.crl", self.made));
        let state = self.server.state().to_owned();
        let issuer = ingam_tests::certificate::parse(leaf.chain.issuer());
        let serial = issuer.raw_serial().iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let text = format!(
            "kind = \"crl\"\npublic = true\npresent = [\"Ann Lee\", \"Bo Kim\"]\n[issuer]\ncertificate = \"{state}/roots/root.pem\"\n\
             key = \"{state}/keys/root.pem\"\n[crl]\nprevious = \"{before}\"\nnext_update_days = 365\nfile = \"{file}\"\n\
             [[crl.revoked]]\nserial = \"{serial}\"\ndate = \"2026-11-01\"\nreason = \"keyCompromise\"\n",
            state = state.display(),
            before = before.display(),
            file = file.display(),
            serial = serial.trim_start_matches("00"),
        );
        let ceremony = self.write("toml", text.as_bytes());
        let mut command = Command::new(binary());
        run(command.arg("ceremony").arg(ceremony), "").await.succeeded();
        fs::copy(&file, state.join("published/root.crl")).expect("a folder that can be written");
        let reload = self.server.admin_json(&["reload", "--reason", "the root's next list"]).await;
        assert_eq!(reload["changed"], serde_json::json!(["published"]));
        let given_out = self.root_list(leaf).await;
        assert_eq!(fs::read(given_out).expect("a list"), fs::read(&file).expect("a list"));
        file
    }

    /// Every precertificate that is on record, DER.
    pub(crate) async fn precertificates(&self) -> Vec<Vec<u8>> {
        let words = ["log", "search", "--type", "precertificate_issued", "--reason", "a test"];
        let records = self.server.admin_json(&words).await;
        let items = records["items"].as_array().expect("records");
        let der = items.iter().map(|record| record["payload"]["precertificate"].as_str().expect("DER"));
        der.map(from_base64url).collect()
    }
}

/// A CA whose keys move onto a token before it signs for anybody: no file has one any more.
async fn start_on_token(mut setup: Setup) -> Server {
    let home = TempDir::new().expect("a temporary folder");
    let tokens = Tokens::new(home.path()).await;
    let settings = tokens.settings().to_str().expect("a path in UTF-8").to_owned();
    setup.environment.push(("SOFTHSM2_CONF".to_owned(), settings));
    let mut server = Server::start_in(home, setup).await;
    server.stop().await;
    let manifest = server.state().join("hierarchy.json");
    let text = fs::read(&manifest).expect("a hierarchy");
    let mut hierarchy: Value = serde_json::from_slice(&text).expect("JSON");
    let listed = hierarchy["issuers"].as_array_mut().expect("issuing CAs");
    assert_eq!(listed.len(), ISSUERS.len());
    for (number, issuer) in listed.iter_mut().enumerate() {
        let name = issuer["name"].as_str().expect("a name").to_owned();
        let file = server.state().join(format!("keys/{name}.pem"));
        tokens.import(&name, &file, number + 1).await;
        fs::remove_file(&file).expect("the key is in a file");
        issuer["key"] = tokens.uri(&name).into();
    }
    fs::write(&manifest, hierarchy.to_string()).expect("a writable folder");
    server.restart().await;
    server
}

/// A key of this kind in the folder, and a CSR for it, DER.
async fn csr(folder: &Path, names: &[String], key: &str) -> Vec<u8> {
    let (_, algorithm) = KEYS.iter().find(|(kind, _)| *kind == key).expect("a kind of key");
    let names = names.iter().map(|name| format!("DNS:{name}")).collect::<Vec<_>>().join(",");
    let extension = format!("subjectAltName={names}");
    let request = ["req", "-new", "-nodes", "-keyout", "leaf.key", "-out", "leaf.csr", "-outform", "DER"];
    let contents = ["-subj", "/", "-addext", &extension, "-newkey"];
    openssl(folder, &[&request[..], &contents, algorithm].concat()).await;
    fs::read(folder.join("leaf.csr")).expect("openssl wrote its request")
}
