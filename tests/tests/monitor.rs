//! The CA watches itself: what it gives out of certificates is held against its record, all the time.
//!
//! That each kind of disagreement is seen is proved beside the code, over parts that can be broken; here, that a CA with
//! nothing wrong looks at what changes and finds nothing, and that one whose CRLs cannot be written says so. Not a failure:
//! how many rounds that takes.

use std::time::Duration;

use ingam_tests::challenge::{Prover, WebAnswers};
use ingam_tests::client::{CertificateRequest, Client};
use ingam_tests::http::fetch;
use ingam_tests::server::{Server, Setup};
use tokio::time::{Instant, sleep};

/// A certificate is looked at some seconds after it was issued, and a revocation with the next round; on a busy machine rounds
/// take long, and pauses are a multiple of that.
const SEEN_WITHIN: Duration = Duration::from_secs(120);

async fn metrics(server: &Server) -> String {
    let url = format!("http://localhost:{}/metrics", server.ports().metrics);
    fetch(&url).await.expect("an answer").expect(200).text()
}

/// The value of a metric with exactly these labels.
#[track_caller]
fn sample(metrics: &str, series: &str) -> f64 {
    let line = metrics.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("no {series} in\n{metrics}"))
}

async fn until_compared(server: &Server, count: f64) -> String {
    let begun = Instant::now();
    loop {
        let metrics = metrics(server).await;
        if sample(&metrics, "ingam_monitor_compared_total{chosen=\"recent\"}") >= count {
            return metrics;
        }
        assert!(begun.elapsed() < SEEN_WITHIN, "{count} certificates are not compared in\n{metrics}");
        sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_issued_and_revoked_is_compared_and_agrees() {
    for shards in [0, 4] {
        let further = format!("[responder]\ncrl_shards = {shards}\n[monitor]\ninterval_s = 1");
        let setup = Setup { further_config: further, ..Setup::new() };
        let server = Server::start_with(setup).await;
        let prover = Prover::Http(WebAnswers::listen(server.ports().http).await);
        let mut client = Client::registered(&server.site()).await.expect("an account");
        let mut chains = Vec::new();
        for name in ["one.example.org", "two.example.org", "three.example.org"] {
            let request = CertificateRequest::of(&[name]);
            chains.push(client.issue(&[name], &request, &prover).await.expect("a certificate").1);
        }
        let issued =
            sample(&until_compared(&server, 3.0).await, "ingam_monitor_compared_total{chosen=\"recent\"}");
        client.revoke(chains[0].leaf(), Some(4)).await.expect("an answer").expect(200);
        let serial = chains[1].serial_hex();
        let revoke = ["revoke", &serial, "--revocation-reason", "keyCompromise", "--reason", "a test"];
        server.admin(&revoke).await.succeeded();
        let metrics = until_compared(&server, issued + 2.0).await;
        assert!(sample(&metrics, "ingam_monitor_compared_total{chosen=\"random\"}") > 0.0);
        for kind in ["ocsp_answer", "ocsp_status", "crl_list", "crl_entry", "renewal_window"] {
            let series = format!("ingam_monitor_disagreements_total{{kind=\"{kind}\"}}");
            assert_eq!(sample(&metrics, &series), 0.0, "{kind} in\n{metrics}\n{}", server.errors());
        }
        assert!(sample(&metrics, "ingam_monitor_oldest_disagreement_timestamp_seconds").is_nan());
        assert!(sample(&metrics, "ingam_monitor_round_timestamp_seconds") > 1_000_000_000.0);
        let ready = format!("http://localhost:{}/readyz?role=responder", server.ports().metrics);
        fetch(&ready).await.expect("an answer").expect(200);
        assert!(!server.errors().contains("disagrees with its record"), "{}", server.errors());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_misses_a_revocation_fails_until_it_has_it() {
    let further = "[monitor]\ninterval_s = 1\ncrl_budget_s = 1".to_owned();
    let server = Server::start_with(Setup { further_config: further, ..Setup::new() }).await;
    let prover = Prover::Http(WebAnswers::listen(server.ports().http).await);
    let mut client = Client::registered(&server.site()).await.expect("an account");
    let request = CertificateRequest::of(&["missed.example.org"]);
    let (_, chain) = client.issue(&["missed.example.org"], &request, &prover).await.expect("a certificate");
    fetch(&chain.crl_url()).await.expect("an answer").expect(200);
    // The file that a new list is written to before it takes its place cannot be made.
    let obstacle = server.state().join("crls/ecdsa.new");
    std::fs::create_dir(&obstacle).expect("a writable folder");
    client.revoke(chain.leaf(), Some(4)).await.expect("an answer").expect(200);

    let ready = format!("http://localhost:{}/readyz?role=responder", server.ports().metrics);
    let said = until_ready_is(&server, &ready, 503).await;
    assert!(said.contains("\"status_disagreement\"") && said.contains("crl_entry 1"), "{said}");
    let shown = metrics(&server).await;
    assert_eq!(sample(&shown, "ingam_monitor_disagreements_total{kind=\"crl_entry\"}"), 1.0);
    assert_eq!(sample(&shown, "ingam_monitor_disagreements_total{kind=\"ocsp_status\"}"), 0.0);
    assert!(sample(&shown, "ingam_monitor_oldest_disagreement_timestamp_seconds") > 1_000_000_000.0);
    let log = server.errors();
    let line =
        log.lines().find(|line| line.contains("disagrees with its record")).expect("a line of the log");
    assert!(line.to_uppercase().contains(&chain.serial_hex()) && line.contains("not listed"), "{line}");

    std::fs::remove_dir(&obstacle).expect("it is empty");
    until_ready_is(&server, &ready, 200).await;
    assert!(sample(&metrics(&server).await, "ingam_monitor_oldest_disagreement_timestamp_seconds").is_nan());
}

async fn until_ready_is(server: &Server, url: &str, status: u16) -> String {
    let begun = Instant::now();
    loop {
        let answer = fetch(url).await.expect("an answer");
        if answer.status == status {
            return answer.text();
        }
        let within = begun.elapsed() < SEEN_WITHIN;
        assert!(within, "{url} never answers {status}: {answer}\n{}", server.errors());
        sleep(Duration::from_millis(200)).await;
    }
}
