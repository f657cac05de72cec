//! From nothing to a CA in production, by flags and on a terminal; a CA that was there before goes on; a backup becomes a
//! CA on another machine; and everything that must not start is refused, with what to do.
//!
//! The CA looks up names at the test DNS server of an `ingam dev` beside it. Not a failure: the wording of sentences, as
//! long as the thing and its remedy are named.

use std::fs::{self, Permissions};
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use ingam_tests::certificate::Chain;
use ingam_tests::challenge::{Prover, WebAnswers};
use ingam_tests::client::{CertificateRequest, Client};
use ingam_tests::command::{Finished, run};
use ingam_tests::http::fetch;
use ingam_tests::jws::{Key, base64url};
use ingam_tests::server::{Server, binary};
use ingam_tests::service::{Home, ISSUER_PASSPHRASE, ROOT_PASSPHRASE, Service};
use rcgen::KeyPair;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use tokio::net::UnixDatagram;
use tokio::process::Command;
use tokio::time::timeout;

const INSTALL: &str = "Install openssl, on Debian with `apt-get install openssl`";

/// Asserts exit status 2 and one sentence on standard error that names each of these.
#[track_caller]
fn is_refused(finished: &Finished, mentions: &[&str]) {
    assert_eq!(finished.status.code(), Some(2), "what cannot be ends with 2: {finished}");
    for mention in mentions {
        assert!(finished.stderr.contains(mention), "the sentence names {mention}: {finished}");
    }
    assert!(!finished.stderr.contains("panicked"), "{finished}");
    assert!(!finished.text().lines().any(|line| line == "ready"), "{finished}");
}

/// Runs `ingam serve` to its end, for starts that must fail.
async fn serve_refused(home: &Home, config: &str, mentions: &[&str]) {
    is_refused(&run(&mut home.command("serve", config), "").await, mentions);
}

/// `ingam serve` as systemd starts it, with the passphrase among its credentials.
fn with_credentials(home: &Home, config: &str) -> Command {
    let mut command = home.command("serve", config);
    command.env("CREDENTIALS_DIRECTORY", home.credentials());
    command
}

async fn openssl(arguments: &[&str]) -> Finished {
    run(Command::new("openssl").args(arguments), INSTALL).await
}

async fn issue(client: &mut Client, name: &str, prover: &Prover) -> Chain {
    let request = CertificateRequest::of(&[name]);
    client.issue(&[name], &request, prover).await.expect("a certificate").1
}

/// A new production CA in this home, its configuration moved to loopback; its passphrase is left to systemd.
async fn new_production(home: &Home, dns_port: u16) -> Finished {
    let arguments = [home.settings("production"), home.new_keys()].concat();
    let made = home.init("ca.toml", &arguments).await.succeeded();
    home.adapt("ca.toml", dns_port);
    home.change("ca.toml", "\npassphrase_file = ", "\n# passphrase_file = ");
    made
}

