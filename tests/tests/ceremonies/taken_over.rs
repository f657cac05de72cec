//! What ceremonies made becomes a CA: a root, a CA between and an issuing CA are taken over; another issuing CA joins and is
//! put in the place of the first, which goes on answering; and an older root's cross-certificate gives a second chain, which
//! certbot takes where it is told to prefer it.

use std::fs;
use std::path::Path;

use ingam_tests::certbot::Certbot;
use ingam_tests::certificate::{Chain, parse};
use ingam_tests::challenge::{Prover, WebAnswers};
use ingam_tests::client::{CertificateRequest, Client};
use ingam_tests::command::{Finished, run};
use ingam_tests::jws::base64url;
use ingam_tests::openssl::Openssl;
use ingam_tests::server::{Server, binary};
use ingam_tests::service::{Home, Service};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use tokio::process::Command;

use crate::room::Room;

/// A root, a CA between, an issuing CA, and a second one, whose keys are all under one passphrase in `room`.
async fn hierarchy(room: &Room) {
    room.hold("root.toml").await;
    room.change("intermediate.toml", "between.toml", &[
        ("\"Example TLS 1\"", "\"Example Between\""),
        ("request = \"tls-1.csr\"", "location = \"between.key\"\ngenerate = \"ecdsa-p384\"\npassphrase_file = \"root.passphrase\""),
        ("path_length = 0\n", "path_length = 1\n"),
        ("\"tls-1.pem\"", "\"between.pem\""),
    ]);
    room.hold("between.toml").await;
    for (number, kind) in [("1", "ecdsa-p256"), ("2", "ecdsa-p384")] {
        let name = [("TLS 1", format!("TLS {number}")), ("tls-1", format!("tls-{number}"))];
        let name = name.each_ref().map(|(from, to)| (*from, to.as_str()));
        let request = format!("request-{number}.toml");
        room.change("request.toml", &request, &name);
        room.change(&request, &request, &[("ecdsa-p256", kind)]);
        room.hold(&request).await;
        let issuer = format!("tls-{number}.toml");
        room.change("intermediate.toml", &issuer, &name);
        room.change(
            &issuer,
            &issuer,
            &[("\"root.pem\"", "\"between.pem\""), ("\"root.key\"", "\"between.key\""), ("1826", "1800")],
        );
        room.hold(&issuer).await;
    }
}

/// `ingam issuer`, told where everything is.
async fn issuer(home: &Home, arguments: &[&str]) -> Finished {
    let mut command = Command::new(binary());
    command.arg("issuer").args(arguments).arg("--config").arg(home.path("ca.toml"));
    command.env_remove("RUST_LOG").env_remove("CREDENTIALS_DIRECTORY");
    run(&mut command, "").await
}

fn refused(finished: &Finished, mention: &str) {
    assert_eq!(finished.status.code(), Some(2), "{finished}");
    assert!(finished.stderr.contains(mention), "{mention} is named: {finished}");
}

fn path(folder: &Path, name: &str) -> String {
    folder.join(name).to_str().expect("a path in UTF-8").to_owned()
}

async fn start(home: &Home, log: &str) -> Service {
    Service::start(home.command("serve", "ca.toml"), &home.path(log)).await
}

