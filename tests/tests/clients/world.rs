//! A server for one client's story, and the proofs that the client did what it said: by openssl, by what operators see,
//! and by what the server counts.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ingam_tests::certificate::{Chain, parse};
use ingam_tests::client::Client;
use ingam_tests::command::{INSTALL_CLIENTS, run};
use ingam_tests::http::fetch;
use ingam_tests::openssl::Openssl;
use ingam_tests::server::Server;
use ingam_tests::site::Site;
use serde_json::Value;
use tokio::process::Command;
use tokio::time::{Instant, sleep};

use crate::matrix::{Ability, Cell, Column};
use crate::{EAB_IS_OFFERED, RENEWAL_INFO_IS_OFFERED};

pub use x509_parser::public_key::PublicKey;

/// One client, one server, and what the client has shown so far.
pub struct World {
    pub server: Server,
    pub site: Site,
    /// For the client's files; it goes with the server.
    pub folder: PathBuf,
    openssl: Openssl,
    directory: Value,
    column: Column,
}

/// An account as operators see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    pub id: String,
    pub status: String,
    pub thumbprint: String,
}

/// The key of an external account (RFC 8555, section 7.3.4).
#[derive(Debug, Clone)]
pub struct ExternalAccount {
    pub kid: String,
    /// base64url.
    pub hmac: String,
}

impl World {
    /// A server with nothing in it.
    pub async fn of(client: &'static str, version: String) -> Self {
        let server = Server::start().await;
        let (site, folder, openssl) = (server.site(), server.scratch("client"), server.openssl());
        let key = ingam_tests::jws::Key::es256();
        let directory = Client::new(&site, key).await.expect("the directory").directory().clone();
        let column = Column { client, version, cells: BTreeMap::new() };
        Self { server, site, folder, openssl, directory, column }
    }

    /// The client has done this, and the story has looked at the result.
    pub fn shows(&mut self, ability: Ability) {
        let before = self.column.cells.insert(ability, Cell::Shown);
        assert!(!matches!(before, Some(Cell::Lacking(_))), "{ability:?} was said to be lacking");
    }

