//! What operators do to a running CA, and what comes of it for everybody else: who gets in over mutual TLS, what each role
//! may do and that it is on record, the configuration read again, many certificates revoked through kills and restarts, and
//! an end that leaves nothing half-done.
//!
//! Not a failure: the wording of sentences, as long as they name the thing (tests/transcripts has them to the letter); how
//! long a change takes, within a limit that no healthy machine needs.

mod evidence;
mod reload;
mod revocation;
mod roles;
mod stop;
mod tls;

use std::time::Duration;

use ingam_tests::operator::ClientCa;
use ingam_tests::server::{Server, Setup};
use serde_json::Value;
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

/// Within this, whatever was begun has been seen.
const SEEN_WITHIN: Duration = Duration::from_secs(60);

/// Looks until it is so.
async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !is_so().await {
        assert!(begun.elapsed() < SEEN_WITHIN, "not within {SEEN_WITHIN:?}: {what}");
        sleep(Duration::from_millis(50)).await;
    }
}

/// `ingam dev` with an admin port for certificates of a new CA, and further lines of `[operator]`.
async fn server_with_operators(operator: impl FnOnce(&ClientCa) -> String) -> (Server, ClientCa) {
    let home = TempDir::new().expect("a temporary folder");
    let ca = ClientCa::new(home.path(), "operators-ca");
    let further_config = config_of(&ca, &operator(&ca));
    let setup = Setup { has_admin_port: true, further_config, ..Setup::new() };
    (Server::start_in(home, setup).await, ca)
}

fn config_of(ca: &ClientCa, operator: &str) -> String {
    format!("[operator]\nclient_ca = \"{}\"\n{operator}\n", ca.path.display())
}

/// Records of the class `access_log` with this text, oldest first; the look is on record itself.
async fn access_records(server: &Server, text: &str) -> Vec<Value> {
    let search =
        ["log", "search", "--class", "access_log", "--text", text, "--limit", "1000", "--reason", "a test"];
    let found = server.admin_json(&search).await;
    found["items"].as_array().cloned().unwrap_or_default()
}