async fn issue(home: &Home, name: &str) -> (Client, String, Chain) {
    let prover = Prover::Http(WebAnswers::listen(home.ports().http).await);
    let mut client = Client::registered(&home.site()).await.expect("an account");
    let request = CertificateRequest::of(&[name]);
    let (order, chain) = client.issue(&[name], &request, &prover).await.expect("a certificate");
    let url = order.certificate().expect("a certificate's URL").to_owned();
    (client, url, chain)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ca_of_ceremonies_issues_and_its_issuing_ca_is_replaced() {
    let (beside, home, room) = (Server::start().await, Home::new(), Room::new());
    hierarchy(&room).await;
    let at = |name: &str| path(room.folder(), name);
    let taking = [
        ("--existing-root", at("root.pem")),
        ("--existing-issuer", format!("tls-1={},{}", at("tls-1.pem"), at("tls-1.key"))),
        ("--existing-passphrase-file", at("issuer.passphrase")),
        ("--issuer-passphrase-file", home.text("issuer-passphrase")),
    ];
    let flags: Vec<String> = taking.into_iter().flat_map(|(flag, value)| [flag.to_owned(), value]).collect();
    let all = [home.settings("production"), flags].concat();
    refused(&home.init("ca.toml", &all).await, "no chain leads from it to a root");
    let between = ["--existing-chain".to_owned(), at("between.pem")];
    home.init("ca.toml", &[&all[..], &between].concat()).await.succeeded();
    home.adapt("ca.toml", beside.ports().dns);

    let service = start(&home, "first.log").await;
    let judge = Openssl::trusting(&room.path("root.pem"));
    let (_, _, first) = issue(&home, "one.example.org").await;
    judge.verify(&first, &["one.example.org"]).await;
    judge.status(&first).await.is_good();
    refused(&issuer(&home, &["chain", &at("root.pem")]).await, "state");
    service.stop().await;

    // A second issuing CA joins, stands by, and is put to work.
    let joining = [
        "add",
        "tls-2",
        "--certificate",
        &at("tls-2.pem"),
        "--key",
        &at("tls-2.key"),
        "--key-passphrase-file",
        &at("issuer.passphrase"),
    ];
    nothing_joins_without_a_record(&home, &joining).await;
    let joined = issuer(&home, &joining).await.succeeded();
    assert!(joined.text().contains("tls-2 = \"ecdsa-p384\""), "{joined}");
    refused(&issuer(&home, &joining).await, "the name 'tls-2' is taken");
    refused(
        &run(&mut home.command("serve", "ca.toml"), "").await,
        "[hierarchy.issuers], as tls-2 = \"ecdsa-p384\"",
    );
    home.change("ca.toml", "[hierarchy.issuers]\n", "[hierarchy.issuers]\ntls-2 = \"ecdsa-p384\"\n");
    let listed = issuer(&home, &["list"]).await.succeeded();
    assert!(
        listed.text().contains("stands by") && listed.text().contains("authorities/between.pem"),
        "{listed}"
    );
    let service = start(&home, "second.log").await;
    home.change("ca.toml", "issuer = \"tls-1\"", "issuer = \"tls-2\"");
    service.reload();
    let second = from_the_second(&home).await;
    judge.verify(&second, &["two.example.org"]).await;
    judge.status(&second).await.is_good();
    let second_ca = base64url(second.issuer());
    let recorded = authority_records(&home).await.matches(&second_ca).count();
    assert_eq!(recorded, 2, "a record of the attempt that broke off, and one of that which did not");
    // The first goes on answering for what it issued.
    judge.status(&first).await.is_good();
    service.stop().await;
    refused(&issuer(&home, &["remove", "tls-1"]).await, "--unexpired");
    let both = issuer(&home, &["remove", "tls-2"]).await;
    refused(&both, "--unexpired");
    refused(&both, "names 'tls-2' as its issuer");
    let unknown = issuer(&home, &["remove", "tls-3"]).await;
    refused(&unknown, "there is no issuing CA 'tls-3'");
    refused(&unknown, "there are: tls-1, tls-2");
    assert!(!unknown.stderr.contains("the signer"), "{unknown}");
    refused(&issuer(&home, &["remove", "tls-2", "--unexpired"]).await, "names 'tls-2' as its issuer");
    // By weights too, whatever they are.
    home.change("ca.toml", "issuer = \"tls-2\"", "issuers = { tls-1 = 0, tls-2 = 1 }");
    refused(&issuer(&home, &["remove", "tls-1", "--unexpired"]).await, "names 'tls-1' as its issuer");
    let listed = issuer(&home, &["list"]).await.succeeded();
    assert!(listed.text().contains("stands by") && listed.text().contains("weight 1"), "{listed}");
    home.change("ca.toml", "issuers = { tls-1 = 0, tls-2 = 1 }", "issuer = \"tls-2\"");
    an_older_root_gives_a_second_chain(&home, &room).await;
}

/// An issuing CA that cannot go on record does not join; one that is on record may fail to.
async fn nothing_joins_without_a_record(home: &Home, joining: &[&str]) {
    let attempt = async |mention: &str| {
        refused(&issuer(home, joining).await, mention);
        let listed = issuer(home, &["list"]).await.succeeded();
        assert!(!listed.text().contains("tls-2"), "{listed}");
        // What it left is used by nobody, and is in the way of the next attempt.
        refused(&issuer(home, joining).await, "an attempt that broke off");
        for file in ["state/issuers/tls-2.pem", "state/keys/tls-2.pem"] {
            fs::remove_file(home.path(file)).expect("it was written");
        }
    };
    let (store, aside) = (home.path("state/store.redb"), home.path("store.redb"));
    fs::rename(&store, &aside).expect("a writable folder");
    fs::create_dir(&store).expect("a writable folder");
    attempt("the store cannot be opened").await;
    fs::remove_dir(&store).expect("an empty folder");
    fs::rename(&aside, &store).expect("a writable folder");
    let in_the_way = home.path("state/.hierarchy.json.new");
    fs::create_dir(&in_the_way).expect("a writable folder");
    attempt("hierarchy.json").await;
    fs::remove_dir(&in_the_way).expect("an empty folder");
}

/// What is on record of CA certificates.
async fn authority_records(home: &Home) -> String {
    let mut command = Command::new(binary());
    command.args(["admin", "--dir"]).arg(home.path("state"));
    command.args([
        "log",
        "search",
        "--type",
        "authority_certificate_created",
        "--reason",
        "a test",
        "--json",
    ]);
    run(&mut command, "").await.succeeded().text()
}

/// A certificate of the second issuing CA, which a reload has put to work, or is about to.
async fn from_the_second(home: &Home) -> Chain {
    for _ in 0..50 {
        let (_, _, chain) = issue(home, "two.example.org").await;
        if chain.issuer_url().contains("tls-2") {
            return chain;
        }
    }
    panic!("no reload put the second issuing CA to work");
}

async fn an_older_root_gives_a_second_chain(home: &Home, room: &Room) {
    let at = |name: &str| path(room.folder(), name);
    room.change(
        "root.toml",
        "old.toml",
        &[("Root 1", "Root 0"), ("\"root.key\"", "\"old.key\""), ("\"root.pem\"", "\"old.pem\"")],
    );
    room.hold("old.toml").await;
    room.change(
        "cross-certificate.toml",
        "cross.toml",
        &[
            ("\"root.pem\"", "\"old.pem\""),
            ("\"root.key\"", "\"old.key\""),
            ("\"root-2.pem\"", "\"root.pem\""),
            ("path_length = 1", "path_length = 2"),
            ("root-2-by-root.pem", "root-by-old.pem"),
        ],
    );
    room.hold("cross.toml").await;
    refused(&issuer(home, &["chain", &at("root-by-old.pem")]).await, "lead from no issuing CA to a root");
    issuer(home, &["chain", &at("root-by-old.pem"), &at("old.pem")]).await.succeeded();
    issuer(home, &["remove", "tls-1", "--unexpired"]).await.succeeded();
    let service = start(home, "third.log").await;
    let (mut client, url, chain) = issue(home, "three.example.org").await;
    let answer = client.read(&format!("{url}/1")).await.expect("an answer").expect(200);
    let alternate = Chain::from_pem(answer.text().as_bytes());
    assert_eq!(alternate.leaf(), chain.leaf());
    for (root, chain) in [("root.pem", &chain), ("old.pem", &alternate)] {
        leads_to(chain, &room.path(root), &["three.example.org"]).await;
    }
    certbot_takes_the_chain_that_it_prefers(home, room).await;
    let bundle = format!("http://localhost:{}/roots.pem", home.ports().publication);
    let bundle = ingam_tests::http::fetch(&bundle).await.expect("the bundle").expect(200).text();
    for root in ["root.pem", "old.pem"] {
        assert!(bundle.contains(room.text(root).trim()), "{root} is in the bundle: {bundle}");
    }
    service.stop().await;
}

/// Without a word, the usual chain; by the name of a root, the one that leads there, at renewals too.
async fn certbot_takes_the_chain_that_it_prefers(home: &Home, room: &Room) {
    let (site, names) = (home.site(), ["four.example.org"]);
    let certbot = Certbot::new(&site, home.path("certbot"));
    certbot.run(&["register", "--agree-tos", "--register-unsafely-without-email"]).await;
    let old = ["--preferred-chain", "Example Root 0"];
    let new = ["--preferred-chain", "Example Root 1"];
    for (lineage, further, root) in
        [("usual", &[][..], "root.pem"), ("new", &new[..], "root.pem"), ("old", &old[..], "old.pem")]
    {
        let chain = certbot.standalone(lineage, &names, further).await;
        leads_to(&chain, &room.path(root), &names).await;
    }
    certbot.run(&["renew", "--cert-name", "old", "--force-renewal", "--no-random-sleep-on-renew"]).await;
    leads_to(&certbot.chain("old"), &room.path("old.pem"), &names).await;
}

/// The chain verifies by this root alone, which signed the last certificate in it.
async fn leads_to(chain: &Chain, root: &Path, names: &[&str]) {
    let pem = CertificateDer::from_pem_file(root).expect("a root");
    assert_eq!(parse(chain.last()).issuer(), parse(&pem).subject());
    Openssl::trusting(root).verify(chain, names).await;
}
