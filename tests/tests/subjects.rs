//! People who ask what is held about them, and have it erased: by their account key at a running CA, and by its operator.
//! What they were called is looked for afterwards in every file below the CA's folder, in its logs and in its answers, in
//! every form, while it runs and after it was started again; and a copy of the store from before does not open with the keys of
//! after.
//!
//! Not a failure: the names in certificates stay, as they are no contact data.

use std::path::Path;

use ingam_tests::certificate::Chain;
use ingam_tests::challenge::{Prover, WebAnswers};
use ingam_tests::client::{CertificateRequest, Client};
use ingam_tests::jws::Key;
use ingam_tests::planted::{Finding, Planted};
use ingam_tests::server::{Server, Setup};
use serde_json::{Value, json};
use tempfile::TempDir;

/// What the one who asks by ACME is called, at first and later.
const ANN: &str = "Quagga.Annabella-Zebra+7k1@ann-planted.example";
const ANN_LATER: &str = "thylacine_annabella.w9@ann-planted-later.example";
/// What the one is called for whom the operator acts.
const BEN: &str = "Benedikt.Huemul-xq42@ben-planted.example";
const BEN_RIGHT: &str = "Benedict.Huemul-xq43@ben-planted-right.example";
/// Who stays.
const EVE: &str = "eve@stays.example";

/// Local parts alone, too: what is kept of an address might be a part of it.
fn planted() -> Planted {
    let whole = [ANN, ANN_LATER, BEN, BEN_RIGHT];
    let locals = whole.map(|address| address.split('@').next().expect("a local part"));
    let names = [
        "Annabella-Zebra",
        "thylacine_annabella",
        "Benedikt.Huemul",
        "Benedict.Huemul",
        "ann-planted",
        "ben-planted",
    ];
    Planted::texts(whole.into_iter().chain(locals).chain(names))
}

fn mailto(address: &str) -> Value {
    json!({ "contact": [format!("mailto:{address}")], "termsOfServiceAgreed": true })
}

async fn registered(server: &Server, address: &str) -> Client {
    let mut client = Client::new(&server.site(), Key::es256()).await.expect("a directory");
    let made = client.new_account(mailto(address)).await.expect("an answer").expect(201);
    client.set_account(Some(made.header("location").to_owned()));
    client
}

fn id_of(client: &Client) -> String {
    client.account().rsplit('/').next().expect("an id").to_owned()
}

/// All items of a section of a report.
async fn section(client: &mut Client, report: &Value, name: &str) -> Vec<Value> {
    let (mut url, mut items) = (report["pages"][name].as_str().expect("a URL").to_owned(), Vec::new());
    loop {
        let answer = client.read(&url).await.expect("an answer").expect(200);
        items.extend(answer.json()["items"].as_array().expect("a list").clone());
        let links = answer.header_all("link");
        match links.iter().find_map(|link| link.strip_suffix(">;rel=\"next\"")) {
            Some(next) => url = next.trim_start_matches('<').to_owned(),
            None => return items,
        }
    }
}

/// What the CA answers about everybody, as far as it answers at all: what an erasure has left in it.
async fn answers(server: &Server, accounts: &[&str]) -> Vec<u8> {
    let why = ["--reason", "looking for what was erased"];
    let mut all = Vec::new();
    let mut ask = async |line: &[&str]| {
        let finished = server.admin(&[&["--json"], line, &why[..]].concat()).await.succeeded();
        all.extend_from_slice(&finished.stdout);
    };
    ask(&["log", "search", "--limit", "1000"]).await;
    ask(&["subject", "list", "--all"]).await;
    for account in accounts {
        ask(&["account", "contacts", account]).await;
        ask(&["subject", "export", account]).await;
    }
    let plain = server.admin(&["--json", "account", "list"]).await.succeeded();
    all.extend_from_slice(&plain.stdout);
    all
}

/// Everything planted that is in a file of the CA or in an answer.
async fn found(server: &Server, accounts: &[&str]) -> Vec<Finding> {
    let planted = planted();
    let mut found = planted.found_below(server.home());
    found.extend(planted.found_in(Path::new("an answer"), &answers(server, accounts).await));
    found
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a writable folder");
    for entry in std::fs::read_dir(from).expect("a folder") {
        let path = entry.expect("an entry").path();
        let target = to.join(path.file_name().expect("a name"));
        if path.is_dir() {
            copy(&path, &target);
        } else if path.is_file() {
            std::fs::copy(&path, target).expect("a copy");
        }
    }
}

/// The store as the copy has it, with the keys of contacts as they are.
fn put_back(copied: &Path, state: &Path) {
    for name in ["store.redb", "store.redb.log"] {
        std::fs::copy(copied.join(name), state.join(name)).expect("a copy");
    }
}

