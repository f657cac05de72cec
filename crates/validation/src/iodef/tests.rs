//! Reports, from CAA records that forbid to what arrives at a web server and at a mail relay.

use std::sync::Arc;
use std::time::Duration;

use ingam_protocol::time::FixedClock;
use ingam_protocol::{Clock, Timestamp};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::timeout;

use super::{Config, Report, Reporter, Reports as _};
use crate::testing::{World, query, raw_server, read_head, tls_server};
use crate::{AddressPolicy, Validation as _};

/// The CAA check of `name`, which is refused.
async fn refused(world: &World, name: &str, wildcard: bool) -> Option<Report> {
    let outcome = world.perspective(|_| {}).check_caa(query(name, wildcard)).await;
    outcome.result.unwrap_err();
    outcome.report
}

fn reporter(world: &World, change: impl FnOnce(&mut crate::Config)) -> (Reporter, Arc<FixedClock>) {
    let mut config = world.config();
    change(&mut config);
    let clock = Arc::new(FixedClock::new(Timestamp::from_unix_s(1_795_255_200)));
    (Reporter::new(config, clock.clone() as Arc<dyn Clock>).unwrap(), clock)
}

/// What a server sends of what it got.
async fn next(received: &mut UnboundedReceiver<String>) -> String {
    timeout(Duration::from_secs(10), received.recv()).await.expect("a report within ten seconds").unwrap()
}

/// A web server that takes everything; gives its port and what it takes.
async fn web_server() -> (u16, UnboundedReceiver<String>) {
    let (sender, received) = unbounded_channel();
    let port = tls_server("reports.example", move |mut stream| {
        let sender: UnboundedSender<String> = sender.clone();
        async move {
            let head = read_head(&mut stream).await;
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
            stream.read_exact(&mut body).await.unwrap();
            stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
            sender.send(format!("{head}{}", String::from_utf8(body).unwrap())).unwrap();
        }
    })
    .await;
    (port, received)
}

/// One conversation of SMTP; sends what was said.
async fn take_mail(stream: TcpStream, sender: UnboundedSender<String>) {
    let mut stream = BufReader::new(stream);
    let mut said = String::new();
    let mut in_data = false;
    stream.write_all(b"220 relay.example ESMTP\r\n").await.unwrap();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await.unwrap() == 0 {
            break;
        }
        said.push_str(&line);
        let answer: &[u8] = match line.trim_end() {
            "." if in_data => {
                in_data = false;
                b"250 taken\r\n"
            }
            _ if in_data => continue,
            "DATA" => {
                in_data = true;
                b"354 go on\r\n"
            }
            "QUIT" => b"221 bye\r\n",
            hello if hello.starts_with("EHLO") => b"250 relay.example\r\n",
            _ => b"250 well\r\n",
        };
        stream.write_all(answer).await.unwrap();
        if answer.starts_with(b"250 taken") {
            sender.send(said.clone()).unwrap();
        }
    }
}

async fn relay() -> (u16, UnboundedReceiver<String>) {
    let (sender, received) = unbounded_channel();
    let port = raw_server(move |stream| take_mail(stream, sender.clone())).await;
    (port, received)
}

#[tokio::test]
async fn records_that_forbid_say_where_reports_go() {
    let world = World::new().await;
    world.caa("example.org", 0, "issue", "other.example").caa(
        "example.org",
        0,
        "iodef",
        "mailto:me@example.org",
    );
    world.caa("example.org", 0, "iodef", "http://example.org/").caa(
        "example.org",
        0,
        "iodef",
        "https://r.example/x",
    );
    let report = refused(&world, "www.example.org", true).await.unwrap();
    assert_eq!((report.domain.as_str(), report.identifier.as_str()), ("example.org", "*.www.example.org"));
    assert!(report.reason.contains("permits another CA"), "{}", report.reason);
    let shown: Vec<String> = report.destinations.iter().map(ToString::to_string).collect();
    assert_eq!(shown, ["mailto:me@example.org", "https://r.example/x"]);
}

#[tokio::test]
async fn nobody_is_told_of_what_is_permitted_or_not_known() {
    let world = World::new().await;
    world.caa("a.example", 0, "issue", "ca.example").caa("a.example", 0, "iodef", "mailto:me@a.example");
    let outcome = world.perspective(|_| {}).check_caa(query("a.example", false)).await;
    assert!(outcome.result.is_ok() && outcome.report.is_none());
    world.caa("b.example", 0, "issue", ";");
    assert_eq!(refused(&world, "b.example", false).await, None);
}