    /// The client has no way to do these.
    pub fn lacks(&mut self, abilities: &[(Ability, &'static str)]) {
        for (ability, why) in abilities {
            let before = self.column.cells.insert(*ability, Cell::Lacking(why));
            assert_eq!(before, None, "{ability:?} is told of twice");
        }
    }

    /// What is known now; fails the test if an ability was forgotten.
    pub fn end(self) -> Column {
        let untold: Vec<Ability> =
            Ability::ALL.into_iter().filter(|ability| !self.column.cells.contains_key(ability)).collect();
        assert!(untold.is_empty(), "{} was put through nothing of {untold:?}", self.column.client);
        self.column
    }

    /// Asserts that this chain is for these names, verifies, and is good by OCSP.
    pub async fn is_issued(&self, chain: &Chain, names: &[&str]) {
        assert_eq!(chain.names(), names);
        self.openssl.verify(chain, names).await;
        self.openssl.status(chain).await.is_good();
    }

    /// Asserts that the profile `classic-rsa` decided who signed it.
    pub fn is_of_the_rsa_profile(&self, chain: &Chain) {
        let issuer = parse(chain.issuer());
        assert!(matches!(issuer.public_key().parsed(), Ok(PublicKey::RSA(_))), "the issuer's key is RSA");
    }

    /// Asserts that this chain's leaf is revoked, by OCSP and by the CRL.
    pub async fn is_revoked(&self, chain: &Chain, reason: Option<&str>) {
        self.openssl.status(chain).await.is_revoked(reason);
        assert!(self.openssl.crl(chain).await.contains(chain), "the CRL holds what was revoked");
    }

    /// Asserts that the leaf is as good as ever.
    pub async fn is_good(&self, chain: &Chain) {
        self.openssl.status(chain).await.is_good();
        assert!(!self.openssl.crl(chain).await.contains(chain), "the CRL holds nothing but what was revoked");
    }

    /// All accounts, the oldest first.
    pub async fn accounts(&self) -> Vec<Account> {
        let page = self.server.admin_json(&["account", "list"]).await;
        let items = page["items"].as_array().unwrap_or_else(|| panic!("no items: {page}"));
        let text = |item: &Value, name: &str| item[name].as_str().expect("a text").to_owned();
        let mut accounts: Vec<(String, Account)> = items
            .iter()
            .map(|item| {
                let account = Account {
                    id: text(item, "id"),
                    status: text(item, "status"),
                    thumbprint: text(item, "key_thumbprint"),
                };
                (text(item, "created"), account)
            })
            .collect();
        accounts.sort_by(|one, other| one.0.cmp(&other.0));
        accounts.into_iter().map(|(_, account)| account).collect()
    }

    /// The account of a client that has one.
    pub async fn account(&self) -> Account {
        let accounts = self.accounts().await;
        assert_eq!(accounts.len(), 1, "one account: {accounts:?}");
        accounts.into_iter().next().expect("one was just counted")
    }

    /// The contacts of an account.
    pub async fn contacts(&self, account: &Account) -> Vec<String> {
        let found = self.server.admin_json(&["account", "contacts", &account.id, "--reason", "a test"]).await;
        let contacts = found["contacts"].as_array().expect("a list of contacts");
        contacts.iter().map(|contact| contact.as_str().expect("a text").to_owned()).collect()
    }

    /// Where the server tells of renewals (RFC 9773), or `None` with the ability noted as not offered yet.
    pub fn renewal_info(&mut self) -> Option<String> {
        let url = self.directory["renewalInfo"].as_str().map(str::to_owned);
        assert!(url.is_some() || !RENEWAL_INFO_IS_OFFERED, "the directory has no renewalInfo");
        if url.is_none() {
            self.column.cells.insert(Ability::RenewalInfo, Cell::NotOffered);
        }
        url
    }

    /// Puts a certificate into an incident, with this page for subscribers: it is to be renewed at once.
    pub async fn pull_forward(&self, chain: &Chain, explanation: &str) {
        let open =
            ["incident", "open", "leak", "--summary", "keys in a repository", "--explanation", explanation];
        self.server.admin(&open).await.succeeded();
        self.server.admin(&["incident", "add", "leak", &chain.serial_hex()]).await.succeeded();
    }

    /// A certificate as operators see it.
    pub async fn certificate(&self, chain: &Chain) -> Value {
        self.server.admin_json(&["cert", "show", &chain.serial_hex()]).await
    }

    /// How many requests the server has counted for the route of this URL and whatever is below it.
    pub async fn requests(&self, url: &str) -> u64 {
        let path = url.splitn(4, '/').nth(3).expect("a URL with a path");
        let metrics = fetch(&format!("http://127.0.0.1:{}/metrics", self.server.ports().metrics)).await;
        let text = String::from_utf8(metrics.expect("the metrics").expect(200).body.to_vec()).expect("text");
        let label = format!("route=\"/{path}");
        let counted = text
            .lines()
            .filter(|line| line.starts_with("ingam_http_requests_total{") && line.contains(&label));
        counted
            .map(|line| line.rsplit(' ').next().expect("a value").parse::<f64>().expect("a number"))
            .map(|count| format!("{count:.0}").parse::<u64>().expect("a count"))
            .sum()
    }

    /// A key for an external account, or `None` with the ability noted as not offered yet.
    pub async fn external_account(&mut self) -> Option<ExternalAccount> {
        let made = self.server.admin(&["eab", "create", "--for", "a test", "--json"]).await;
        if !made.status.success() {
            if EAB_IS_OFFERED {
                panic!("no key for an external account: {made}");
            }
            self.column.cells.insert(Ability::ExternalAccount, Cell::NotOffered);
            return None;
        }
        let made: Value = serde_json::from_str(&made.text()).expect("JSON");
        let word =
            |name: &str| made[name].as_str().unwrap_or_else(|| panic!("no {name} in {made}")).to_owned();
        Some(ExternalAccount { kid: word("id"), hmac: word("mac_key") })
    }

    /// Asserts that an account is bound to this key.
    pub async fn is_bound(&self, external: &ExternalAccount) {
        let shown = self.server.admin_json(&["eab", "show", &external.kid]).await;
        assert_eq!(shown["status"], "bound", "{shown}");
    }
}

/// A file's path as text.
pub fn text(path: &Path) -> &str {
    path.to_str().expect("a temporary folder with a plain name")
}

/// Runs a program for its version: the first word with a digit in front, in what it says.
pub async fn version(command: &mut Command) -> String {
    // uacme tells its version, and fails.
    let said = run(command, INSTALL_CLIENTS).await.said();
    let mut words = said.split(|c: char| c.is_whitespace() || c == '/' || c == ',');
    let found = words.find(|word| word.trim_start_matches('v').starts_with(|c: char| c.is_ascii_digit()));
    found.unwrap_or_else(|| panic!("no version in {said}")).trim_start_matches('v').to_owned()
}

/// The kind of key in the leaf.
pub fn has_rsa_key(chain: &Chain) -> bool {
    matches!(chain.parsed().public_key().parsed(), Ok(PublicKey::RSA(_)))
}

/// How long something may take that a client does in the background.
const PATIENCE: Duration = Duration::from_secs(60);
/// How many lines of its log are shown if it does not.
const LOG_LINES: usize = 60;

/// Looks until this is so; fails the test if it never is, and shows the end of the log of whoever was to do it.
pub async fn until(what: &str, log: &Path, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < end, "{what}: not within {PATIENCE:?}; its log ends with\n{}", tail(log));
        sleep(Duration::from_millis(50)).await;
    }
}

fn tail(path: &Path) -> String {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(LOG_LINES)..].join("\n")
}