#[tokio::test(flavor = "multi_thread")]
async fn from_nothing_to_a_certificate_in_production() {
    let (beside, home) = (Server::start().await, Home::new());
    let made = new_production(&home, beside.ports().dns).await;
    for mention in ["ingam check", "keys/root.pem", "shred", "ingam serve", "ingam status", "Back it up"] {
        assert!(made.text().contains(mention), "{mention} is among what to do next: {made}");
    }
    for (key, passphrase) in
        [("root", ROOT_PASSPHRASE), ("ecdsa", ISSUER_PASSPHRASE), ("rsa", ISSUER_PASSPHRASE)]
    {
        let file = home.text(&format!("state/keys/{key}.pem"));
        let text = fs::read_to_string(&file).expect("a key");
        assert!(text.starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----\n"), "{key}: {text}");
        openssl(&["pkey", "-noout", "-in", &file, "-passin", &format!("pass:{passphrase}")])
            .await
            .succeeded();
    }
    // Where only the service has the passphrase, the check can be told.
    for (further, mention) in
        [(&[][..], "they were not tried"), (&["--issuer-passphrase-file", "issuer-passphrase"], "0 errors")]
    {
        let checked = run(home.command("check", "ca.toml").args(further), "").await.succeeded();
        assert!(checked.text().contains(mention), "{checked}");
    }

    // A CA is made once, which is said before anything is asked for.
    let again = home.init("ca.toml", &[]).await;
    is_refused(&again, &["already has a hierarchy", "ingam issuer add"]);
    assert!(!again.stderr.contains("passphrase"), "{again}");

    // As systemd starts it, it tells systemd.
    let notified = UnixDatagram::bind(home.path("notify")).expect("a socket");
    let mut command = with_credentials(&home, "ca.toml");
    command.env("NOTIFY_SOCKET", home.path("notify"));
    let service = Service::start(command, &home.path("first.log")).await;
    assert_eq!(told(&notified).await, "READY=1");
    the_cas_certificates_are_on_record(&home, false).await;
    assert!(service.log().contains("it belongs offline"), "the root's key is still here: {}", service.log());

    let prover = Prover::Http(WebAnswers::listen(home.ports().http).await);
    let mut client = Client::registered(&home.site()).await.expect("an account");
    let chain = issue(&mut client, "www.bring-up.example.org", &prover).await;
    let judge = home.openssl("state");
    judge.verify(&chain, &["www.bring-up.example.org"]).await;
    judge.status(&chain).await.is_good();
    assert!(!judge.crl(&chain).await.contains(&chain));
    claims_nothing(&home, &chain).await;
    // Told of a reload too, whether or not it succeeds.
    for line in ["names_refused = [\"corp.example.org\"]", "names_refused = 1"] {
        home.change("ca.toml", "[issuance]", &format!("[issuance]\n{line} #"));
        service.reload();
        assert_eq!((told(&notified).await, told(&notified).await), ("RELOADING=1".into(), "READY=1".into()));
        home.change("ca.toml", &format!("[issuance]\n{line} #"), "[issuance]");
    }
    service.stop().await;
    assert_eq!(told(&notified).await, "STOPPING=1");

    // With the root's key offline it goes on, and has nothing to warn of.
    fs::remove_file(home.path("state/keys/root.pem")).expect("a writable folder");
    let service = Service::start(with_credentials(&home, "ca.toml"), &home.path("second.log")).await;
    assert!(!service.log().contains("belongs offline"), "{}", service.log());
    home.openssl("state").status(&chain).await.is_good();
    service.stop().await;
}

async fn told(socket: &UnixDatagram) -> String {
    let mut buffer = [0; 256];
    let length = timeout(Duration::from_secs(10), socket.recv(&mut buffer)).await;
    let length = length.expect("systemd is told").expect("a datagram");
    String::from_utf8_lossy(&buffer[..length]).into_owned()
}

/// A private CA's certificates carry no policy of the public web.
async fn claims_nothing(home: &Home, chain: &Chain) {
    fs::write(home.path("leaf.der"), chain.leaf()).expect("a writable folder");
    let leaf = ["x509", "-inform", "DER", "-noout", "-text", "-in", &home.text("leaf.der")];
    let issuer = ["x509", "-noout", "-text", "-in", &home.text("state/issuers/ecdsa.pem")];
    for arguments in [&leaf[..], &issuer] {
        let text = openssl(arguments).await.succeeded().text();
        assert!(!text.contains("2.23.140") && !text.contains("Certificate Policies"), "{text}");
    }
}

/// Every CA certificate of the state folder is on record, which the CA that runs there is asked for.
async fn the_cas_certificates_are_on_record(home: &Home, taken_over: bool) {
    let mut search = Command::new(binary());
    search.args(["admin", "--socket", &home.text("state/admin.sock"), "--json", "log", "search"]);
    search.args(["--type", "authority_certificate_created", "--limit", "1000", "--reason", "a story"]);
    let found = run(&mut search, "").await.succeeded();
    let records = serde_json::from_slice::<serde_json::Value>(&found.stdout).expect("JSON").to_string();
    let mut certificates = 0;
    for folder in ["roots", "issuers"] {
        for entry in fs::read_dir(home.path("state").join(folder)).expect("a folder") {
            let pem = fs::read(entry.expect("a file").path()).expect("a certificate");
            let der = CertificateDer::from_pem_slice(&pem).expect("a certificate in PEM");
            assert!(records.contains(&base64url(&der)), "a CA certificate of {folder}/ is not on record");
            certificates += 1;
        }
    }
    assert_eq!(records.matches(&format!("\"taken_over\":{taken_over}")).count(), certificates);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_becomes_the_ca_on_another_machine() {
    let (beside, home) = (Server::start().await, Home::new());
    new_production(&home, beside.ports().dns).await;
    let prover = Prover::Http(WebAnswers::listen(home.ports().http).await);
    let key = KeyPair::generate().expect("rcgen makes P-256 keys").serialize_der();
    let service = Service::start(with_credentials(&home, "ca.toml"), &home.path("first.log")).await;
    let mut client = Client::new(&home.site(), Key::es256_from(&key)).await.expect("a directory");
    let account = client.register().await.expect("an account");
    let good = issue(&mut client, "good.restored.example.org", &prover).await;
    let revoked = issue(&mut client, "revoked.restored.example.org", &prover).await;
    client.revoke(revoked.leaf(), Some(4)).await.expect("an answer").expect(200);
    service.stop().await;

    // What docs/operations/keys-and-backups.md backs up, and nothing else, in two parts.
    let backup = home.path("backup");
    let parts = [
        "hierarchy.json",
        "roots",
        "issuers",
        "keys",
        "journal",
        "journal-keys",
        "store.redb",
        "store.redb.log",
    ];
    for part in parts.iter().chain(&["contacts"]) {
        let apart = backup.join(if *part == "contacts" { "contact-keys" } else { "state" });
        fs::create_dir_all(&apart).expect("a writable folder");
        run(Command::new("cp").arg("-a").arg(home.path("state").join(part)).arg(&apart), "")
            .await
            .succeeded();
    }
    fs::remove_dir_all(home.path("state")).expect("the machine is lost");

    let restored = home.path("restored");
    run(Command::new("cp").arg("-a").arg(backup.join("state")).arg(&restored), "").await.succeeded();
    run(Command::new("cp").arg("-a").arg(backup.join("contact-keys/contacts")).arg(&restored), "")
        .await
        .succeeded();
    home.change("ca.toml", &home.text("state"), &home.text("restored"));
    let service = Service::start(with_credentials(&home, "ca.toml"), &home.path("second.log")).await;
    let judge = home.openssl("restored");
    judge.status(&good).await.is_good();
    judge.status(&revoked).await.is_revoked(Some("superseded"));
    assert!(judge.crl(&revoked).await.contains(&revoked));
    let mut client = Client::new(&home.site(), Key::es256_from(&key)).await.expect("a directory");
    assert_eq!(client.find_account().await.expect("the account"), account);
    let later = issue(&mut client, "later.restored.example.org", &prover).await;
    judge.verify(&later, &["later.restored.example.org"]).await;
    service.stop().await;

    // A part that was forgotten is named, and no new CA is made over the rest.
    for forgotten in ["hierarchy.json", "store.redb", "keys/ecdsa.pem", "issuers/rsa.pem", "roots/root.pem"] {
        let (from, to) = (restored.join(forgotten), home.path("forgotten"));
        fs::rename(&from, &to).expect("a writable folder");
        let named = if forgotten == "store.redb" { "store" } else { forgotten };
        is_refused(&run(&mut with_credentials(&home, "ca.toml"), "").await, &[named]);
        fs::rename(&to, &from).expect("a writable folder");
    }
    Service::start(with_credentials(&home, "ca.toml"), &home.path("third.log")).await.stop().await;
}

/// A CA that openssl made: a root, and an issuing CA with an encrypted key.
async fn foreign_ca(home: &Home, subject: &str) {
    let [root, root_key, issuer, key] =
        ["old-root.pem", "old-root.key", "old-issuer.pem", "old-issuer.key"].map(|file| home.text(file));
    home.write_secret("old-passphrase", "from before\n");
    let usage = "keyUsage=critical,keyCertSign,cRLSign";
    let new_root = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "31", "-subj", "/CN=Before"];
    let out = ["-keyout", &root_key, "-out", &root, "-addext", usage];
    openssl(&[&new_root[..], &out].concat()).await.succeeded();
    let curve = "ec_paramgen_curve:P-256";
    let new_key = ["genpkey", "-algorithm", "EC", "-pkeyopt", curve, "-aes256", "-pass", "pass:from before"];
    openssl(&[&new_key[..], &["-out", &key]].concat()).await.succeeded();
    let signed = ["req", "-x509", "-days", "30", "-subj", subject, "-passin", "pass:from before"];
    let files = ["-key", &key, "-out", &issuer, "-CA", &root, "-CAkey", &root_key, "-addext", usage];
    openssl(&[&signed[..], &files].concat()).await.succeeded();
}

fn taking_over(home: &Home) -> Vec<String> {
    let issuer = format!("old={},{}", home.text("old-issuer.pem"), home.text("old-issuer.key"));
    let flags = [
        ("--existing-root", home.text("old-root.pem")),
        ("--existing-issuer", issuer),
        ("--existing-passphrase-file", home.text("old-passphrase")),
        ("--issuer-passphrase-file", home.text("issuer-passphrase")),
    ];
    flags.into_iter().flat_map(|(flag, value)| [flag.to_owned(), value]).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ca_that_was_there_before_goes_on() {
    let (beside, home) = (Server::start().await, Home::new());
    foreign_ca(&home, "/C=KR/O=Before/CN=Issuer").await;
    let made =
        home.init("ca.toml", &[home.settings("production"), taking_over(&home)].concat()).await.succeeded();
    assert!(!made.text().contains("shred"), "its root's key was never here: {made}");
    home.adapt("ca.toml", beside.ports().dns);
    // Ninety days would end after the issuer.
    home.change("ca.toml", "validity_s = 7776000", "validity_s = 86400");
    let key = home.text("state/keys/old.pem");
    let passphrase = format!("pass:{ISSUER_PASSPHRASE}");
    openssl(&["pkey", "-noout", "-in", &key, "-passin", &passphrase]).await.succeeded();

    let service = Service::start(with_credentials(&home, "ca.toml"), &home.path("service.log")).await;
    the_cas_certificates_are_on_record(&home, true).await;
    let prover = Prover::Http(WebAnswers::listen(home.ports().http).await);
    let mut client = Client::registered(&home.site()).await.expect("an account");
    let chain = issue(&mut client, "www.before.example.org", &prover).await;
    // By the root as it was before.
    let judge = ingam_tests::openssl::Openssl::trusting(&home.path("old-root.pem"));
    judge.verify(&chain, &["www.before.example.org"]).await;
    judge.status(&chain).await.is_good();
    let bundle = fetch(&format!("http://localhost:{}/roots.pem", home.ports().publication)).await;
    let bundle = bundle.expect("the bundle").expect(200).text();
    let old_root = fs::read_to_string(home.path("old-root.pem")).expect("the old root");
    assert!(bundle.contains(old_root.trim()), "clients trust what they trusted: {bundle}");
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_taken_over_is_refused_and_nothing_is_made() {
    let home = Home::new();
    foreign_ca(&home, "/C=KR/O=Before/CN=Issuer").await;
    let all = |changed: &[(&str, String)]| {
        let mut arguments = [home.settings("production"), taking_over(&home)].concat();
        for (flag, value) in changed {
            let place = arguments.iter().position(|argument| argument == flag).expect("a flag that is there");
            arguments[place + 1].clone_from(value);
        }
        arguments
    };
    home.write_secret("wrong", "another\n");
    let wrong = all(&[("--existing-passphrase-file", home.text("wrong"))]);
    is_refused(&home.init("ca.toml", &wrong).await, &["old-issuer.key", "--existing-passphrase-file"]);
    let another = format!("old={},{}", home.text("old-issuer.pem"), home.text("tls.key"));
    let another = all(&[("--existing-issuer", another)]);
    is_refused(&home.init("ca.toml", &another).await, &["tls.key", "does not belong to"]);
    let no_root = all(&[("--existing-root", home.text("tls.pem"))]);
    is_refused(&home.init("ca.toml", &no_root).await, &["tls.pem"]);
    is_refused(
        &home.init("ca.toml", &all(&[("--existing-issuer", "old".to_owned())])).await,
        &["NAME=CERT,KEY"],
    );
    foreign_ca(&home, "/O=Before/OU=One/OU=Two/CN=Issuer").await;
    is_refused(&home.init("ca.toml", &all(&[])).await, &["old-issuer.pem", "issuer_name"]);
    assert!(!home.path("ca.toml").exists() && !home.path("state").exists(), "nothing was made");
}

#[tokio::test(flavor = "multi_thread")]
async fn all_that_is_missing_or_wrong_is_said_at_once() {
    let home = Home::new();
    let nothing = home.init("ca.toml", &[]).await;
    let missing = ["--environment", "--public-url", "--publication-url", "--organization", "--country"];
    is_refused(&nothing, &[&missing[..], &["--tls-certificate", "--tls-key"]].concat());
    let mut arguments = home.settings("production");
    arguments.extend(["--country", "kr", "--administrator", "me"].map(str::to_owned));
    arguments[3] = "http://not.https.example/dir".to_owned();
    let wrong = ["\"kr\"", "\"me\"", "not.https", "--organization is missing"];
    let passphrases = ["--issuer-passphrase-file is missing", "--root-passphrase-file is missing"];
    is_refused(&home.init("ca.toml", &arguments).await, &[&wrong[..], &passphrases].concat());

    // One passphrase for both, and one that others can read.
    fs::copy(home.path("issuer-passphrase"), home.path("root-passphrase")).expect("a writable folder");
    let arguments = [home.settings("production"), home.new_keys()].concat();
    is_refused(&home.init("ca.toml", &arguments).await, &["choose another"]);
    fs::set_permissions(home.path("root-passphrase"), Permissions::from_mode(0o644)).expect("a file");
    is_refused(&home.init("ca.toml", &arguments).await, &["--root-passphrase-file", "0644", "chmod 600"]);
    assert!(!home.path("ca.toml").exists() && !home.path("state").exists(), "nothing was made");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_ever_written_over() {
    let home = Home::new();
    let staging = [home.settings("staging"), home.new_keys()].concat();
    fs::write(home.path("ca.service"), "mine").expect("a writable folder");
    let unit = ["--systemd-unit".to_owned(), home.text("ca.service")];
    is_refused(
        &home.init("ca.toml", &[&staging[..], &unit].concat()).await,
        &["ca.service", "never written over"],
    );
    assert!(!home.path("ca.toml").exists() && !home.path("state").exists(), "nothing was made");
    let made = home.init("ca.toml", &staging).await.succeeded();
    assert!(!made.stderr.contains("\"level\""), "a command logs no JSON beside its own words: {made}");

    let kept = |file: &str| fs::read(home.path(file)).expect("a file");
    let before = ["ca.toml", "state/keys/ecdsa.pem", "state/keys/root.pem"].map(kept);
    is_refused(&home.init("ca.toml", &staging).await, &["ca.toml", "--environment", "--tls-key"]);
    is_refused(&home.init("ca.toml", &[]).await, &["already has a hierarchy", "ingam serve"]);
    // Another configuration for the same folder.
    is_refused(&home.init("other.toml", &staging).await, &["already has a hierarchy"]);
    assert!(!home.path("other.toml").exists());
    fs::rename(home.path("state/hierarchy.json"), home.path("hierarchy.json")).expect("a writable folder");
    is_refused(&home.init("ca.toml", &[]).await, &["keys", "hierarchy.json"]);
    fs::rename(home.path("state/keys"), home.path("keys")).expect("a writable folder");
    is_refused(&home.init("ca.toml", &[]).await, &["a CA that has lived"]);
    fs::rename(home.path("keys"), home.path("state/keys")).expect("a writable folder");
    assert_eq!(before, ["ca.toml", "state/keys/ecdsa.pem", "state/keys/root.pem"].map(kept));
    assert_eq!(kept("ca.service"), b"mine");
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_are_not_on_record_are_no_ca() {
    let home = Home::new();
    let staging = [home.settings("staging"), home.new_keys()].concat();
    // The last file of all cannot be written.
    fs::create_dir_all(home.path("state/.hierarchy.json.new")).expect("a writable folder");
    is_refused(&home.init("ca.toml", &staging).await, &["hierarchy.json"]);
    assert!(home.path("state/store.redb").exists(), "what was made went on record before");
    assert!(!home.path("state/hierarchy.json").exists());
    serve_refused(&home, "ca.toml", &["hierarchy"]).await;
    is_refused(&home.init("ca.toml", &[]).await, &["choose another folder", "broken off"]);
    for part in ["store.redb", "store.redb.log", "journal"] {
        let _ = fs::remove_file(home.path("state").join(part));
        let _ = fs::remove_dir_all(home.path("state").join(part));
    }
    is_refused(&home.init("ca.toml", &[]).await, &["keys, but no hierarchy.json", "broken off"]);
    fs::remove_dir_all(home.path("state")).expect("a writable folder");
    fs::remove_file(home.path("ca.toml")).expect("a writable folder");
    home.init("ca.toml", &staging).await.succeeded();
}

#[tokio::test(flavor = "multi_thread")]
async fn production_starts_with_protected_keys_and_no_public_profile_without_logs() {
    let home = Home::new();
    new_production(&home, home.ports().dns).await;
    let with_passphrase = |file: &str| format!("root = \"root\"\npassphrase_file = \"{}\"", home.text(file));
    serve_refused(&home, "ca.toml", &["keys/ecdsa.pem", "passphrase_file", "issuer-passphrase"]).await;
    home.write_secret("other", "another\n");
    home.change("ca.toml", "root = \"root\"", &with_passphrase("other"));
    serve_refused(&home, "ca.toml", &["keys/ecdsa.pem", "does not open"]).await;
    fs::set_permissions(home.path("other"), Permissions::from_mode(0o640)).expect("a file");
    serve_refused(&home, "ca.toml", &["hierarchy.passphrase_file", "0640"]).await;
    fs::remove_file(home.path("other")).expect("a file");
    serve_refused(&home, "ca.toml", &["hierarchy.passphrase_file", "other"]).await;
    home.change("ca.toml", &home.text("other"), &home.text("issuer-passphrase"));

    home.change("ca.toml", "public = false", "public = true");
    let public = ["profiles.classic.transparency", "transparency.log_list", "public = false"];
    serve_refused(&home, "ca.toml", &public).await;
    is_refused(&home.init("ca.toml", &[]).await, &public);
    home.change("ca.toml", "public = true", "public = false");

    // The keys as an earlier version, or a careless hand, leaves them.
    for (file, passphrase, named) in [
        ("ecdsa.pem", ISSUER_PASSPHRASE, "the issuer ecdsa"),
        ("root.pem", ROOT_PASSPHRASE, "the root's key"),
    ] {
        let (path, kept) = (home.text(&format!("state/keys/{file}")), home.text("kept.pem"));
        fs::rename(&path, &kept).expect("a writable folder");
        let passphrase = format!("pass:{passphrase}");
        openssl(&["pkey", "-in", &kept, "-passin", &passphrase, "-out", &path]).await.succeeded();
        serve_refused(&home, "ca.toml", &[file, named, "production", "keys-and-backups.md"]).await;
        fs::rename(home.path("kept.pem"), &path).expect("a writable folder");
    }
    fs::copy(home.path("tls.key"), home.path("state/keys/copy")).expect("a writable folder");
    serve_refused(&home, "ca.toml", &["keys/copy", "belongs to no issuer"]).await;
    fs::remove_file(home.path("state/keys/copy")).expect("a writable folder");

    for (line, mentions) in [("engine = \"sled\"", &["sled", "redb"][..]), ("engine = \"paper\"", &["paper"])]
    {
        home.change("ca.toml", "[store]", &format!("[store]\n{line}"));
        serve_refused(&home, "ca.toml", mentions).await;
        home.change("ca.toml", &format!("[store]\n{line}"), "[store]");
    }
    home.change("ca.toml", "[listen]", "[listen]\ndns = [\"127.0.0.1:1\"]");
    serve_refused(&home, "ca.toml", &["listen.dns"]).await;
    home.change("ca.toml", "[listen]\ndns = [\"127.0.0.1:1\"]", "[listen]");
    // With all put right, it starts, and the file with the passphrase does as well as a credential.
    Service::start(home.command("serve", "ca.toml"), &home.path("service.log")).await.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_existing_configuration_is_used_as_it_is() {
    let home = Home::new();
    home.init("first.toml", &[home.settings("staging"), home.new_keys()].concat()).await.succeeded();
    fs::copy(home.path("first.toml"), home.path("ca.toml")).expect("a writable folder");
    home.change("ca.toml", &home.text("state"), &home.text("second"));
    home.change("ca.toml", "public = true", "public = false");
    home.change("ca.toml", "\"staging\"", "\"production\"");
    let refused = home.init("ca.toml", &[]).await;
    is_refused(&refused, &["--issuer-passphrase-file is missing", "--root-passphrase-file is missing"]);
    let keys = home.new_keys()[4..].to_vec();
    let made = home.init("ca.toml", &keys).await.succeeded();
    assert!(!made.text().contains("Written:"), "{made}");
    let text = fs::read_to_string(home.path("second/keys/root.pem")).expect("a key");
    assert!(text.contains("ENCRYPTED PRIVATE KEY"));
    // One that names its issuers otherwise cannot take others over.
    home.change("ca.toml", &home.text("second"), &home.text("third"));
    foreign_ca(&home, "/CN=Issuer").await;
    is_refused(&home.init("ca.toml", &taking_over(&home)).await, &["ecdsa, rsa", "old"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_terminal_it_asks() {
    let home = Home::new();
    let mut command = std::process::Command::new(binary());
    command
        .args(["init", "--config", &home.text("ca.toml")])
        .current_dir(home.path(""))
        .env_remove("RUST_LOG");
    let settings = home.settings("production");
    let answers = [
        ("What the CA is for", "nothing"),
        ("is none of", "production"),
        ("URL of the ACME server", settings[3].as_str()),
        ("URL of OCSP", &settings[5]),
        ("Folder of everything", &settings[7]),
        ("Organization", "Example"),
        ("Country", "KR"),
        ("certificate, with its chain", &settings[9]),
        ("certificate's key", &settings[11]),
        ("administrator", ""),
        ("Passphrase for the issuing CAs' keys", ISSUER_PASSPHRASE),
        ("Once more", "a slip"),
        ("not the same", ISSUER_PASSPHRASE),
        ("Once more", ISSUER_PASSPHRASE),
        ("Passphrase for the root's key", ROOT_PASSPHRASE),
        ("Once more", ROOT_PASSPHRASE),
    ]
    .map(|(question, answer)| (question.to_owned(), answer.to_owned()));
    let talk = tokio::task::spawn_blocking(move || on_a_terminal(command, &answers));
    let (is_success, seen) =
        timeout(Duration::from_secs(120), talk).await.expect("it ends").expect("no panic");
    assert!(is_success, "{seen}");
    for secret in [ISSUER_PASSPHRASE, ROOT_PASSPHRASE, "a slip"] {
        assert!(!seen.contains(secret), "a passphrase is never shown: {seen}");
    }
    assert!(seen.contains("Example"), "all else is: {seen}");
    assert!(seen.contains("[hierarchy] passphrase_file"), "it says where the passphrase goes: {seen}");
    let config = fs::read_to_string(home.path("ca.toml")).expect("a configuration");
    let own = format!("administrators = [\"uid:{}\"]", rustix::process::getuid().as_raw());
    assert!(config.contains("environment = \"production\"") && config.contains(&own), "{config}");
    let key = home.text("state/keys/root.pem");
    openssl(&["pkey", "-noout", "-in", &key, "-passin", &format!("pass:{ROOT_PASSPHRASE}")])
        .await
        .succeeded();
}

/// Runs a program on a terminal of its own, and gives each answer once its question is there. Whether it succeeded, and
/// everything that the terminal showed.
fn on_a_terminal(mut command: std::process::Command, answers: &[(String, String)]) -> (bool, String) {
    let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a pseudo-terminal");
    grantpt(&terminal).and_then(|()| unlockpt(&terminal)).expect("a pseudo-terminal");
    let name = ptsname(&terminal, Vec::new()).expect("its name").into_string().expect("its name in ASCII");
    let end = fs::File::options().read(true).write(true).open(name).expect("the terminal's other end");
    let copy = || end.try_clone().expect("one more of the same");
    let mut child = command.stdin(copy()).stdout(copy()).stderr(copy()).spawn().expect("the binary runs");
    // The program alone holds the other end: with it, the terminal ends.
    drop((command, end));
    let mut terminal = fs::File::from(terminal);
    let (mut seen, mut answered, mut answers) = (String::new(), 0, answers.iter());
    let mut next = answers.next();
    let mut buffer = [0; 4096];
    // At the end, reading fails.
    while let Ok(length @ 1..) = terminal.read(&mut buffer) {
        seen.push_str(&String::from_utf8_lossy(&buffer[..length]));
        if let Some((question, answer)) = next
            && let Some(place) = seen[answered..].find(question.as_str())
            && seen[answered + place..].ends_with(": ")
        {
            answered = seen.len();
            writeln!(terminal, "{answer}").expect("somebody reads");
            next = answers.next();
        }
    }
    assert!(next.is_none(), "{next:?} was never asked:\n{seen}");
    (child.wait().expect("one's own child").success(), seen)
}
