//! http-01 against servers that behave, and servers that do not. Every refusal must come in time and say what was seen.

use std::time::{Duration, Instant};

use ingam_protocol::acme::{ChallengeType, ErrorType};
use trust_dns_resolver::proto::op::ResponseCode;
use trust_dns_resolver::proto::rr::RecordType;

use crate::testing::{
    Act, KEY_AUTHORIZATION, Reply, TOKEN, World, attempt, attempt_address, http_server, raw_server,
    read_head, tls_server,
};
use crate::{Failure, Outcome, Validation as _};

const HOST: &str = "www.example.org";

async fn validate(world: &World, port: u16) -> Outcome {
    world.perspective(|config| config.http_port = port).validate(attempt(HOST, ChallengeType::Http01)).await
}

/// Validates against one server that always does the same, with short times.
async fn against(act: Act) -> Result<(), Failure> {
    let world = World::new().await;
    world.a(HOST, "127.0.0.1");
    let (port, _) = http_server("127.0.0.1:0", move |_| act.clone()).await;
    let perspective = world.perspective(|config| {
        config.http_port = port;
        config.response_timeout_ms = 400;
    });
    let begun = Instant::now();
    let outcome = perspective.validate(attempt(HOST, ChallengeType::Http01)).await;
    assert!(begun.elapsed() < Duration::from_secs(5), "too slow");
    let record = serde_json::to_string(&outcome.evidence).unwrap();
    assert!(record.len() < 4096, "{record}");
    if let Err(failure) = &outcome.result {
        assert!(failure.detail.bytes().all(|byte| (0x20..0x7f).contains(&byte)), "{}", failure.detail);
        assert!(failure.detail.len() < 1024, "{}", failure.detail);
    }
    outcome.result.map(drop)
}

fn ok(body: &str) -> Act {
    Act::answer("200 OK", "", body)
}

#[tokio::test]
async fn the_file_is_asked_for_as_the_rfc_says() {
    let world = World::new().await;
    world.a(HOST, "127.0.0.1");
    let (port, heads) = http_server("127.0.0.1:0", |_| ok(KEY_AUTHORIZATION)).await;
    let outcome = validate(&world, port).await;
    let validated = outcome.result.unwrap();
    assert_eq!((validated.host().to_string().as_str(), validated.challenge()), (HOST, ChallengeType::Http01));
    let heads = heads.lock().unwrap().clone();
    assert_eq!(heads.len(), 1);
    assert!(
        heads[0].starts_with(&format!("GET /.well-known/acme-challenge/{TOKEN} HTTP/1.1\r\n")),
        "{}",
        heads[0]
    );
    assert!(heads[0].contains(&format!("host: {HOST}\r\n")), "{}", heads[0]);
    let record = outcome.evidence.validation_record();
    assert_eq!(
        record,
        serde_json::json!([{
            "url": format!("http://{HOST}:{port}/.well-known/acme-challenge/{TOKEN}"),
            "hostname": HOST,
            "port": port.to_string(),
            "addressesResolved": ["127.0.0.1"],
            "addressUsed": "127.0.0.1",
        }])
    );
    let hop = &outcome.evidence.hops[0];
    assert_eq!((hop.status, hop.body_start.as_deref()), (Some(200), Some(KEY_AUTHORIZATION)));
}

#[tokio::test]
async fn addresses_are_asked_without_any_lookup() {
    for (address, listen) in [("127.0.0.1", "127.0.0.1:0"), ("::1", "[::1]:0")] {
        let world = World::new().await;
        let (port, heads) = http_server(listen, |_| ok(KEY_AUTHORIZATION)).await;
        let perspective = world.perspective(|config| config.http_port = port);
        let outcome = perspective.validate(attempt_address(address, ChallengeType::Http01)).await;
        outcome.result.unwrap();
        assert_eq!(outcome.evidence.lookups, []);
        let literal = listen.trim_end_matches(":0");
        assert!(heads.lock().unwrap()[0].contains(&format!("host: {literal}\r\n")));
        assert_eq!(
            outcome.evidence.validation_record(),
            serde_json::json!([{
                "url": format!("http://{literal}:{port}/.well-known/acme-challenge/{TOKEN}"),
                "hostname": address,
                "port": port.to_string(),
                "addressesResolved": [address],
                "addressUsed": address,
            }])
        );
    }
}

#[tokio::test]
async fn addresses_that_are_not_public_are_not_connected_to() {
    let world = World::new().await;
    let (port, heads) = http_server("127.0.0.1:0", |_| ok(KEY_AUTHORIZATION)).await;
    let perspective = world.perspective(|config| {
        config.http_port = port;
        config.addresses = crate::AddressPolicy::PublicOnly;
    });
    for (address, words) in [("127.0.0.1", "loopback"), ("10.0.0.1", "private"), ("fe80::1", "link-local")] {
        let outcome = perspective.validate(attempt_address(address, ChallengeType::Http01)).await;
        let failure = outcome.result.unwrap_err();
        assert_eq!(failure.error, ErrorType::RejectedIdentifier);
        assert!(failure.detail.contains(words), "{failure}");
        assert_eq!(outcome.evidence.hops.len(), 1);
    }
    assert!(heads.lock().unwrap().is_empty());
}

