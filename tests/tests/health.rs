//! What the process says of itself to those who watch it: alive, ready, what it lacks, and that it is about to end.
//!
//! Not a failure: the wording of sentences, and warnings that the machine of the test earns (a disk that is nearly full).

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::time::Duration;

use ingam_tests::challenge::{Prover, WebAnswers};
use ingam_tests::client::{CertificateRequest, Client};
use ingam_tests::http::{Answer, Connection, fetch};
use ingam_tests::server::{Server, Setup, binary};
use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};
use serde_json::Value;
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};

const ROLES: [&str; 6] = ["frontend", "validation", "signer", "responder", "store", "journal"];
/// Within this, anything that health knows has been seen.
const SEEN_WITHIN: Duration = Duration::from_secs(15);

fn url(server: &Server, path: &str) -> String {
    format!("http://localhost:{}{path}", server.ports().metrics)
}

async fn ask(server: &Server, path: &str) -> Answer {
    fetch(&url(server, path)).await.expect("an answer")
}

async fn text(connection: &mut Connection, url: &str) -> Answer {
    let request = hyper::Request::get(url).header("accept", "text/plain");
    connection.send(request.body(Default::default()).expect("a request")).await.expect("an answer")
}

/// Asks until the answer has this status; a report is good for a second, so the first may be older than the change.
async fn until(server: &Server, path: &str, status: u16) -> Answer {
    let begun = Instant::now();
    loop {
        let answer = ask(server, path).await;
        if answer.status == status {
            return answer;
        }
        assert!(begun.elapsed() < SEEN_WITHIN, "{path} never answers {status}: {answer}");
        sleep(Duration::from_millis(100)).await;
    }
}