#[tokio::test]
async fn reports_are_posted() {
    let world = World::new().await;
    world.caa("example.org", 0, "issue", "<&>.example").a("reports.example", "127.0.0.1");
    world.caa("example.org", 0, "iodef", "https://reports.example/caa?x=1");
    let (port, mut received) = web_server().await;
    let (reporter, _) = reporter(&world, |config| config.https_port = port);
    reporter.submit(refused(&world, "example.org", false).await.unwrap());
    let request = next(&mut received).await;
    assert!(request.starts_with("POST /caa?x=1 HTTP/1.1\r\n"), "{request}");
    assert!(request.contains("host: reports.example\r\n"), "{request}");
    assert!(request.contains("content-type: text/xml; charset=utf-8\r\n"), "{request}");
    assert!(request.contains("<IncidentID name=\"ca.example\">caa-2026-11-21-"), "{request}");
    assert!(request.contains("meaning=\"requested identifier\">example.org<"), "{request}");
    assert!(request.contains("&lt;&amp;&gt;.example"), "{request}");
}

#[tokio::test]
async fn reports_are_mailed_once_a_day() {
    let world = World::new().await;
    world.caa("example.org", 0, "issue", ";").caa("example.org", 0, "iodef", "mailto:security@example.org");
    let (port, mut received) = relay().await;
    let (reporter, clock) = reporter(&world, |config| {
        config.reports.mail_relay = Some(format!("127.0.0.1:{port}"));
        config.reports.mail_from = Some("CAA reports <caa@ca.example>".to_owned());
    });
    let report = refused(&world, "www.example.org", false).await.unwrap();
    reporter.submit(report.clone());
    let mail = next(&mut received).await;
    assert!(
        mail.contains("MAIL FROM:<caa@ca.example>") && mail.contains("RCPT TO:<security@example.org>"),
        "{mail}"
    );
    assert!(mail.contains("Auto-Submitted: auto-generated\r\n"), "{mail}");
    assert!(mail.contains("Subject: A certificate for www.example.org was asked for and refused"), "{mail}");
    assert!(mail.contains("Date: Sat, 21 Nov 2026 10:00:00 +0000"), "{mail}");
    assert!(mail.contains("IODEF-Document") && mail.contains("If you did not ask for it"), "{mail}");
    // The second is held back, the third comes a day later: what arrives next is that one.
    reporter.submit(report.clone());
    clock.advance(Duration::from_secs(24 * 60 * 60));
    reporter.submit(report);
    assert!(next(&mut received).await.contains("Date: Sun, 22 Nov 2026"));
}

#[tokio::test]
async fn reports_do_not_knock_inside_the_network() {
    let world = World::new().await;
    world.caa("example.org", 0, "issue", ";").a("reports.example", "127.0.0.1");
    let (port, mut received) = web_server().await;
    for (target, policy) in [
        // An address that is not public, and a port that validations do not use.
        ("https://reports.example/".to_owned(), AddressPolicy::PublicOnly),
        ("https://reports.example:22/".to_owned(), AddressPolicy::AllowLoopback),
    ] {
        let mut config = world.config();
        (config.https_port, config.addresses) = (port, policy);
        let url = url::Url::parse(&target).unwrap();
        let network = crate::dial::Networks::new(config).unwrap().fresh().await;
        let why = super::post::post(&network, &url, String::new()).await.unwrap_err();
        assert!(why.contains("loopback") || why.contains("only port"), "{why}");
    }
    assert!(received.try_recv().is_err());
}

#[test]
fn settings_that_cannot_work_are_told() {
    let keys = |config: Config| {
        let mut found = ingam_protocol::Findings::new();
        config.check(&mut found);
        found.into_iter().map(|finding| finding.key).collect::<Vec<_>>()
    };
    let with = |relay: &str, from: Option<&str>| Config {
        mail_relay: Some(relay.to_owned()),
        mail_from: from.map(str::to_owned),
        ..Config::default()
    };
    assert!(keys(Config::default()).is_empty());
    assert!(keys(with("127.0.0.1:25", Some("caa@ca.example"))).is_empty());
    assert!(keys(with("[::1]:25", Some("CAA <caa@ca.example>"))).is_empty());
    assert_eq!(keys(with("127.0.0.1", Some("caa@ca.example"))), ["reports.mail_relay"]);
    assert_eq!(keys(with("127.0.0.1:25", None)), ["reports.mail_from"]);
    assert_eq!(keys(with("127.0.0.1:25", Some("caa"))), ["reports.mail_from"]);
}
