//! Validations in a network of their own: the real ports 80 and 443, public addresses, and inner ones that answer as well. What
//! sites do to a validation gives exactly the problem that it has to; and no inner address is ever connected to, whatever the
//! DNS says and however often it changes its mind.
//!
//! Each story runs in a network namespace: this program starts itself once more under `unshare --net`, where loopback has
//! all the addresses. That needs root, or user namespaces, and the programs `ip` and `unshare`.
//!
//! Not a failure: the wording behind what is asserted.

mod servers;

use std::future::Future;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ingam_tests::challenge::{Prover, WebAnswers, Zone};
use ingam_tests::client::{CertificateRequest, Client, challenge_of};
use ingam_tests::http::Answer;
use ingam_tests::server::{Ports, Server, Setup};
use serde_json::{Value, json};

use crate::servers::{Act, count, serve};

/// Says that the namespace is there.
const INSIDE: &str = "INGAM_IN_NAMESPACE";

/// Public IPv6 addresses, and inner ones that nobody may be sent to.
const ADDRESSES: [&str; 7] = [
    "2600:1::1/128",
    "2600:1::2/128",
    "10.0.0.1/32",
    "169.254.169.254/32",
    "192.168.0.1/32",
    "100.64.0.1/32",
    "fd00::1/128",
];

