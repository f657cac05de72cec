//! The admin API over TCP: who gets in, and the certificate that it shows, replaced while connections go on.

use std::path::Path;

use ingam_tests::operator::{Api, ClientCa, Person};
use ingam_tests::server::{Identity, Server, Setup};
use ingam_tests::site::tls_trusting;
use rustix::process::Signal;
use tempfile::TempDir;

use crate::{access_records, config_of, until};

/// `ingam serve`, as `ingam dev` makes its https certificate by itself.
async fn serve(
    home: TempDir,
    https: &ClientCa,
    identity: &Person,
    operators: &ClientCa,
    ann: &Person,
) -> Server {
    let identity = Identity {
        certificate: identity.certificate.clone(),
        key: identity.key.clone(),
        ca: https.path.clone(),
    };
    let administrators =
        format!("administrators = [\"{}\", \"uid:{}\"]", ann.principal, rustix::process::getuid().as_raw());
    let further_config = config_of(operators, &administrators);
    Server::start_in(
        home,
        Setup { has_admin_port: true, identity: Some(identity), further_config, ..Setup::new() },
    )
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn only_holders_of_a_certificate_get_in_and_only_with_a_role() {
    let home = TempDir::new().expect("a temporary folder");
    let [https, operators, others] =
        ["https-ca", "operators-ca", "others-ca"].map(|name| ClientCa::new(home.path(), name));
    let identity = https.server("https");
    let [ann, bob] = ["ann", "bob"].map(|name| operators.person(name));
    let eve = others.person("eve");
    let server = serve(home, &https, &identity, &operators, &ann).await;

    let mut nobody = Api::over(&server, tls_trusting(&https.path));
    nobody.try_get("/v1/whoami").await.expect_err("without a certificate there is no connection");
    eve.api(&server).try_get("/v1/whoami").await.expect_err("another CA's certificate is none");

    // A certificate says who somebody is, not what they may do.
    let mut bob = (bob.api(&server), bob.principal);
    let who = bob.0.get("/v1/whoami").await.expect(200).json();
    assert_eq!((&who["principal"], &who["roles"]), (&bob.1.as_str().into(), &serde_json::json!([])));
    let refused = bob.0.get("/v1/accounts").await.expect(403);
    assert_eq!(refused.header("content-type"), "application/problem+json");
    assert_eq!(refused.json()["type"], "urn:ingam:admin:role-needed", "{refused}");
    let records = access_records(&server, &bob.1).await;
    let [record] = records.as_slice() else { panic!("one refusal is one record: {records:?}") };
    let payload = &record["payload"];
    assert_eq!(payload["act"], "account.list", "{record}");
    assert_eq!(payload["outcome"], "refused", "{record}");
    assert_eq!(payload["from"], "127.0.0.1", "{record}");
    assert_eq!(payload["operator"], bob.1.as_str(), "{record}");

    let grant = ["role", "grant", &bob.1, "support", "--reason", "answers the telephone"];
    ann.admin(&server, &grant).await.succeeded();
    bob.0.get("/v1/accounts").await.expect(200);
    let block = serde_json::json!({"name": "example.com", "verdict": "block", "reason": "a test"});
    ann.api(&server).post("/v1/names", &block).await.expect(200);
    let records = access_records(&server, "example.com").await;
    let done = &records.first().expect("an act is on record")["payload"];
    assert_eq!((&done["act"], &done["outcome"]), (&"name.rule".into(), &"done".into()));
    assert_eq!((&done["operator"], &done["from"]), (&ann.principal.as_str().into(), &"127.0.0.1".into()));
    // A role that is taken ends at once, on a connection that is open.
    let take = ["role", "take", &bob.1, "support", "--reason", "left"];
    ann.admin(&server, &take).await.succeeded();
    bob.0.get("/v1/accounts").await.expect(403);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_https_certificate_is_replaced_while_connections_go_on() {
    let home = TempDir::new().expect("a temporary folder");
    let [https, newer, operators] =
        ["https-ca", "newer-ca", "operators-ca"].map(|name| ClientCa::new(home.path(), name));
    let identity = https.server("https");
    let ann = operators.person("ann");
    let server = serve(home, &https, &identity, &operators, &ann).await;
    let shows = async |ca: &Path| Api::over(&server, ann.tls(ca)).try_get("/livez").await.is_ok();
    let mut open = Api::over(&server, ann.tls(&https.path));
    open.get("/livez").await.expect(200);

    // The files that the configuration names are replaced, as a renewal does it.
    let renewed = newer.server("renewed");
    std::fs::copy(&renewed.key, &identity.key).expect("a writable folder");
    std::fs::copy(&renewed.certificate, &identity.certificate).expect("a writable folder");
    assert!(shows(&https.path).await, "nothing changes before the process is told");
    server.signal(Signal::HUP);
    until("the newer certificate is shown", async || shows(&newer.path).await).await;
    assert!(!shows(&https.path).await, "and the older one is not");
    open.get("/livez").await.expect(200);

    let changes = configuration_changes(&server).await;
    let renewal = changes.last().expect("a renewal is on record");
    assert_eq!(renewal["payload"]["changed"], serde_json::json!(["tls.certificate"]), "{renewal}");

    // A key that belongs to another certificate, and a file that holds nothing of use.
    let other = newer.server("other");
    for (file, wrong, key) in
        [(&identity.key, &other.key, "tls"), (&identity.certificate, &other.key, "tls.certificate")]
    {
        let kept = std::fs::read(file).expect("a readable file");
        std::fs::copy(wrong, file).expect("a writable folder");
        let before = refusals(&server);
        server.signal(Signal::HUP);
        until("the log says that nothing was changed", async || refusals(&server) > before).await;
        let errors = server.errors();
        let said =
            errors.lines().rfind(|line| line.contains("nothing was changed")).expect("a line of the log");
        assert!(said.contains(key), "it says why: {said}");
        assert!(shows(&newer.path).await, "the certificate is as it was");
        let told = server.admin(&["reload", "--reason", "a test"]).await;
        assert_eq!(told.status.code(), Some(2), "{told}");
        std::fs::write(file, kept).expect("a writable folder");
    }
    open.get("/livez").await.expect(200);
    assert_eq!(
        configuration_changes(&server).await,
        changes,
        "what was not changed is not on record as changed"
    );
    server.admin(&["reload", "--reason", "all is well again"]).await.succeeded();
}

async fn configuration_changes(server: &Server) -> Vec<serde_json::Value> {
    let search = ["log", "search", "--type", "configuration_changed", "--reason", "a test"];
    server.admin_json(&search).await["items"].as_array().cloned().unwrap_or_default()
}

/// How often the log said that a configuration was not reloaded.
fn refusals(server: &Server) -> usize {
    server.errors().matches("nothing was changed").count()
}
