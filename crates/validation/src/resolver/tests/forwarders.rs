//! Recursive servers in front of the test zones, of which one lies: what it changes is never used, and the other one's answer is.

use std::net::SocketAddr;

use tokio::net::UdpSocket;
use trust_dns_resolver::net::runtime::TokioRuntimeProvider;
use trust_dns_resolver::proto::op::{Edns, Message, MessageType, Metadata, ResponseCode};
use trust_dns_resolver::proto::rr::RecordType::CAA;
use trust_dns_resolver::proto::rr::rdata::SOA;
use trust_dns_resolver::proto::rr::{Record, RecordType};
use trust_dns_resolver::recursor::{DnssecPolicy, Recursor, RecursorError, RecursorOptions};

use super::super::connection::{Connections, Recursion};
use super::super::*;
use crate::Config;
use crate::zones::Zones;

/// What a recursive server does to each answer.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Manner {
    Honest,
    /// It takes the signatures away.
    Strips,
    /// It says that there are no CAA records, with a start of authority of an unsigned zone of its own.
    Denies,
}

/// A recursive server that validates nothing.
async fn forwarder(zones: &Zones, manner: Manner) -> SocketAddr {
    let config = zones.recursion();
    let connections = Connections {
        runtime: TokioRuntimeProvider::default(),
        notes: Arc::default(),
        recursion: Some(Arc::new(Recursion {
            port: config.dns_port,
            roots: vec![zones.root().ip()],
            addresses: config.connectable(),
        })),
        silences: Arc::default(),
        patience: Duration::from_secs(1),
    };
    let options = RecursorOptions { deny_server: Vec::new(), ..RecursorOptions::default() };
    let roots = [zones.root().ip()];
    let recursor =
        Recursor::new(&roots, DnssecPolicy::ValidationDisabled, None, options, connections).unwrap();
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut buffer = [0; 4096];
        while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
            let request = Message::from_vec(&buffer[..length]).unwrap();
            let query = request.queries[0].clone();
            let mut response =
                Message::new(request.metadata.id, MessageType::Response, request.metadata.op_code);
            response.metadata = Metadata::response_from_request(&request.metadata);
            response.metadata.recursion_available = true;
            response.add_query(query.clone());
            let mut edns = Edns::new();
            edns.set_max_payload(4096).set_dnssec_ok(true);
            response.edns = Some(edns);
            let mut asked = query.clone();
            asked.set_name(query.name().to_lowercase());
            let now = tokio::time::Instant::now().into_std();
            let found = recursor.resolve(asked.clone(), now, true).await;
            if matches!(&found, Err(RecursorError::Negative(none)) if none.query.name() != asked.name()) {
                // The end of a chain of aliases is denied; the chain is part of the answer (RFC 2308, section 2).
                let alias = Query::query(asked.name().clone(), RecordType::CNAME);
                fill(&mut response, recursor.resolve(alias, now, true).await);
            }
            fill(&mut response, found);
            change(&mut response, manner, query.query_type());
            // Everything fits into one datagram over loopback.
            socket.send_to(&response.to_vec().unwrap(), from).await.unwrap();
        }
    });
    address
}

fn fill(response: &mut Message, result: Result<Message, RecursorError>) {
    match result {
        Ok(found) => {
            response.metadata.response_code = found.metadata.response_code;
            response.add_answers(found.answers);
            response.add_authorities(found.authorities);
        }
        Err(RecursorError::Negative(none)) => {
            if none.is_nx_domain() {
                response.metadata.response_code = ResponseCode::NXDomain;
            }
            response.add_authorities(none.authorities.iter().flat_map(|all| all.iter().cloned()));
        }
        Err(_) => response.metadata.response_code = ResponseCode::ServFail,
    }
}

fn change(response: &mut Message, manner: Manner, record_type: RecordType) {
    match manner {
        Manner::Honest => {}
        Manner::Strips => {
            let is_signature = |record: &Record| record.record_type() == RecordType::RRSIG;
            response.answers.retain(|record| !is_signature(record));
            response.authorities.retain(|record| !is_signature(record));
        }
        Manner::Denies if record_type == CAA => {
            response.answers.clear();
            let elsewhere = Name::from_ascii("insecure.example.").unwrap();
            let start = SOA::new(elsewhere.clone(), elsewhere.clone(), 1, 60, 60, 60, 60);
            response.authorities = vec![Record::from_rdata(elsewhere, 60, RData::SOA(start))];
        }
        Manner::Denies => {}
    }
}

async fn ask(zones: &Zones, servers: &[SocketAddr], name: &str) -> (Result<Vec<RData>, Missing>, Lookup) {
    let folder = tempfile::tempdir().unwrap();
    let anchors = folder.path().join("root.key");
    std::fs::write(&anchors, zones.anchors()).unwrap();
    let config = Config {
        resolvers: servers.iter().copied().map(crate::Server::from).collect(),
        trust_anchors: Some(anchors),
        lookup_timeout_ms: 5000,
        ..Config::default()
    };
    Setup::new(&config).unwrap().resolver().await.ask(name, CAA).await
}

#[tokio::test]
async fn an_honest_server_is_enough() {
    let zones = Zones::serve().await;
    let honest = forwarder(&zones, Manner::Honest).await;
    for (name, response, proof) in [
        ("secure.example", "NOERROR", Some(Proof::Secure)),
        ("www.hashed.example", "NOERROR", Some(Proof::Secure)),
        // The commonest of all: an alias to somebody's servers, who have no CAA records.
        ("cdn.secure.example", "NOERROR", Some(Proof::Insecure)),
        ("cdn2.secure.example", "NOERROR", Some(Proof::Secure)),
        ("alias.secure.example", "NOERROR", Some(Proof::Secure)),
        ("gone.secure.example", "NXDOMAIN", Some(Proof::Secure)),
        ("x.alias.secure.example", "NOERROR", Some(Proof::Secure)),
        ("www.tree.secure.example", "NOERROR", Some(Proof::Secure)),
        ("expired.example", "ERROR", Some(Proof::Bogus)),
    ] {
        let (result, seen) = ask(&zones, &[honest], name).await;
        assert_eq!((seen.response.as_str(), seen.proof), (response, proof), "{name} {result:?}");
    }
}

#[tokio::test]
async fn a_lie_is_never_used() {
    let zones = Zones::serve().await;
    for (manner, code) in [(Manner::Strips, 10), (Manner::Denies, 12)] {
        let liar = forwarder(&zones, manner).await;
        let (result, seen) = ask(&zones, &[liar], "secure.example").await;
        let missing = result.unwrap_err();
        assert!(!missing.is_absence(), "{missing:?}");
        assert_eq!(seen.extended_errors.iter().map(|error| error.code).collect::<Vec<_>>(), [code]);
    }
}

#[tokio::test]
async fn another_server_is_asked_when_one_lies() {
    let zones = Zones::serve().await;
    let honest = forwarder(&zones, Manner::Honest).await;
    let liar = forwarder(&zones, Manner::Denies).await;
    for servers in [[liar, honest], [honest, liar]] {
        let (result, seen) = ask(&zones, &servers, "secure.example").await;
        // Which one a question goes to is a matter of turns, so both may have been the liar; a lie is what must not come out.
        match result {
            Ok(_) => assert_eq!(seen.proof, Some(Proof::Secure)),
            Err(missing) => assert!(!missing.is_absence()),
        }
    }
}