/// Runs a story where it can have every port and every address.
fn alone(test: &str, story: impl Future<Output = ()>) {
    if std::env::var_os(INSIDE).is_some() {
        arrange();
        let runtime = tokio::runtime::Runtime::new().expect("threads can be started");
        return runtime.block_on(story);
    }
    let mut command = Command::new("unshare");
    command.arg("--net");
    if !rustix::process::getuid().is_root() {
        command.arg("--map-root-user");
    }
    let program = std::env::current_exe().expect("a test has a program");
    let output = command.arg(program).args(["--exact", test, "--nocapture"]).env(INSIDE, "1").output();
    let output = output.expect("`unshare` is there: it is in Debian's util-linux");
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

fn arrange() {
    ip(&["link", "set", "lo", "up"]);
    for address in ADDRESSES {
        ip(&["address", "add", address, "dev", "lo"]);
    }
    // Every address of this public network is this machine's.
    ip(&["route", "add", "local", "5.1.0.0/16", "dev", "lo"]);
}

fn ip(arguments: &[&str]) {
    let output =
        Command::new("ip").args(arguments).output().expect("`ip` is there: it is in Debian's iproute2");
    assert!(output.status.success(), "ip {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// A CA with the ports and the address filter of a public one, and times that a test can wait for.
async fn ca() -> (Server, Client, Zone) {
    let ports = Ports { http: 80, https: 443, tls_alpn: 443, ..Ports::free() };
    let further_validation = "addresses = \"public-only\"\nresponse_timeout_ms = 1500\nhandshake_timeout_ms = 1500\n\
                              connect_timeout_ms = 1500\nlookup_timeout_ms = 1500\ntotal_timeout_ms = 10000\n";
    let setup = Setup { ports, further_validation: further_validation.to_owned(), ..Setup::new() };
    let server = Server::start_with(setup).await;
    let client = Client::registered(&server.site()).await.expect("an account");
    let zone = Zone::managed_at(server.ports().dns_management);
    (server, client, zone)
}

async fn point(zone: &Zone, name: &str, kind: &str, addresses: &[&str]) {
    let body = json!({"host": format!("{name}."), "addresses": addresses});
    zone.command(kind, body).await.expect("the test DNS takes it");
}

/// Has one challenge of a new order looked at, whatever comes of it.
async fn looked_at(client: &mut Client, name: &str, kind: &str) -> Value {
    let order = client.order(&[name]).await.expect("an order");
    let url = order.authorizations()[0].clone();
    let authorization = client.read(&url).await.expect("an authorization").json();
    let challenge = challenge_of(&authorization, kind).expect("the challenge is offered");
    let answer: Answer =
        client.post(challenge["url"].as_str().expect("a URL"), &json!({})).await.expect("an answer");
    answer.expect(200);
    client.poll(&order.url, &["pending"]).await.expect("a decision");
    let authorization = client.read(&url).await.expect("an authorization").json();
    challenge_of(&authorization, kind).expect("the challenge is there").clone()
}

/// Asserts the problem of a challenge.
#[track_caller]
fn failed(what: &str, challenge: &Value, error: &str, words: &str) {
    let found = challenge["error"]["type"].as_str().unwrap_or_default();
    let detail = challenge["error"]["detail"].as_str().unwrap_or_default();
    assert_eq!(found, format!("urn:ietf:params:acme:error:{error}"), "{what}: {challenge}");
    assert!(detail.contains(words), "{what}: {detail}");
    assert!(
        detail.bytes().all(|byte| (0x20..0x7f).contains(&byte)) && detail.len() < 1024,
        "{what}: {detail}"
    );
}

#[test]
fn sites_that_misbehave_get_the_problem_that_they_are() {
    alone("sites_that_misbehave_get_the_problem_that_they_are", async {
        let (server, mut client, zone) = ca().await;
        for (number, (what, act, error, words)) in servers::misbehaving().into_iter().enumerate() {
            let (name, address) = (format!("site{number}.example.org"), format!("5.1.1.{}", number + 1));
            point(&zone, &name, "add-a", &[&address]).await;
            serve(&format!("{address}:80"), act.clone(), count()).await;
            if let Act::Redirect(_) = act {
                serve(&format!("{address}:443"), Act::Say(b"this is no TLS\r\n".to_vec()), count()).await;
            }
            let challenge = looked_at(&mut client, &name, "http-01").await;
            failed(what, &challenge, error, words);
        }
        // The CA has not suffered: memory is where it was, and the next one is served.
        let memory = server.peak_memory_mib();
        assert!(memory < 300, "{memory} MiB after what tried to fill it");
        point(&zone, "good.example.org", "add-a", &["5.1.2.1"]).await;
        let answers = WebAnswers::listen_at("5.1.2.1:80".parse().expect("an address")).await;
        let request = CertificateRequest::of(&["good.example.org"]);
        client.issue(&["good.example.org"], &request, &Prover::Http(answers)).await.expect("a certificate");
    });
}

#[test]
fn both_kinds_of_addresses_are_tried_and_ipv6_first() {
    alone("both_kinds_of_addresses_are_tried_and_ipv6_first", async {
        let (_server, mut client, zone) = ca().await;
        let (six, four) = (count(), count());
        serve(
            "[2600:1::1]:80",
            Act::Say(b"HTTP/1.1 404 Not Found\r\nContent-Length: 3\r\n\r\nsix".to_vec()),
            six.clone(),
        )
        .await;
        serve(
            "5.1.3.1:80",
            Act::Say(b"HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nfour".to_vec()),
            four.clone(),
        )
        .await;
        point(&zone, "both.example.org", "add-a", &["5.1.3.1"]).await;
        point(&zone, "both.example.org", "add-aaaa", &["2600:1::1"]).await;
        let challenge = looked_at(&mut client, "both.example.org", "http-01").await;
        failed("both", &challenge, "unauthorized", "answered 404, with \"six\"");
        assert_eq!((six.load(Ordering::SeqCst), four.load(Ordering::SeqCst)), (1, 0));
        // Nobody is at the IPv6 address: the other one counts.
        point(&zone, "fallback.example.org", "add-a", &["5.1.3.1"]).await;
        point(&zone, "fallback.example.org", "add-aaaa", &["2600:1::2"]).await;
        let challenge = looked_at(&mut client, "fallback.example.org", "http-01").await;
        failed("fallback", &challenge, "unauthorized", "answered 404, with \"four\"");
        assert_eq!(challenge["validationRecord"][0]["addressesTried"], json!(["2600:1::2"]), "{challenge}");
    });
}

#[test]
fn nobody_sends_validations_inside() {
    alone("nobody_sends_validations_inside", async {
        let (_server, mut client, zone) = ca().await;
        let inside = count();
        for address in
            ["127.0.0.1", "10.0.0.1", "169.254.169.254", "192.168.0.1", "100.64.0.1", "[::1]", "[fd00::1]"]
        {
            for port in [80, 443] {
                serve(&format!("{address}:{port}"), Act::Say(b"a secret".to_vec()), inside.clone()).await;
            }
        }
        for (number, (kind, address, words)) in [
            ("add-a", "127.0.0.1", "loopback"),
            ("add-a", "10.0.0.1", "private"),
            ("add-a", "169.254.169.254", "link-local"),
            ("add-a", "192.168.0.1", "private"),
            ("add-a", "100.64.0.1", "shared"),
            ("add-a", "0.0.0.0", "this network"),
            ("add-aaaa", "::1", "loopback"),
            ("add-aaaa", "fd00::1", "unique local"),
            ("add-aaaa", "::ffff:10.0.0.1", "IPv4-mapped"),
            ("add-aaaa", "64:ff9b::a00:1", "IPv4-translated"),
            ("add-aaaa", "2002:a00:1::1", "6to4"),
        ]
        .into_iter()
        .enumerate()
        {
            let name = format!("inner{number}.example.org");
            point(&zone, &name, kind, &[address]).await;
            if kind == "add-aaaa" {
                // The default address of the test DNS is an inner one as well.
                point(&zone, &name, "add-a", &["10.0.0.1"]).await;
            }
            for challenge in ["http-01", "tls-alpn-01"] {
                let looked = looked_at(&mut client, &name, challenge).await;
                failed(address, &looked, "dns", words);
            }
        }
        // A site outside sends validations inside: by name, by address, and by a name that changes its mind on the way.
        let outside = count();
        point(&zone, "inner.example.net", "add-a", &["10.0.0.1"]).await;
        for (number, location) in [
            "http://inner.example.net/",
            "https://inner.example.net/",
            "http://10.0.0.1/",
            "http://[::1]/",
            "http://0x0a000001/",
        ]
        .into_iter()
        .enumerate()
        {
            let (name, address) = (format!("sender{number}.example.org"), format!("5.1.4.{}", number + 1));
            point(&zone, &name, "add-a", &[&address]).await;
            serve(&format!("{address}:80"), Act::Redirect(location.to_owned()), outside.clone()).await;
            let looked = looked_at(&mut client, &name, "http-01").await;
            let error = looked["error"]["type"].as_str().unwrap_or_default();
            assert!(error.ends_with(":dns") || error.ends_with(":connection"), "{location}: {looked}");
        }
        point(&zone, "rebinding.example.org", "add-a", &["5.1.5.1"]).await;
        let moves = Rebinding { zone: zone.clone(), name: "rebinding.example.org" };
        servers::serve_then("5.1.5.1:80", "http://rebinding.example.org/again", outside.clone(), moves).await;
        let looked = looked_at(&mut client, "rebinding.example.org", "http-01").await;
        failed("rebinding", &looked, "dns", "169.254.169.254 is refused");
        assert_eq!(outside.load(Ordering::SeqCst), 6, "those outside were asked");
        assert_eq!(inside.load(Ordering::SeqCst), 0, "nobody inside was connected to");
    });
}

/// A name that points inside as soon as its first address was asked.
struct Rebinding {
    zone: Zone,
    name: &'static str,
}

impl servers::Before for Rebinding {
    async fn happen(&self) {
        let host = format!("{}.", self.name);
        self.zone.command("clear-a", json!({"host": host})).await.expect("the test DNS takes it");
        point(&self.zone, self.name, "add-a", &["169.254.169.254"]).await;
    }
}

/// How often somebody was connected to.
type Count = Arc<AtomicUsize>;

/// Longer than the CA waits for anything in these stories.
const FOR_EVER: Duration = Duration::from_secs(60);
