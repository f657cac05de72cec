//! What goes over the wire: targets, methods, headers, status codes, nonces, CertIDs.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::{Method, Request};
use http_body_util::BodyExt;
use hyper::body::{Body, Frame};
use ingam_protocol::Serial;
use ingam_protocol::ocsp::ErrorStatus;

use super::world::*;
use crate::config::{Config, Nonces};

fn live() -> Config {
    Config { nonces: Nonces::Answer, ..Config::default() }
}

fn world() -> World {
    let world = World::new(&Config::default());
    world.statuses.issue(1);
    world.statuses.issue(2);
    world
}

/// A certificate whose request's base64 has both of the characters that paths and forms mistreat.
fn awkward(world: &World) -> (Serial, String) {
    for seed in 0..1000 {
        let serial = Serial::from_be_bytes(&noise(seed)[..18]).unwrap();
        let encoded = STANDARD.encode(request(&[world.cert_id(&serial)], None));
        if encoded.contains("+") && encoded.contains("//") && encoded.ends_with('=') {
            let not_after = start().plus(DAY);
            world.statuses.set("e1", &serial, ingam_protocol::ocsp::CertStatus::Good, not_after);
            return (serial, encoded);
        }
    }
    panic!("none in a thousand");
}

#[tokio::test]
async fn get_is_read_however_the_client_wrote_it() {
    let world = world();
    let (serial, plain) = awkward(&world);
    let (_, expected) = world.get(&format!("/ocsp/{plain}")).await;
    assert!(world.read(&expected).is_ok());
    let encoded_fully: String = plain.bytes().map(|byte| format!("%{byte:02x}")).collect();
    let der = request(&[world.cert_id(&serial)], None);
    for target in [
        format!("/ocsp//{plain}"),
        format!("//ocsp/{plain}"),
        format!("http://ocsp.example/ocsp/{plain}"),
        format!("http://ocsp.example:14080/ocsp//{plain}"),
        format!("/ocsp/{}", plain.trim_end_matches('=')),
        format!("/ocsp/{}", URL_SAFE_NO_PAD.encode(&der)),
        format!("/ocsp/{}", plain.replace('/', "%2F").replace('+', "%2B").replace('=', "%3D")),
        format!("/ocsp/{}", plain.replace('/', "%2f").replace('+', "%2b").replace('=', "%3d")),
        format!("/ocsp/{}", plain.replace('+', "%20")),
        format!("/ocsp/%2F{plain}"),
        format!("/ocsp/{encoded_fully}"),
        format!("/ocsp/{plain}?cached=no"),
    ] {
        let (_, body) = world.get(&target).await;
        assert_eq!(body, expected, "{target}");
    }
    assert_eq!(world.signed(), 1);
}

#[tokio::test]
async fn get_of_something_else_is_malformed_with_status_200() {
    let world = world();
    let good = STANDARD.encode(request(&[world.cert_id(&serial(1))], None));
    let merged = awkward(&world).1.replace("//", "/");
    for target in [
        "/ocsp".to_owned(),
        "/ocsp/".to_owned(),
        "/ocsp/AAAA".to_owned(),
        "/ocsp/%".to_owned(),
        "/ocsp/favicon.ico".to_owned(),
        format!("/ocsp/{}", good.replace('=', "%253D").replace('M', "%254D")),
        format!("/ocsp/{merged}"),
        format!("/ocsp/{good}/"),
        format!("/ocsp/{}", "A".repeat(50_000)),
    ] {
        let (headers, body) = world.get(&target).await;
        assert_eq!(body.as_ref(), ErrorStatus::MalformedRequest.encode(), "{target}");
        assert_eq!(header(&headers, "cache-control"), "max-age=0, no-cache");
    }
}

#[tokio::test]
async fn post_takes_any_content_type_and_both_paths() {
    let world = world();
    let der = request(&[world.cert_id(&serial(1))], None);
    for target in ["/ocsp", "/ocsp/", "//ocsp", "http://ocsp.example/ocsp"] {
        for kind in ["application/ocsp-request", "text/plain", "nonsense", ""] {
            let reply = world.send(Method::POST, target, &[("content-type", kind)], &der).await;
            assert_eq!(reply.status(), 200);
            let (headers, body) = take(reply).await;
            assert!(world.read(&body).is_ok());
            assert_eq!(header(&headers, "content-type"), "application/ocsp-response");
            assert_eq!(header(&headers, "content-length"), body.len().to_string());
        }
    }
}