async fn export(server: &Server, whose: &[&str], path: &Path) -> Value {
    let line = [
        &["subject", "export"],
        whose,
        &["--output", path.to_str().expect("UTF-8"), "--reason", "request 1"],
    ];
    server.admin(&line.concat()).await.succeeded();
    serde_json::from_slice(&std::fs::read(path).expect("a file")).expect("JSON")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_erased_is_nowhere() {
    let setup = Setup { environment: vec![("RUST_LOG".to_owned(), "trace".to_owned())], ..Setup::new() };
    let mut server = Server::start_with(setup).await;
    let outside = TempDir::new().expect("a folder");

    // Contacts come with newAccount and with an update, and an operator's correction.
    let (mut ann, mut ben, mut eve) =
        (registered(&server, ANN).await, registered(&server, BEN).await, registered(&server, EVE).await);
    let (ann_id, ben_id, eve_id) = (id_of(&ann), id_of(&ben), id_of(&eve));
    let ids = [ann_id.as_str(), ben_id.as_str()];
    let account = ann.account();
    let updated = ann.post(&account, &mailto(ANN_LATER)).await.expect("an answer").expect(200).json();
    assert_eq!(updated["contact"], json!([format!("mailto:{ANN_LATER}")]));
    let prover = Prover::Http(WebAnswers::listen(server.ports().http).await);
    let wanted = CertificateRequest::of(&["ben.example.org"]);
    let chain: Chain = ben.issue(&["ben.example.org"], &wanted, &prover).await.expect("a certificate").1;
    let correct = ["subject", "correct", &ben_id, "--contact", BEN_RIGHT, "--reason", "request 0"];
    server.admin(&correct).await.succeeded();
    assert_eq!(planted().found_below(server.home()), [], "sealed at any time");

    // What the operator hands out has all of it, in a form that another program reads.
    let exported =
        export(&server, &["--contact", &BEN_RIGHT.to_uppercase()], &outside.path().join("ben.json")).await;
    let report = &exported["reports"][0];
    assert_eq!(report["account"]["id"], ben_id);
    assert_eq!(report["contact"]["contacts"], json!([format!("mailto:{BEN_RIGHT}")]));
    assert_eq!(report["manifest"]["format"], "ingam-subject-report/1");
    assert_eq!(report["orders"][0]["names"], json!(["ben.example.org"]));
    assert_eq!(report["certificates"][0]["serial"], chain.serial_hex().to_lowercase());
    let records = report["records"].as_array().expect("a list");
    let created = records.iter().find(|record| record["type"] == "account_created").expect("a record");
    assert_eq!(created["sent"]["contact"], json!([format!("mailto:{BEN}")]));
    assert_eq!(created["address"], "127.0.0.1");
    let due =
        server.admin_json(&["subject", "list", "--due-before", "+366d", "--reason", "statements"]).await;
    assert_eq!(due["items"].as_array().expect("a list").len(), 3);
    server.admin(&["subject", "told", &eve_id, "--reason", "statements"]).await.succeeded();
    server.admin(&["subject", "object", &eve_id, "--reason", "request 2"]).await.succeeded();
    let none = server.admin_json(&["subject", "list", "--due", "--reason", "statements"]).await;
    assert_eq!(none["items"], json!([]), "in a year");

    // A backup, as it should be: without the keys of contacts.
    server.stop().await;
    let copied = outside.path().join("state");
    copy(&server.state(), &copied);
    std::fs::remove_dir_all(copied.join("contacts")).expect("it is there");
    server.restart().await;

    // One asks by its key, for the other the operator acts.
    let privacy = ann.directory()["meta"]["privacy"].clone();
    ann.reconnect(&server.site()).await.expect("a directory");
    let report =
        ann.read(privacy["report"].as_str().expect("a URL")).await.expect("an answer").expect(200).json();
    assert_eq!(report["contact"]["contacts"], json!([format!("mailto:{ANN_LATER}")]));
    let told = section(&mut ann, &report, "records").await;
    assert!(Value::from(told).to_string().contains(ANN), "what was sent at first is opened for its sender");
    let url = privacy["erase"].as_str().expect("a URL");
    let done = ann.post(url, &json!({ "contact": true })).await.expect("an answer").expect(200).json();
    assert!(done["kept"].to_string().contains("BR 5.4.3"), "{done}");
    let erase = ["subject", "erase", "--contact", BEN_RIGHT, "--close", "--reason", "request 3"];
    let said = server.admin(&erase).await.succeeded().text();
    assert!(said.contains("GDPR Art. 17(3)(e)"), "{said}");

    assert_eq!(found(&server, &ids).await, [], "the process runs");
    let report =
        ann.read(privacy["report"].as_str().expect("a URL")).await.expect("an answer").expect(200).json();
    assert_eq!(report["contact"]["contacts"], json!([]));
    let receipts =
        server.admin_json(&["log", "search", "--type", "subject_erased", "--reason", "a look"]).await;
    assert_eq!(receipts["items"].as_array().expect("a list").len(), 2, "{receipts}");
    let erase_again = ["subject", "erase", "--contact", BEN_RIGHT, "--reason", "request 4"];
    assert_ne!(server.admin(&erase_again).await.status.code(), Some(0), "nobody is found under it");

    server.restart().await;
    assert_eq!(found(&server, &ids).await, [], "it was killed and started again");
    server.stop().await;
    assert_eq!(planted().found_below(server.home()), [], "it has ended");

    // The copy from before the erasure: the rows are there, and nothing opens them.
    put_back(&copied, &server.state());
    server.restart().await;
    assert_eq!(found(&server, &ids).await, [], "the store is that of before");
    let contacts = server.admin_json(&["account", "contacts", &eve_id, "--reason", "a look"]).await;
    assert_eq!(contacts["contacts"], json!([format!("mailto:{EVE}")]), "whoever stays, stays");
    eve.reconnect(&server.site()).await.expect("a directory");
    let account = eve.account();
    let own = eve.read(&account).await.expect("an answer").expect(200).json();
    assert_eq!(own["contact"], json!([format!("mailto:{EVE}")]));
    server.stop().await;
}
