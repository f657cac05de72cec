//! CRLs in shards from the outside: a certificate is on the list that it points to, once it is revoked by ACME or by an
//! operator, and on no other; the number of shards goes up and down through restarts, and every certificate that is out
//! can still be looked up; openssl judges lists and certificates by them.
//!
//! Not a failure: into which shard a certificate comes, as that is left to chance.

use std::collections::{BTreeMap, BTreeSet};

use ingam_tests::certificate::Chain;
use ingam_tests::challenge::{Prover, WebAnswers};
use ingam_tests::client::{CertificateRequest, Client};
use ingam_tests::http::fetch;
use ingam_tests::server::{Server, Setup};

fn shards(count: u16) -> String {
    format!("[responder]\ncrl_shards = {count}\ncrl_interval_s = 0\ncrl_max_age_s = 60\n")
}

struct Story {
    server: Server,
    client: Client,
    prover: Prover,
    issued: usize,
}

impl Story {
    async fn begin(count: u16) -> Self {
        let server = Server::start_with(Setup { further_config: shards(count), ..Setup::new() }).await;
        let client = Client::registered(&server.site()).await.expect("an account");
        let prover = Prover::Http(WebAnswers::listen(server.ports().http).await);
        Self { server, client, prover, issued: 0 }
    }

    async fn issue(&mut self) -> Chain {
        self.issued += 1;
        let name = format!("{}.shards.example.org", self.issued);
        let request = CertificateRequest::of(&[&name]);
        self.client.issue(&[&name], &request, &self.prover).await.expect("a certificate").1
    }

    /// Certificates until this many shards have one each, at most; one of each, by the URL of its list.
    async fn issue_in_shards(&mut self, count: usize) -> BTreeMap<String, Chain> {
        let mut found = BTreeMap::new();
        for _ in 0..100 {
            let chain = self.issue().await;
            found.insert(chain.crl_url(), chain);
            if found.len() == count {
                return found;
            }
        }
        panic!("a hundred certificates, and not {count} shards: {:?}", found.keys());
    }

    async fn restart(&mut self, count: u16) {
        self.server.reconfigure(&shards(count));
        self.server.stop().await;
        self.server.restart().await;
    }

    /// The lists that are told of the issuer `ecdsa`.
    async fn announced(&self) -> BTreeSet<String> {
        let url = self.url("ecdsa.json");
        let answer = fetch(&url).await.expect("an answer").expect(200);
        assert_eq!(answer.header("content-type"), "application/json");
        serde_json::from_slice(&answer.body).expect("an array of strings")
    }

    fn url(&self, of: &str) -> String {
        format!("http://localhost:{}/crl/{of}", self.server.ports().publication)
    }
}

async fn etag(url: &str) -> String {
    let answer = fetch(url).await.expect("an answer").expect(200);
    for name in ["expires", "last-modified", "cache-control"] {
        assert!(!answer.header(name).is_empty(), "{name}: {answer}");
    }
    answer.header("etag").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revocation_is_on_the_list_that_the_certificate_points_to_and_changes_no_other() {
    let mut story = Story::begin(4).await;
    let chains = story.issue_in_shards(4).await;
    let urls: BTreeSet<String> = (0..4).map(|shard| story.url(&format!("ecdsa/{shard}.crl"))).collect();
    assert_eq!(chains.keys().cloned().collect::<BTreeSet<_>>(), urls);
    assert_eq!(story.announced().await, urls);
    let openssl = story.server.openssl();
    let mut tags = BTreeMap::new();
    for (url, chain) in &chains {
        openssl.verify_by_crl(chain).await.is_good();
        tags.insert(url.clone(), etag(url).await);
    }
    // Whoever subscribed revokes the first, an operator the second.
    let mut chains = chains.into_iter();
    let (first_url, first) = chains.next().expect("four of them");
    story.client.revoke(first.leaf(), Some(1)).await.expect("an answer").expect(200);
    openssl.verify_by_crl(&first).await.is_revoked();
    let (second_url, second) = chains.next().expect("four of them");
    let serial = second.serial_hex();
    let revoke = ["revoke", &serial, "--revocation-reason", "superseded", "--reason", "a test"];
    story.server.admin(&revoke).await.succeeded();
    openssl.verify_by_crl(&second).await.is_revoked();
    assert!(!openssl.crl(&second).await.contains(&first), "each is on its own list alone");
    for (url, tag) in &tags {
        let is_concerned = [&first_url, &second_url].contains(&url);
        assert_eq!(etag(url).await != *tag, is_concerned, "{url}");
    }
    for (_, chain) in chains {
        openssl.verify_by_crl(&chain).await.is_good();
    }
    // A start that finds nothing new signs nothing anew, whether the process ended or was killed.
    let mut known = BTreeMap::new();
    for url in &urls {
        known.insert(url.clone(), etag(url).await);
    }
    story.restart(4).await;
    for (url, tag) in &known {
        assert_eq!(etag(url).await, *tag, "{url}");
    }
    story.server.restart().await;
    for (url, tag) in &known {
        assert_eq!(etag(url).await, *tag, "{url}");
    }
    story.server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_number_of_shards_goes_up_and_down() {
    let mut story = Story::begin(0).await;
    let old = story.issue().await;
    let whole = story.url("ecdsa.crl");
    assert_eq!(old.crl_url(), whole);
    assert_eq!(story.announced().await, BTreeSet::from([whole.clone()]));
    let openssl = story.server.openssl();
    openssl.verify_by_crl(&old).await.is_good();

    story.restart(4).await;
    openssl.verify_by_crl(&old).await.is_good();
    let four = story.issue_in_shards(4).await;
    let all: BTreeSet<String> = four.keys().cloned().chain([whole.clone()]).collect();
    assert_eq!(story.announced().await, all);

    story.restart(2).await;
    assert_eq!(story.announced().await, all, "certificates point to each of them");
    let two = story.issue_in_shards(2).await;
    assert!(two.keys().all(|url| url.ends_with("/0.crl") || url.ends_with("/1.crl")));
    for chain in four.values().chain([&old]) {
        openssl.verify_by_crl(chain).await.is_good();
        story.client.revoke(chain.leaf(), None).await.expect("an answer").expect(200);
        openssl.verify_by_crl(chain).await.is_revoked();
    }
    for chain in two.values() {
        openssl.verify_by_crl(chain).await.is_good();
    }
    story.server.stop().await;
}