/// What one role lacks, by code, with the level.
fn lacks(answer: &Answer, role: &str) -> Vec<(String, String)> {
    let readiness = answer.json();
    let roles = readiness["roles"].as_array().expect("a list of roles");
    let report = roles.iter().find(|report| report["role"] == role).expect("the role is there");
    let lacks = report["lacks"].as_array().expect("a list of what it lacks").iter();
    lacks
        .map(|lack| {
            for sentence in ["detail", "fix"] {
                assert!(lack[sentence].as_str().is_some_and(|text| text.len() > 5), "{sentence} in {lack}");
            }
            let text = |key: &str| lack[key].as_str().expect("a word").to_owned();
            (text("code"), text("level"))
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ca_that_started_is_alive_and_ready() {
    let server = Server::start().await;
    let alive = ask(&server, "/livez").await.expect(200);
    assert_eq!(alive.text(), "ok\n");
    let ready = until(&server, "/readyz", 200).await;
    assert_eq!(
        (ready.header("content-type"), ready.header("cache-control")),
        ("application/json", "no-store")
    );
    let readiness = ready.json();
    assert_eq!(readiness["ready"], true);
    let roles = readiness["roles"].as_array().expect("a list of roles");
    let names: Vec<&str> = roles.iter().filter_map(|role| role["role"].as_str()).collect();
    assert_eq!(names, ROLES);
    for role in ROLES {
        let one = ask(&server, &format!("/readyz?role={role}")).await.expect(200).json();
        let roles = one["roles"].as_array().expect("a list of roles");
        assert_eq!((roles.len(), &roles[0]["role"]), (1, &Value::from(role)));
    }

    let mut connection = Connection::to(&url(&server, "/"), None);
    let words = text(&mut connection, &url(&server, "/readyz")).await.expect(200);
    assert!(words.header("content-type").starts_with("text/plain"), "{words}");
    assert!(words.text().starts_with("ready\nfrontend: ready\n"), "{words}");

    let unknown = ask(&server, "/readyz?role=king").await.expect(404).text();
    assert!(ROLES.iter().all(|role| unknown.contains(role)), "it says which there are: {unknown}");
    ask(&server, "/other").await.expect(404);
    for path in ["/livez", "/readyz", "/metrics"] {
        let head = hyper::Request::head(url(&server, path)).body(Default::default()).expect("a request");
        let answer = connection.send(head).await.expect("an answer").expect(200);
        assert!(answer.body.is_empty(), "HEAD has no body: {answer}");
        let post = hyper::Request::post(url(&server, path)).body(Default::default()).expect("a request");
        let answer = connection.send(post).await.expect("an answer").expect(405);
        assert_eq!(answer.header("allow"), "GET, HEAD");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_makes_the_store_unready_and_nothing_else() {
    // No disk has so much room, so this one is full.
    let full = "[health]\ndisk_warning_mib = 1099511627776\ndisk_failing_mib = 1099511627776";
    let server = Server::start_with(Setup { further_config: full.to_owned(), ..Setup::new() }).await;
    let unready = until(&server, "/readyz", 503).await;
    assert_eq!(unready.json()["ready"], false);
    assert!(lacks(&unready, "store").contains(&("disk".to_owned(), "failing".to_owned())), "{unready}");
    ask(&server, "/readyz?role=store").await.expect(503);
    until(&server, "/readyz?role=signer", 200).await;
    until(&server, "/readyz?role=responder", 200).await;
    ask(&server, "/livez").await.expect(200);

    let mut connection = Connection::to(&url(&server, "/"), None);
    let words = text(&mut connection, &url(&server, "/readyz")).await.expect(503).text();
    assert!(words.starts_with("not ready\n") && words.contains("\n  failing disk: "), "{words}");
    let metrics = ask(&server, "/metrics").await.expect(200).text();
    for line in [
        "ingam_ready{role=\"store\"} 0",
        "ingam_ready{role=\"signer\"} 1",
        "ingam_lack{role=\"store\",code=\"disk\"} 2",
        "ingam_lack{role=\"store\",code=\"commit\"} 0",
    ] {
        assert!(metrics.lines().any(|found| found == line), "{line} in\n{metrics}");
    }
    // It is for others to decide what follows; the CA goes on as long as it can.
    Client::registered(&server.site()).await.expect("an account");
}

/// Of the state folder, what lies on the small disk: the test reads the rest, and does not see this.
const ON_A_SMALL_DISK: &str = "journal-keys";

/// A server one of whose folders is a small disk of its own, in a mount namespace that ends with it. That needs root.
async fn server_on_a_small_disk() -> Server {
    let home = TempDir::new().expect("a temporary folder");
    let folder = home.path().join("state").join(ON_A_SMALL_DISK);
    std::fs::create_dir_all(&folder).expect("a writable folder");
    let program = home.path().join("on-a-small-disk");
    let mount = "mount -t tmpfs -o size=128m,mode=700 tmpfs \"$0\" && exec \"$@\"";
    let script = format!(
        "#!/bin/sh\nexec unshare --mount sh -c '{mount}' '{}' '{}' \"$@\"\n",
        folder.display(),
        binary().display()
    );
    std::fs::write(&program, script).expect("a writable folder");
    std::fs::set_permissions(&program, Permissions::from_mode(0o755)).expect("it can be run");
    Server::start_in(home, Setup { program: Some(program), ..Setup::new() }).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_fills_up_ends_issuance_and_loses_nothing() {
    let server = server_on_a_small_disk().await;
    let mut client = Client::registered(&server.site()).await.expect("an account");
    let prover = Prover::Http(WebAnswers::listen(server.ports().http).await);
    let request = CertificateRequest::of(&["a.example.org"]);
    let (_, before) = client.issue(&["a.example.org"], &request, &prover).await.expect("a certificate");
    let begun = client.order(&["b.example.org"]).await.expect("an order");

    // The disk as the process sees it.
    let disk = PathBuf::from(format!("/proc/{}/root{}", server.pid(), server.state().display()));
    let filler = disk.join(ON_A_SMALL_DISK).join("filler");
    std::fs::write(&filler, vec![0; 80 << 20]).expect("there is room for this");
    let unready = until(&server, "/readyz?role=store", 503).await;
    assert_eq!(lacks(&unready, "store")[0], ("disk".to_owned(), "failing".to_owned()), "{unready}");
    let refused = client.order(&["c.example.org"]).await.expect_err("nothing new is begun").to_string();
    assert!(refused.contains("503"), "{refused}");
    // What makes the world safer goes on.
    client.prove(&begun, &prover).await.expect("what was begun goes on");
    client.revoke(before.leaf(), Some(4)).await.expect("an answer").expect(200);

    std::fs::remove_file(&filler).expect("it is ours");
    until(&server, "/readyz?role=store", 200).await;
    let begun = client.order_at(&begun.url).await.expect("it is there");
    assert_eq!(begun.status(), "ready");
    let request = CertificateRequest::of(&["b.example.org"]);
    client.finalize(&begun, &request.der).await.expect("it goes on by itself");
    client.order(&["c.example.org"]).await.expect("an order");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_without_file_descriptors_says_so_and_recovers() {
    let server = Server::start().await;
    until(&server, "/readyz", 200).await;
    // Both connections stay open, so they need no descriptor later.
    let mut watching = Connection::to(&url(&server, "/"), None);
    let readyz = url(&server, "/readyz?role=store");
    watching.get(&readyz).await.expect("an answer").expect(200);
    let pid = Pid::from_raw(i32::try_from(server.pid()).expect("a process id"));
    let usual = getrlimit(Resource::Nofile);
    let none = Rlimit { current: Some(3), maximum: usual.maximum };
    prlimit(pid, Resource::Nofile, none).expect("one may limit one's own child");

    // The kernel takes it, the process cannot.
    let waiting = TcpStream::connect(("127.0.0.1", server.ports().acme)).await.expect("the kernel listens");
    let begun = Instant::now();
    loop {
        let answer = watching.get(&readyz).await.expect("an answer");
        let metrics = watching.get(&url(&server, "/metrics")).await.expect("an answer").expect(200).text();
        let prefix = "ingam_accept_failures_total{listener=\"acme\"} ";
        let refused = metrics.lines().find_map(|line| line.strip_prefix(prefix)?.parse::<u64>().ok());
        if refused > Some(0) && lacks(&answer, "store").contains(&("disk".to_owned(), "warning".to_owned())) {
            break;
        }
        assert!(
            begun.elapsed() < SEEN_WITHIN,
            "nobody says that descriptors are missing: {answer}\n{metrics}"
        );
        sleep(Duration::from_millis(100)).await;
    }
    prlimit(pid, Resource::Nofile, usual).expect("one may limit one's own child");
    drop(waiting);
    Client::registered(&server.site()).await.expect("an account, as before");
    let begun = Instant::now();
    loop {
        let answer = ask(&server, "/readyz?role=store").await;
        if !answer.text().contains("cannot be asked") {
            break;
        }
        assert!(begun.elapsed() < SEEN_WITHIN, "it is over, and still said: {answer}");
        sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_is_told_to_end_says_so_while_it_still_serves() {
    let notice = "[health]\nstop_notice_s = 2";
    let mut server = Server::start_with(Setup { further_config: notice.to_owned(), ..Setup::new() }).await;
    until(&server, "/readyz", 200).await;
    server.interrupt();
    let ending = until(&server, "/readyz", 503).await;
    for role in ROLES {
        assert_eq!(lacks(&ending, role)[0], ("stopping".to_owned(), "failing".to_owned()), "{role}");
    }
    ask(&server, "/livez").await.expect(200);
    Client::registered(&server.site()).await.expect("listeners are open until the notice is over");
    assert!(server.ended(Duration::from_secs(6)).await.success(), "a clean end");
}
