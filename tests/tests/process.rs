//! The life of the process: the first start and the second, what stops a start, Ctrl-C, and guests who waste its time.
//!
//! Not a failure: the wording of sentences, as long as there is one, on standard error, that names the thing.

use std::time::Duration;

use ingam_tests::certificate::Chain;
use ingam_tests::challenge::{Prover, WebAnswers};
use ingam_tests::client::{CertificateRequest, Client};
use ingam_tests::command::{Finished, run};
use ingam_tests::http::{Connection, fetch};
use ingam_tests::jws::Key;
use ingam_tests::server::{Server, Setup, binary};
use rcgen::KeyPair;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;
use tokio::time::{sleep, timeout};

/// Longer than any header, handshake or idle limit may be on a connection that has said nothing sensible.
const CLOSED_WITHIN: Duration = Duration::from_secs(90);

#[tokio::test(flavor = "multi_thread")]
async fn a_newcomer_reads_what_is_needed() {
    let server = Server::start().await;
    let (output, ports) = (server.output(), server.ports());
    let urls = [
        format!("https://localhost:{}/dir", ports.acme),
        format!("http://localhost:{}/ocsp", ports.publication),
        format!(":{}", ports.management),
        format!(":{}", ports.metrics),
        format!(":{}", ports.dns),
        "certbot".to_owned(),
        "lego".to_owned(),
        "roots".to_owned(),
    ];
    for text in urls {
        assert!(output.contains(&text), "{text} is told before `ready`: {output}");
    }
    assert_eq!(output.lines().last(), Some("ready"), "{output}");

    // The roots are the same in the state folder, at the management address and in the published bundle.
    let bundle =
        fetch(&format!("http://localhost:{}/roots.pem", ports.publication)).await.expect("the bundle");
    let published = bundle.expect(200).text();
    let managed = format!("https://localhost:{}", ports.management);
    let mut management = Connection::to(&managed, Some(server.site().tls()));
    let root = management.get(&format!("{managed}/roots/0")).await.expect("a root").expect(200).text();
    for text in [&published, &root] {
        assert!(text.contains("BEGIN CERTIFICATE"), "{text}");
    }
    assert!(
        server.roots_pem().contains(root.trim()) && published.contains(root.trim()),
        "one root everywhere"
    );
    for number in 0..2 {
        let url = format!("{managed}/intermediates/{number}");
        let answer = management.get(&url).await.expect("an intermediate").expect(200);
        assert!(answer.text().contains("BEGIN CERTIFICATE"), "{answer}");
    }
    let metrics =
        fetch(&format!("http://localhost:{}/metrics", ports.metrics)).await.expect("metrics").expect(200);
    assert!(metrics.text().lines().any(|line| line.starts_with("# TYPE ")), "Prometheus reads it: {metrics}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_second_start_goes_on_with_redb() {
    second_start_goes_on("redb").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_second_start_goes_on_with_sled() {
    second_start_goes_on("sled").await;
}

async fn second_start_goes_on(engine: &str) {
    let setup = Setup { engine: engine.to_owned(), ..Setup::new() };
    let mut server = Server::start_with(setup).await;
    let prover = Prover::Http(WebAnswers::listen(server.ports().http).await);
    let roots = server.roots_pem();
    let key = KeyPair::generate().expect("rcgen makes P-256 keys").serialize_der();
    let mut client = Client::new(&server.site(), Key::es256_from(&key)).await.expect("a directory");
    let account = client.register().await.expect("an account");
    let (order, good) = issue(&mut client, "good.again.example.org", &prover).await;
    let (_, revoked) = issue(&mut client, "revoked.again.example.org", &prover).await;
    client.revoke(revoked.leaf(), Some(4)).await.expect("an answer").expect(200);
    let pending = client.order(&["pending.again.example.org"]).await.expect("an order");

    // Once after a clean end, once after none.
    for is_clean in [true, false] {
        if is_clean {
            server.stop().await;
        }
        server.restart().await;
        assert_eq!(server.roots_pem(), roots, "the same roots");
        let openssl = server.openssl();
        let mut client = Client::new(&server.site(), Key::es256_from(&key)).await.expect("a directory");
        assert_eq!(client.find_account().await.expect("the account"), account);
        let known = client.order_at(&order).await.expect("the order");
        assert_eq!(client.certificate(&known).await.expect("a certificate"), good);
        openssl.verify(&good, &["good.again.example.org"]).await;
        openssl.status(&good).await.is_good();
        openssl.status(&revoked).await.is_revoked(Some("superseded"));
        assert!(openssl.crl(&revoked).await.contains(&revoked));
        assert_eq!(client.order_at(&pending.url).await.expect("the order").status(), "pending");
    }
    let mut client = Client::new(&server.site(), Key::es256_from(&key)).await.expect("a directory");
    client.find_account().await.expect("the account");
    let pending = client.prove(&pending, &prover).await.expect("what was begun before can be ended now");
    let csr = CertificateRequest::of(&["pending.again.example.org"]);
    client.finalize(&pending, &csr.der).await.expect("a valid order");
    server.stop().await;
}

async fn issue(client: &mut Client, name: &str, prover: &Prover) -> (String, Chain) {
    let request = CertificateRequest::of(&[name]);
    let (order, chain) = client.issue(&[name], &request, prover).await.expect("a certificate");
    (order.url, chain)
}

/// Asserts exit code 2 and a sentence for each mistake, a line each, on standard error; together they name all of these.
#[track_caller]
fn is_refused(finished: &Finished, mentions: &[&str]) {
    assert_eq!(finished.status.code(), Some(2), "a start that cannot be ends with 2: {finished}");
    for mention in mentions {
        assert!(finished.stderr.contains(mention), "the sentence names {mention}: {finished}");
    }
    let lines = finished.stderr.trim().lines().count();
    assert!((1..=8).contains(&lines), "a line for each mistake, no backtrace: {finished}");
    assert!(!finished.stderr.contains("panicked"), "{finished}");
    assert!(!finished.text().lines().any(|line| line == "ready"), "{finished}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_used_port_stops_the_start() {
    let (setup, home) = (Setup::new(), TempDir::new().expect("a temporary folder"));
    for port in [setup.ports.acme, setup.ports.publication, setup.ports.metrics, setup.ports.dns] {
        let taken = TcpListener::bind(("127.0.0.1", port)).await.expect("the port is free until now");
        is_refused(&setup.run(home.path()).await, &[&port.to_string()]);
        drop(taken);
    }
    let ports = [setup.ports.acme, setup.ports.publication, setup.ports.metrics, setup.ports.dns];
    let mut taken = Vec::new();
    for port in ports {
        taken.push(TcpListener::bind(("127.0.0.1", port)).await.expect("the port is free until now"));
    }
    let refused = setup.run(home.path()).await;
    is_refused(&refused, &ports.map(|port| format!(":{port} ")).each_ref().map(String::as_str));
    assert!(!home.path().join("state").exists(), "no folder is made for a start that cannot be");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_cannot_be_used_stops_the_start() {
    let (setup, home) = (Setup::new(), TempDir::new().expect("a temporary folder"));
    // A file is where the folder should be; this holds for root too, who may write anywhere.
    std::fs::write(home.path().join("state"), "not a folder").expect("a writable folder");
    is_refused(&setup.run(home.path()).await, &["state"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_process_on_the_same_folder_stops() {
    let server = Server::start().await;
    let home = server.state().parent().expect("the state folder is in a folder").to_owned();
    let other = Setup::new();
    // The config file of the first is written over, which it does not mind: it has read it.
    is_refused(&other.run(&home).await, &["state"]);
    Client::registered(&server.site()).await.expect("the first goes on");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_config_stops_the_start() {
    let home = TempDir::new().expect("a temporary folder");
    let broken = [
        ("no_such_key = 1", "no_such_key"),
        ("[no_such_table]\nkey = 1", "no_such_table"),
        ("this is no TOML", "ingam.toml"),
    ];
    for (text, mention) in broken {
        let setup = Setup { further_config: text.to_owned(), ..Setup::new() };
        is_refused(&setup.run(home.path()).await, &[mention]);
    }
    let engine = Setup { engine: "paper".to_owned(), ..Setup::new() };
    is_refused(&engine.run(home.path()).await, &["paper"]);
    let three = Setup {
        engine: "paper".to_owned(),
        further_config: "[limits]\nidle_timeout_s = 0\n[issuance]\nno_such_key = 1".to_owned(),
        ..Setup::new()
    };
    let refused = three.run(home.path()).await;
    is_refused(&refused, &["store.engine: ", "limits.idle_timeout_s: ", "issuance.no_such_key: "]);
    assert_eq!(refused.stderr.lines().count(), 3, "all of them at once: {refused}");

    let mut missing = Command::new(binary());
    missing.args(["dev", "--config"]).arg(home.path().join("missing.toml"));
    missing.arg("--dir").arg(home.path().join("state"));
    is_refused(&run(&mut missing, "").await, &["missing.toml"]);
    let mut unmade = Command::new(binary());
    unmade.args(["serve", "--config", "missing.toml"]).current_dir(home.path());
    is_refused(&run(&mut unmade, "").await, &["missing.toml", "ingam init --config missing.toml"]);
    assert!(!home.path().join("state/roots").exists(), "nothing was made before everything was checked");
}

#[tokio::test(flavor = "multi_thread")]
async fn values_out_of_bounds_stop_the_start() {
    let home = TempDir::new().expect("a temporary folder");
    let wrong = [
        ("[responder]\ncrl_validity_s = 0", "crl_validity_s"),
        ("[responder]\nocsp_refresh_s = 999999", "ocsp_refresh_s"),
        ("[limits]\nconnections_max = 9223372036854775807", "connections_max"),
        ("[issuance]\nchecks_max = 0", "checks_max"),
        ("[issuance]\nnames_refused = [\"*.example.org\"]", "names_refused"),
        ("[profiles.classic]\nissuer = \"nobody\"", "nobody"),
    ];
    for (text, mention) in wrong {
        let setup = Setup { further_config: text.to_owned(), ..Setup::new() };
        is_refused(&setup.run(home.path()).await, &[mention]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_was_a_ca_is_never_made_a_new_one() {
    let mut server = Server::start().await;
    Client::registered(&server.site()).await.expect("an account, so that something is on record");
    let setup = Setup::new();
    let home = server.state().parent().expect("the state folder is in a folder").to_owned();
    server.stop().await;
    let keys = server.state().join("keys/root.pem");
    let key = std::fs::read(&keys).expect("a key");

    let hierarchy = server.state().join("hierarchy.json");
    let kept = std::fs::read(&hierarchy).expect("a hierarchy");
    std::fs::remove_file(&hierarchy).expect("a writable folder");
    is_refused(&setup.run(&home).await, &["hierarchy.json", "backup"]);
    assert_eq!(std::fs::read(&keys).expect("a key"), key, "no key is written over");
    std::fs::write(&hierarchy, kept).expect("a writable folder");

    for name in ["store.redb", "store.redb.log"] {
        std::fs::remove_file(server.state().join(name)).expect("a writable folder");
    }
    is_refused(&setup.run(&home).await, &["store", "journal", "backup"]);
    is_refused(&setup.run(&home).await, &["store", "journal", "backup"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_in_the_middle_of_things() {
    let mut server = Server::start().await;
    let prover = Prover::Http(WebAnswers::listen(server.ports().http).await);
    let mut working = Vec::new();
    for number in 0..4 {
        let mut client = Client::registered(&server.site()).await.expect("an account");
        let prover = prover.clone();
        working.push(tokio::spawn(async move {
            for order in 0.. {
                let name = format!("{number}-{order}.interrupted.example.org");
                let request = CertificateRequest::of(&[&name]);
                // The end of the server ends the client.
                if client.issue(&[&name], &request, &prover).await.is_err() {
                    break;
                }
            }
        }));
    }
    let idle = TcpStream::connect(("127.0.0.1", server.ports().acme)).await.expect("the server listens");
    sleep(Duration::from_millis(500)).await;
    server.stop().await;
    drop(idle);
    for client in working {
        timeout(Duration::from_secs(60), client).await.expect("clients end").expect("no client panics");
    }
    server.restart().await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn guests_who_waste_time_hinder_nobody() {
    let server = Server::start().await;
    let prover = Prover::Http(WebAnswers::listen(server.ports().http).await);
    let ports = server.ports().clone();
    let halves: [(u16, &[u8]); 5] = [
        // Nothing at all; half a TLS handshake; half a header; a body that never comes.
        (ports.acme, b""),
        (ports.acme, b"\x16\x03\x01\x02\x00\x01\x00"),
        (ports.publication, b""),
        (ports.publication, b"GET /ocsp/ HTTP/1.1\r\nHost: loc"),
        (ports.publication, b"POST /ocsp HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n0"),
    ];
    let mut open = Vec::new();
    for (port, bytes) in halves {
        for _ in 0..40 {
            let mut socket = TcpStream::connect(("127.0.0.1", port)).await.expect("the server listens");
            socket.write_all(bytes).await.expect("a half of something");
            open.push((port, bytes, socket));
        }
    }
    let mut client = Client::registered(&server.site()).await.expect("an account");
    let (_, chain) = issue(&mut client, "meanwhile.example.org", &prover).await;
    server.openssl().status(&chain).await.is_good();

    // Each is closed by the server in the end; what it may say before (408, an alert) does not matter.
    let wait = async {
        for (port, bytes, mut socket) in open {
            let mut rest = Vec::new();
            let closed = timeout(CLOSED_WITHIN, socket.read_to_end(&mut rest)).await;
            assert!(closed.is_ok(), "port {port} keeps a connection that said only {bytes:02X?}");
        }
    };
    timeout(CLOSED_WITHIN, wait).await.expect("all of them are closed in time");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trickle_and_an_idle_connection_are_closed() {
    let server = Server::start().await;
    let port = server.ports().publication;
    let trickle = async {
        let mut socket = TcpStream::connect(("127.0.0.1", port)).await.expect("the server listens");
        socket.write_all(b"GET /ocsp HTTP/1.1\r\n").await.expect("a line");
        // One byte a second is not silence, and still no request.
        loop {
            let mut byte = [0];
            if socket.write_all(b"X").await.is_err() {
                return;
            }
            if let Ok(Ok(0) | Err(_)) = timeout(Duration::from_secs(1), socket.read(&mut byte)).await {
                return;
            }
        }
    };
    let idle = async {
        let mut socket = TcpStream::connect(("127.0.0.1", port)).await.expect("the server listens");
        socket.write_all(b"GET /roots.pem HTTP/1.1\r\nHost: localhost\r\n\r\n").await.expect("a request");
        let mut all = Vec::new();
        // A reset is a close as well.
        drop(socket.read_to_end(&mut all).await);
        assert!(all.starts_with(b"HTTP/1.1 200"), "the answer came before the end");
    };
    timeout(CLOSED_WITHIN, trickle).await.expect("a header that never ends is not waited for");
    timeout(CLOSED_WITHIN * 2, idle).await.expect("an idle connection is closed in the end");
}