#[tokio::test]
async fn white_space_after_the_file_is_ignored() {
    against(ok(&format!("{KEY_AUTHORIZATION}\r\n \t\n"))).await.unwrap();
    for body in
        ["", " ", &format!(" {KEY_AUTHORIZATION}"), &format!("{KEY_AUTHORIZATION}x"), &KEY_AUTHORIZATION[1..]]
    {
        let failure = against(ok(body)).await.unwrap_err();
        assert_eq!(failure.error, ErrorType::Unauthorized, "{body:?}");
    }
}

#[tokio::test]
async fn chunked_files_are_read() {
    let (first, second) = KEY_AUTHORIZATION.split_at(20);
    let body = format!("{:x}\r\n{first}\r\n{:x}\r\n{second}\r\n0\r\n\r\n", first.len(), second.len());
    against(Act::Say(format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{body}").into_bytes()))
        .await
        .unwrap();
}

#[tokio::test]
async fn other_answers_are_quoted() {
    let failure =
        against(Act::answer("404 Not Found", "", "<h1>nothing\x1b[0m\u{202e}here</h1>")).await.unwrap_err();
    assert_eq!(failure.error, ErrorType::Unauthorized);
    assert!(
        failure.detail.contains("answered 404, with \"<h1>nothing?[0m???here</h1>\""),
        "{}",
        failure.detail
    );
    let failure = against(ok("something else")).await.unwrap_err();
    assert!(failure.detail.contains("found \"something else\"; expected evaGxf"), "{}", failure.detail);
}

#[tokio::test]
async fn hostile_answers_end_in_time() {
    let head = "HTTP/1.1 200 OK\r\n";
    let chunked = format!("{head}Transfer-Encoding: chunked\r\n\r\n");
    let bytes = |text: &str| text.as_bytes().to_vec();
    for (what, act) in [
        ("body without end", Act::Flood(bytes(&format!("{head}\r\n")), vec![b'a'; 4096])),
        (
            "body of gigabytes",
            Act::Flood(bytes(&format!("{head}Content-Length: 99999999999\r\n\r\n")), vec![b'a'; 4096]),
        ),
        ("chunks without end", Act::Flood(bytes(&chunked), bytes("1\r\na\r\n"))),
        (
            "white space without end",
            Act::Flood(bytes(&format!("{head}\r\n{KEY_AUTHORIZATION}")), vec![b' '; 512]),
        ),
        (
            "headers without end",
            Act::Flood(bytes(head), bytes("X-Header: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n")),
        ),
        ("one header without end", Act::Flood(bytes("HTTP/1.1 200 OK\r\nX: "), vec![b'a'; 4096])),
        ("interim answers without end", Act::Flood(Vec::new(), bytes("HTTP/1.1 103 Early Hints\r\n\r\n"))),
        ("slow headers", Act::Drip(bytes(head).repeat(100), Duration::from_millis(50))),
        ("slow body", Act::Drip(bytes(&format!("{head}\r\n{KEY_AUTHORIZATION}")), Duration::from_millis(50))),
        ("no answer", Act::SayAndStay(Vec::new())),
        ("half an answer", Act::SayAndStay(bytes("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc"))),
        ("no end", Act::SayAndStay(bytes(&format!("{head}\r\n{KEY_AUTHORIZATION}")))),
        ("closed at once", Act::Say(Vec::new())),
        ("closed in the headers", Act::Say(bytes("HTTP/1.1 200 OK\r\nConte"))),
        (
            "closed in the body",
            Act::Say(bytes(&format!("{head}Content-Length: 500\r\n\r\n{KEY_AUTHORIZATION}"))),
        ),
        ("closed in a chunk", Act::Say(bytes(&format!("{chunked}ff\r\nabc")))),
        ("a bad chunk", Act::Say(bytes(&format!("{chunked}zz\r\nabc\r\n")))),
        ("no HTTP", Act::Say(bytes("SSH-2.0-OpenSSH_9.9\r\n"))),
        ("HTTP/0.9", Act::Say(bytes(KEY_AUTHORIZATION))),
        ("TLS", Act::Say(vec![0x15, 3, 1, 0, 2, 2, 70])),
        (
            "two lengths",
            Act::Say(bytes("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab")),
        ),
        ("upgrade", Act::answer("101 Switching Protocols", "Upgrade: x\r\n", "")),
        ("see other", Act::answer("303 See Other", "Location: /x\r\n", "")),
        ("no location", Act::answer("302 Found", "", "")),
    ] {
        let failure = against(act).await.expect_err(what);
        assert!(
            matches!(failure.error, ErrorType::Connection | ErrorType::Unauthorized),
            "{what}: {failure}"
        );
    }
}

#[tokio::test]
async fn redirects_are_followed_and_noted() {
    let world = World::new().await;
    world.a(HOST, "127.0.0.1").a("other.example.org", "127.0.0.1");
    let (port, heads) = http_server("127.0.0.1:0", |head| match head {
        head if head.starts_with("GET /second") => Act::redirect("third?x=1#fragment"),
        head if head.starts_with("GET /third?x=1 ") => ok(KEY_AUTHORIZATION),
        _ => Act::redirect("http://other.example.org/second"),
    })
    .await;
    let outcome = validate(&world, port).await;
    outcome.result.unwrap();
    assert_eq!(outcome.evidence.hops.len(), 3);
    assert_eq!(outcome.evidence.hops[1].hostname, "other.example.org");
    assert_eq!(outcome.evidence.hops[1].status, Some(302));
    // Each hop resolved its name anew.
    assert_eq!(world.asked("other.example.org"), 4);
    assert!(heads.lock().unwrap()[1].contains("host: other.example.org\r\n"));
}

#[tokio::test]
async fn certificates_of_redirect_targets_are_not_looked_at() {
    let world = World::new().await;
    world.a(HOST, "127.0.0.1").a("secure.example.org", "127.0.0.1");
    let https = tls_server("another.example", |mut stream| async move {
        read_head(&mut stream).await;
        ok(KEY_AUTHORIZATION).play(&mut stream).await;
    })
    .await;
    let (http, _) = http_server("127.0.0.1:0", |_| Act::redirect("https://secure.example.org/x")).await;
    let perspective = world.perspective(|config| (config.http_port, config.https_port) = (http, https));
    let outcome = perspective.validate(attempt(HOST, ChallengeType::Http01)).await;
    outcome.result.unwrap();
    let hop = &outcome.evidence.hops[1];
    assert_eq!((hop.port, hop.status), (https, Some(200)));
    let tls = hop.tls.as_ref().unwrap();
    assert!(tls.certificate_sha256.is_some() && tls.certificate.is_none());
}

#[tokio::test]
async fn https_servers_that_speak_no_tls_are_told_apart() {
    let world = World::new().await;
    world.a(HOST, "127.0.0.1");
    for (act, error) in [
        (Act::Say(b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec()), ErrorType::Tls),
        (Act::Say(Vec::new()), ErrorType::Connection),
        (Act::Say(vec![0x15, 3, 3, 0, 2, 2, 40]), ErrorType::Tls),
        (Act::SayAndStay(vec![0x16, 3, 3]), ErrorType::Connection),
    ] {
        let https = raw_server(move |mut stream| {
            let act = act.clone();
            async move {
                let mut hello = [0; 16];
                let _ = tokio::io::AsyncReadExt::read(&mut stream, &mut hello).await;
                act.play(&mut stream).await;
            }
        })
        .await;
        let (http, _) = http_server("127.0.0.1:0", |_| Act::redirect("https://www.example.org/x")).await;
        let perspective = world.perspective(|config| {
            (config.http_port, config.https_port, config.handshake_timeout_ms) = (http, https, 400);
        });
        let outcome = perspective.validate(attempt(HOST, ChallengeType::Http01)).await;
        let failure = outcome.result.unwrap_err();
        assert_eq!(failure.error, error, "{failure}");
        assert!(failure.detail.starts_with("TLS: the handshake with www.example.org"), "{failure}");
    }
}

#[tokio::test]
async fn redirects_end() {
    let world = World::new().await;
    world.a(HOST, "127.0.0.1");
    let (port, heads) = http_server("127.0.0.1:0", |_| Act::redirect("/again")).await;
    let outcome = validate(&world, port).await;
    let failure = outcome.result.unwrap_err();
    assert!(failure.detail.contains("more than 10 redirects"), "{failure}");
    assert_eq!(heads.lock().unwrap().len(), 11);
    assert_eq!(outcome.evidence.hops.len(), 11);
}

#[tokio::test]
async fn redirects_do_not_leave_the_web() {
    for (location, words) in [
        ("ftp://www.example.org/", "only http and https"),
        ("http://www.example.org:22/", "only ports"),
        ("http://127.0.0.1/", "not an IP address"),
        ("http://[::1]:80/", "not an IP address"),
        ("http://me@www.example.org/", "user names"),
        ("http://inside.example.org/", "10.0.0.1 is refused, as it is private"),
        ("http://metadata.example.org/", "169.254.169.254 is refused, as it is link-local"),
        ("http://mapped.example.org/", "::ffff:127.0.0.1 is refused"),
        ("http://gone.example.org/", "NXDOMAIN"),
        ("http://localhost/", "single label"),
    ] {
        let world = World::new().await;
        world
            .a(HOST, "127.0.0.1")
            .a("inside.example.org", "10.0.0.1")
            .a("metadata.example.org", "169.254.169.254");
        world.aaaa("mapped.example.org", "::ffff:127.0.0.1");
        let (port, _) = http_server("127.0.0.1:0", move |_| Act::redirect(location)).await;
        let failure = validate(&world, port).await.result.unwrap_err();
        assert!(failure.detail.contains(words), "{location}: {failure}");
    }
}

#[tokio::test]
async fn public_perspectives_do_not_knock_at_this_machine() {
    let world = World::new().await;
    world.a(HOST, "127.0.0.1").aaaa(HOST, "::1");
    let (port, heads) = http_server("127.0.0.1:0", |_| ok(KEY_AUTHORIZATION)).await;
    let perspective = world.perspective(|config| {
        config.http_port = port;
        config.addresses = crate::AddressPolicy::PublicOnly;
    });
    let outcome = perspective.validate(attempt(HOST, ChallengeType::Http01)).await;
    let failure = outcome.result.unwrap_err();
    assert_eq!(failure.error, ErrorType::Dns);
    assert!(failure.detail.contains("loopback"), "{failure}");
    assert!(heads.lock().unwrap().is_empty());
    assert_eq!(outcome.evidence.hops[0].addresses_resolved.len(), 2);
}

#[tokio::test]
async fn another_address_is_tried_when_one_does_not_answer() {
    let world = World::new().await;
    world.aaaa(HOST, "::1").a(HOST, "10.0.0.1").a(HOST, "127.0.0.77").a(HOST, "127.0.0.1");
    let (port, _) = http_server("127.0.0.1:0", |_| ok(KEY_AUTHORIZATION)).await;
    let outcome = validate(&world, port).await;
    outcome.result.unwrap();
    let hop = &outcome.evidence.hops[0];
    assert_eq!(hop.addresses_resolved.len(), 4);
    let tried: Vec<String> = hop.addresses_tried.iter().map(ToString::to_string).collect();
    assert_eq!(tried, ["::1", "127.0.0.77"]);
    assert_eq!(hop.address_used, Some("127.0.0.1".parse().unwrap()));
}

#[tokio::test]
async fn one_kind_of_address_is_enough() {
    let world = World::new().await;
    world.a(HOST, "127.0.0.1").reply(HOST, RecordType::AAAA, Reply::Code(ResponseCode::ServFail));
    let (port, _) = http_server("127.0.0.1:0", |_| ok(KEY_AUTHORIZATION)).await;
    validate(&world, port).await.result.unwrap();
    world.reply(HOST, RecordType::A, Reply::Code(ResponseCode::ServFail));
    let failure = validate(&world, port).await.result.unwrap_err();
    assert!(failure.detail.contains("SERVFAIL looking up"), "{failure}");
}

#[tokio::test]
async fn nobody_at_home_is_a_connection_problem() {
    let world = World::new().await;
    world.a(HOST, "127.0.0.1");
    let failure = validate(&world, 1).await.result.unwrap_err();
    assert_eq!(failure.error, ErrorType::Connection);
    assert!(failure.detail.contains("127.0.0.1:1 failed: connection refused"), "{failure}");
}

#[tokio::test]
async fn the_total_time_ends_everything_and_keeps_the_evidence() {
    let world = World::new().await;
    world.a(HOST, "127.0.0.1");
    let (port, _) = http_server("127.0.0.1:0", |_| Act::SayAndStay(Vec::new())).await;
    let perspective = world.perspective(|config| {
        config.http_port = port;
        config.total_timeout_ms = 500;
        config.concurrent_max = 1;
    });
    let both = async || perspective.validate(attempt(HOST, ChallengeType::Http01)).await;
    let (first, second) = tokio::join!(both(), both());
    assert_eq!(first.result.unwrap_err().error, ErrorType::Connection);
    assert_eq!(first.evidence.hops.len(), 1);
    assert_eq!(second.result.unwrap_err().error, ErrorType::ServerInternal);
}

#[tokio::test]
async fn tokens_that_are_no_tokens_go_nowhere() {
    let world = World::new().await;
    for token in ["", "../x", "a b", "a%2f", "a\r\nHost: x", &"a".repeat(200)] {
        let mut attempt = attempt(HOST, ChallengeType::Http01);
        attempt.token = token.to_owned();
        let outcome = world.perspective(|_| {}).validate(attempt).await;
        assert_eq!(outcome.result.unwrap_err().error, ErrorType::Malformed, "{token:?}");
        assert_eq!(world.asked(HOST), 0);
    }
}