#[tokio::test]
async fn post_is_bounded() {
    let world = world();
    for body in [Vec::new(), vec![0x30; 10_000], vec![0x30; 10_001], vec![0x30; 200_000], b"hello".to_vec()] {
        let (headers, answer) = world.post(&body).await;
        assert_eq!(answer.as_ref(), ErrorStatus::MalformedRequest.encode());
        assert_eq!(header(&headers, "content-type"), "application/ocsp-response");
        assert_eq!(header(&headers, "content-length"), "5");
        assert_eq!(header(&headers, "cache-control"), "max-age=0, no-cache");
    }
}

/// A body of unknown length in pieces; or one that never comes.
struct Pieces(Vec<Bytes>, bool);

impl Body for Pieces {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        match self.0.pop() {
            Some(piece) => Poll::Ready(Some(Ok(Frame::data(piece)))),
            None if self.1 => Poll::Pending,
            None => Poll::Ready(None),
        }
    }
}

#[tokio::test]
async fn post_in_pieces_is_put_together_and_bounded() {
    let world = world();
    let der = request(&[world.cert_id(&serial(1))], None);
    let pieces = der.chunks(7).rev().map(Bytes::copy_from_slice).collect();
    let request = Request::post("/ocsp").body(Pieces(pieces, false)).unwrap();
    let body = world.responder.handle(request).await.into_body().collect().await.unwrap().to_bytes();
    assert!(world.read(&body).is_ok());

    let endless = Pieces(vec![Bytes::from_static(&[0x30; 1000]); 1000], true);
    let reply = world.responder.handle(Request::post("/ocsp").body(endless).unwrap()).await;
    assert_eq!(reply.status(), 200);
    assert_eq!(take(reply).await.1.as_ref(), ErrorStatus::MalformedRequest.encode());
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_come_is_given_up() {
    let world = world();
    let request = Request::post("/ocsp").body(Pieces(vec![Bytes::from_static(&[0x30])], true)).unwrap();
    let reply = world.responder.handle(request).await;
    assert_eq!(reply.status(), 408);
    assert_eq!(header(reply.headers(), "connection"), "close");
}

#[tokio::test]
async fn other_methods_and_paths_are_refused_in_words() {
    let world = world();
    for (method, target, status, allow) in [
        (Method::PUT, "/ocsp", 405, "GET, HEAD, POST"),
        (Method::OPTIONS, "/ocsp/", 405, "GET, HEAD, POST"),
        (Method::POST, "/ocsp/MAA=", 405, "GET, HEAD"),
        (Method::DELETE, "/crl/e1.crl", 405, "GET, HEAD"),
        (Method::POST, "/roots.pem", 405, "GET, HEAD"),
        (Method::GET, "/", 404, ""),
        (Method::POST, "/", 404, ""),
        (Method::GET, "/crl/e3.crl", 404, ""),
        (Method::GET, "/crl/../e1.crl", 404, ""),
        (Method::GET, "/issuer/e3.crt", 404, ""),
        (Method::GET, "/ocspx", 404, ""),
    ] {
        let reply = world.send(method.clone(), target, &[], b"").await;
        assert_eq!(reply.status(), status, "{method} {target}");
        assert_eq!(header(reply.headers(), "allow"), allow);
        let (headers, body) = take(reply).await;
        assert_eq!(header(&headers, "content-type"), "text/plain; charset=utf-8");
        assert_eq!(header(&headers, "content-length"), body.len().to_string());
        assert!(body.ends_with(b".\n"));
    }
}

#[tokio::test]
async fn headers_of_answers_let_caches_work() {
    let world = world();
    let target = format!("/ocsp/{}", STANDARD.encode(request(&[world.cert_id(&serial(1))], None)));
    let (headers, body) = world.get(&target).await;
    assert_eq!(header(&headers, "content-type"), "application/ocsp-response");
    assert_eq!(header(&headers, "content-length"), body.len().to_string());
    assert_eq!(header(&headers, "cache-control"), "max-age=21600, public, no-transform, must-revalidate");
    assert_eq!(header(&headers, "last-modified"), "Sat, 21 Nov 2026 10:00:00 GMT");
    assert_eq!(header(&headers, "expires"), "Sat, 28 Nov 2026 09:59:59 GMT");
    let etag = header(&headers, "etag");
    assert!(etag.len() == 34 && etag.starts_with('"') && etag.ends_with('"'));

    let head = world.send(Method::HEAD, &target, &[], b"").await;
    assert_eq!(head.status(), 200);
    let (head_headers, empty) = take(head).await;
    assert_eq!(head_headers, headers);
    assert!(empty.is_empty());

    let weak = format!("\"other\", W/{etag}");
    for conditions in [
        vec![("if-none-match", etag)],
        vec![("if-none-match", "*")],
        vec![("if-none-match", weak.as_str())],
        vec![("if-modified-since", "Sat, 21 Nov 2026 10:00:00 GMT")],
        vec![("if-modified-since", "Sun, 22 Nov 2026 10:00:00 GMT")],
        vec![("if-none-match", etag), ("if-modified-since", "Sat, 21 Nov 2020 10:00:00 GMT")],
    ] {
        let reply = world.send(Method::GET, &target, &conditions, b"").await;
        assert_eq!(reply.status(), 304, "{conditions:?}");
        let (not_modified, body) = take(reply).await;
        assert!(body.is_empty());
        for name in ["etag", "cache-control", "last-modified", "expires"] {
            assert_eq!(not_modified[name], headers[name]);
        }
    }
    for conditions in [
        vec![("if-none-match", "\"other\"")],
        vec![("if-modified-since", "Sat, 21 Nov 2026 09:59:59 GMT")],
        vec![("if-modified-since", "yesterday")],
        vec![("if-none-match", "\"other\""), ("if-modified-since", "Sun, 22 Nov 2026 10:00:00 GMT")],
    ] {
        let reply = world.send(Method::GET, &target, &conditions, b"").await;
        assert_eq!(reply.status(), 200, "{conditions:?}");
    }
}

#[tokio::test]
async fn no_cache_keeps_an_answer_for_longer_than_it_is_valid_or_than_configured() {
    let world = World::new(&Config { ocsp_max_age_s: 600, ..Config::default() });
    world.statuses.set("e1", &serial(1), ingam_protocol::ocsp::CertStatus::Good, start().plus(HOUR));
    let target = format!("/ocsp/{}", STANDARD.encode(request(&[world.cert_id(&serial(1))], None)));
    let max_age = async || {
        let (headers, _) = world.get(&target).await;
        let words = header(&headers, "cache-control").to_owned();
        let age = words.strip_prefix("max-age=").and_then(|rest| rest.split_once(", ")).unwrap();
        assert_eq!(age.1, "public, no-transform, must-revalidate");
        age.0.parse::<u64>().unwrap()
    };
    assert_eq!(max_age().await, 600);
    // The certificate is over, and its last answer nears its end: there is no other.
    world.clock.advance(7 * DAY - Duration::from_secs(601));
    assert_eq!(max_age().await, 600);
    world.clock.advance(Duration::from_secs(1));
    assert_eq!(max_age().await, 599);
    world.clock.advance(Duration::from_secs(599));
    assert_eq!(max_age().await, 0);
    assert_eq!(world.signed(), 1);
}

#[tokio::test]
async fn cert_ids_are_echoed_as_they_came() {
    let world = world();
    for hash in [SHA1_OID, SHA256_OID, SHA384_OID] {
        for with_null in [true, false] {
            let id = world.cert_id_of(0, hash, with_null, &serial(1));
            let (_, body) = world.ask(&request(std::slice::from_ref(&id), None)).await;
            let read = world.read(&body).unwrap();
            assert_eq!(read.single.len(), 1);
            assert_eq!(read.single[0].cert_id, id);
        }
    }
    let md5 = world.cert_id_of(0, MD5_OID, true, &serial(1));
    let (_, body) = world.ask(&request(&[md5], None)).await;
    assert_eq!(world.read(&body).unwrap_err(), ErrorStatus::MalformedRequest);
}

#[tokio::test]
async fn what_is_not_ours_is_unauthorized() {
    let world = world();
    let ours = world.cert_id(&serial(1));
    let wrong_name = {
        let mut id = ours.clone();
        id[15] ^= 1;
        id
    };
    let wrong_key = {
        let mut id = ours.clone();
        let last_of_key = id.len() - 6;
        id[last_of_key] ^= 1;
        id
    };
    let mut zero = Serial::from_be_bytes(&[1]).map(|serial| world.cert_id(&serial)).unwrap();
    *zero.last_mut().unwrap() = 0;
    let mut negative = zero.clone();
    *negative.last_mut().unwrap() = 0x80;
    for id in [
        wrong_name,
        wrong_key,
        zero,
        negative,
        world.cert_id(&serial(99)),
        world.cert_id_of(1, SHA1_OID, true, &serial(1)),
        cert_id(SHA1_OID, true, b"short", b"", &serial(1)),
    ] {
        for (headers, body) in [
            world.ask(&request(std::slice::from_ref(&id), None)).await,
            world.post(&request(std::slice::from_ref(&id), None)).await,
        ] {
            assert_eq!(body.as_ref(), [0x30, 3, 0x0a, 1, 6]);
            assert_eq!(header(&headers, "cache-control"), "max-age=0, no-cache");
            assert!(headers.get("etag").is_none() && headers.get("expires").is_none());
        }
    }
    assert_eq!(world.signed(), 0);
}

#[tokio::test]
async fn nonces_are_ignored_where_they_are_off() {
    let world = world();
    let id = [world.cert_id(&serial(1))];
    let (_, plain) = world.ask(&request(&id, None)).await;
    let (headers, body) = world.ask(&request(&id, Some(b"nonce"))).await;
    assert_eq!(body, plain);
    assert!(header(&headers, "cache-control").contains("public"));
    assert_eq!(world.read(&body).unwrap().nonce, None);
    assert_eq!(world.signed(), 1);
    let both = [world.cert_id(&serial(1)), world.cert_id(&serial(2))];
    let (_, body) = world.ask(&request(&both, None)).await;
    assert_eq!(world.read(&body).unwrap_err(), ErrorStatus::Unauthorized);
}

#[tokio::test]
async fn nonces_are_echoed_where_they_are_on() {
    let world = World::new(&live());
    world.statuses.issue(1);
    let id = [world.cert_id(&serial(1))];
    for length in [1, 16, 32, 128] {
        let nonce = vec![0x5a; length];
        let signed_before = world.signed();
        for (headers, body) in
            [world.ask(&request(&id, Some(&nonce))).await, world.post(&request(&id, Some(&nonce))).await]
        {
            let read = world.read(&body).unwrap();
            assert_eq!(read.nonce.as_ref(), Some(&nonce));
            assert_eq!(read.single[0].cert_id, id[0]);
            assert!(header(&headers, "cache-control").contains("no-store"));
            assert!(headers.get("etag").is_none() && headers.get("last-modified").is_none());
        }
        assert_eq!(world.signed(), signed_before + 2);
    }
    for nonce in [&[][..], &[0x5a; 129]] {
        let (_, body) = world.ask(&request(&id, Some(nonce))).await;
        assert_eq!(world.read(&body).unwrap_err(), ErrorStatus::MalformedRequest);
    }
    let (_, body) = world.ask(&request(&id, None)).await;
    assert_eq!(world.read(&body).unwrap().nonce, None);
}

#[tokio::test]
async fn several_certificates_are_answered_in_one_or_not_at_all() {
    let world = World::new(&live());
    world.statuses.issue(1);
    world.statuses.issue(2);
    world.statuses.revoke(2, start(), ingam_protocol::Reason::KeyCompromise);
    let ids = [world.cert_id(&serial(1)), world.cert_id(&serial(2)), world.cert_id(&serial(1))];
    let (headers, body) = world.ask(&request(&ids, None)).await;
    let read = world.read(&body).unwrap();
    assert_eq!(read.single.iter().map(|single| &single.cert_id).collect::<Vec<_>>(), [&ids[0], &ids[1]]);
    assert_eq!(read.single[0].revoked, None);
    assert_eq!(read.single[1].revoked, Some((start().unix_s(), 1)));
    assert!(header(&headers, "cache-control").contains("no-store"));

    let with_unknown = [ids[0].clone(), world.cert_id(&serial(9))];
    let with_other_issuer = [ids[0].clone(), world.cert_id_of(1, SHA1_OID, true, &serial(1))];
    world.statuses.set("e2", &serial(1), ingam_protocol::ocsp::CertStatus::Good, start().plus(DAY));
    for ids in [with_unknown, with_other_issuer] {
        let (_, body) = world.ask(&request(&ids, None)).await;
        assert_eq!(world.read(&body).unwrap_err(), ErrorStatus::Unauthorized);
    }
}

#[tokio::test]
async fn certificates_of_the_ca_are_there() {
    let world = world();
    for (index, name) in ["e1", "e2"].into_iter().enumerate() {
        let (headers, body) = world.get(&format!("/issuer/{name}.crt")).await;
        assert_eq!(body.as_ref(), world.issuer_der(index));
        assert_eq!(header(&headers, "content-type"), "application/pkix-cert");
        let etag = header(&headers, "etag").to_owned();
        let again =
            world.send(Method::GET, &format!("/issuer/{name}.crt"), &[("if-none-match", &etag)], b"").await;
        assert_eq!(again.status(), 304);
    }
    let (headers, body) = world.get("/roots.pem").await;
    assert_eq!(header(&headers, "content-type"), "application/pem-certificate-chain");
    let read: Vec<_> =
        x509_parser::pem::Pem::iter_from_buffer(&body).map(|pem| pem.unwrap().contents).collect();
    assert_eq!(read, [world.issuer_der(0), world.issuer_der(1)]);
    assert!(String::from_utf8_lossy(&body).lines().all(|line| line.len() <= 64));
}

#[tokio::test]
async fn openssl_asks_and_believes() {
    use std::process::Command;
    let world = World::new(&live());
    let serial = serial(1);
    // openssl looks at the clock of the machine, which is not this test's.
    world.statuses.set("e1", &serial, ingam_protocol::ocsp::CertStatus::Good, start().plus(DAY));
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (_, roots) = world.get("/roots.pem").await;
    let first_end = String::from_utf8_lossy(&roots).find("-----END").unwrap();
    std::fs::write(file("e1.pem"), [&roots[..first_end], b"-----END CERTIFICATE-----\n"].concat()).unwrap();
    for (hash, nonce) in [("-sha1", "-nonce"), ("-sha1", "-no_nonce"), ("-sha256", "-nonce")] {
        let asked = Command::new("openssl")
            .args(["ocsp", hash, nonce])
            .args([
                "-issuer",
                &file("e1.pem"),
                "-serial",
                &format!("0x{serial}"),
                "-reqout",
                &file("request"),
            ])
            .output();
        // Where there is no openssl, the other judge must do.
        if !asked.is_ok_and(|output| output.status.success()) {
            return;
        }
        let (_, body) = world.post(&std::fs::read(file("request")).unwrap()).await;
        std::fs::write(file("response"), &body).unwrap();
        // `-no_nonce` keeps it from adding a second one to the request that it reads.
        let judged = Command::new("openssl")
            .args(["ocsp", hash, "-no_nonce", "-respin", &file("response"), "-reqin", &file("request")])
            .args(["-CAfile", &file("e1.pem")])
            .args(["-issuer", &file("e1.pem"), "-serial", &format!("0x{serial}"), "-attime"])
            .arg(start().unix_s().to_string())
            .args(["-validity_period", "10000000000"])
            .output()
            .unwrap();
        let words = [judged.stdout, judged.stderr].concat();
        let words = String::from_utf8_lossy(&words);
        assert!(words.contains("Response verify OK"), "{words}");
        assert!(words.contains(": good"), "{words}");
        assert!(!words.to_lowercase().contains("nonce"), "{words}");
    }
}
