//! A CA with what relying parties ask about.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ingam_tests::certificate::{Chain, Files};
use ingam_tests::challenge::{Prover, Zone};
use ingam_tests::client::{CertificateRequest, Client};
use ingam_tests::command::run;
use ingam_tests::http::fetch;
use ingam_tests::server::{Server, Setup};
use serde_json::json;
use tokio::process::Command;
use tokio::time::{Instant, sleep};

/// How long a program may take to do what it does by itself.
const PATIENCE: Duration = Duration::from_secs(30);
/// Its package has the database of certificates that NSS and Firefox use.
pub(crate) const NSS: &str = "Install NSS's programs, on Debian with `apt-get install libnss3-tools`";

/// A profile whose certificates say that their servers staple.
const INSISTING: &str = "[profiles.insisting]\ndescription = \"with stapling\"\nissuer = \"ecdsa\"\nvalidity_s = 7776000\n\
                         must_staple = \"always\"\n";

/// A certificate with its key.
pub(crate) struct Leaf {
    pub(crate) name: String,
    pub(crate) chain: Chain,
    pub(crate) files: Files,
    /// PEM of the whole chain, of the key, and of both.
    pub(crate) certificates: PathBuf,
    pub(crate) key: PathBuf,
    pub(crate) bundle: PathBuf,
    pub(crate) is_revoked: bool,
    /// Whether its issuer has a delegate sign answers.
    pub(crate) has_delegate: bool,
}

pub(crate) struct World {
    pub(crate) server: Server,
    pub(crate) root: PathBuf,
    pub(crate) folder: PathBuf,
    client: Client,
}

impl World {
    pub(crate) async fn start() -> Self {
        // nginx looks names up by a resolver of its own, which is not needed for an address.
        let setup = Setup {
            publication_host: "127.0.0.1".to_owned(),
            further_config: INSISTING.to_owned(),
            ..Setup::new()
        };
        let server = Server::start_with(setup).await;
        let client = Client::registered(&server.site()).await.expect("an account");
        let (root, folder) = (server.roots(), server.scratch("relying"));
        Self { server, root, folder, client }
    }

    /// A good and a revoked certificate of each issuer.
    pub(crate) async fn leaves(&mut self) -> Vec<Leaf> {
        let mut leaves = Vec::new();
        for (profile, has_delegate) in [("classic", false), ("classic-rsa", true)] {
            leaves.push(self.issue(&format!("good.{profile}.example.org"), profile, has_delegate).await);
            let mut revoked = self.issue(&format!("bad.{profile}.example.org"), profile, has_delegate).await;
            self.revoke(&mut revoked).await;
            leaves.push(revoked);
        }
        leaves
    }

    pub(crate) async fn issue(&mut self, name: &str, profile: &str, has_delegate: bool) -> Leaf {
        let prover = Prover::Dns(Zone::managed_at(self.server.ports().dns_management));
        Leaf { has_delegate, ..self.issue_by(&prover, &[name], profile).await }
    }

    /// One of several names and addresses, by an issuer that answers by itself; the first name is its own.
    pub(crate) async fn issue_by(&mut self, prover: &Prover, names: &[&str], profile: &str) -> Leaf {
        let (request, name) = (CertificateRequest::of(names), names[0]);
        let order = self.client.order_with(names, json!({ "profile": profile })).await.expect("an order");
        let order = self.client.prove(&order, prover).await.expect("control");
        let order = self.client.finalize(&order, &request.der).await.expect("a certificate");
        let chain = self.client.certificate(&order).await.expect("its chain");
        let folder = self.folder.join(name);
        fs::create_dir(&folder).expect("a writable folder");
        let files = chain.write(&folder);
        let (certificates, key) = (folder.join("chain.pem"), folder.join("leaf.key"));
        let (bundle, key_pem) = (folder.join("bundle.pem"), request.key.serialize_pem());
        fs::write(&certificates, chain.pem()).expect("a writable folder");
        fs::write(&key, &key_pem).expect("a writable folder");
        fs::write(&bundle, [chain.pem(), key_pem.as_bytes()].concat()).expect("a writable folder");
        let name = name.to_owned();
        Leaf { name, chain, files, certificates, key, bundle, is_revoked: false, has_delegate: false }
    }

    /// Revokes it, as its key is known to others.
    pub(crate) async fn revoke(&mut self, leaf: &mut Leaf) {
        self.client.revoke(leaf.chain.leaf(), Some(1)).await.expect("an answer").expect(200);
        leaf.is_revoked = true;
    }

    /// How many answers with this status the responder has given.
    pub(crate) async fn answers(&self, status: &str) -> u64 {
        let url = format!("http://localhost:{}/metrics", self.server.ports().metrics);
        let text = fetch(&url).await.expect("metrics").expect(200).text();
        let series = format!("ingam_ocsp_responses_total{{status=\"{status}\"}} ");
        let count = text.lines().find_map(|line| line.strip_prefix(series.as_str()));
        count.expect("it is counted from the start").parse().expect("a number")
    }

    /// Puts the root as a CA that is trusted into a new database of NSS in this folder.
    pub(crate) async fn write_database(&self, folder: &Path) {
        fs::create_dir_all(folder).expect("a writable folder");
        let database = format!("sql:{}", text(folder));
        for words in
            [&["-N", "--empty-password"][..], &["-A", "-n", "root", "-t", "CT,,", "-i", text(&self.root)]]
        {
            let mut command = Command::new("certutil");
            run(command.args(["-d", &database]).args(words), NSS).await.succeeded();
        }
    }
}

pub(crate) fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

/// Looks until there is what is looked for; fails the test if that takes too long.
pub(crate) async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < end, "{what}: not within {PATIENCE:?}");
        sleep(Duration::from_millis(100)).await;
    }
}
