//! The resolver against servers without DNSSEC.

mod corpus;
mod encrypted;
mod forwarders;
mod signed;

use ingam_protocol::acme::ChallengeType;
use ingam_protocol::identifier::DnsName;

use trust_dns_resolver::proto::op::ResponseCode;

use super::*;
use crate::testing::{Reply, World, clock};
use crate::{Config, Dnssec};

async fn ask(config: &Config, name: &str, record_type: RecordType) -> Result<Vec<RData>, Missing> {
    let any = DnsName::parse("a.example").unwrap();
    let mut evidence = Evidence::new("local", any, ChallengeType::Dns01, clock().now());
    Setup::new(config).unwrap().resolver().await.lookup(name, record_type, &mut evidence).await
}

#[tokio::test]
async fn another_server_is_asked_when_one_fails() {
    let (bad, good) = (World::new().await, World::new().await);
    good.a("a.example", "127.0.0.1");
    for reply in [Reply::Code(ResponseCode::ServFail), Reply::Silence, Reply::Garbage] {
        bad.reply("a.example", None, reply.clone());
        let mut config = good.config();
        config.lookup_timeout_ms = 3000;
        config.resolvers = vec![bad.address().into(), good.address().into()];
        assert!(ask(&config, "a.example", RecordType::A).await.is_ok(), "{reply:?}");
    }
    let mut config = good.config();
    config.resolvers = vec!["127.0.0.1:1".parse().unwrap(), good.address().into()];
    ask(&config, "a.example", RecordType::A).await.unwrap();
}

#[tokio::test]
async fn a_silent_server_is_not_waited_for_again_by_the_next_validation() {
    let (dead, good) = (World::new().await, World::new().await);
    dead.reply("a.example", None, Reply::Silence);
    good.a("a.example", "127.0.0.1");
    let mut config = good.config();
    config.lookup_timeout_ms = 1000;
    config.resolvers = vec![dead.address().into(), good.address().into()];
    let setup = Setup::new(&config).unwrap();
    for _ in 0..5 {
        let (records, _) = setup.resolver().await.ask("a.example", RecordType::A).await;
        records.unwrap();
    }
    assert_eq!((dead.asked("a.example"), good.asked("a.example")), (1, 5));
    // Where there is no other it is asked all the same.
    good.reply("a.example", None, Reply::Silence);
    for _ in 0..2 {
        let (records, _) = setup.resolver().await.ask("a.example", RecordType::A).await;
        records.unwrap_err();
    }
    assert!(dead.asked("a.example") > 1);
}

#[tokio::test]
async fn no_name_is_special_to_the_resolver() {
    let world = World::new().await;
    for name in ["a.localhost", "b.invalid", "c.onion", "d.local", "e.test", "1.0.0.127.in-addr.arpa"] {
        world.a(name, "127.0.0.9");
        let records = ask(&world.config(), name, RecordType::A).await.unwrap();
        assert_eq!(records, [RData::A(A::new(127, 0, 0, 9))], "{name}");
    }
}

#[tokio::test]
async fn a_network_without_a_signed_root_needs_no_proofs_unless_they_are_wanted() {
    let world = World::new().await;
    world.a("a.example", "127.0.0.1");
    let mut config = world.config();
    config.lookup_timeout_ms = 1000;
    for (dnssec, is_used) in [(Dnssec::WhenSigned, true), (Dnssec::Validate, false), (Dnssec::Off, true)] {
        config.dnssec = dnssec;
        let asked = ask(&config, "a.example", RecordType::A).await;
        assert_eq!(asked.is_ok(), is_used, "{dnssec:?}: {asked:?}");
    }
    config.dnssec = Dnssec::WhenSigned;
    // Whoever keeps silent on the root's keys, or fails, may have some.
    for reply in [Reply::Silence, Reply::Truncated, Reply::Garbage, Reply::Referral] {
        world.reply("", RecordType::DNSKEY, reply.clone());
        assert!(ask(&config, "a.example", RecordType::A).await.is_err(), "{reply:?}");
    }
}

#[tokio::test]
async fn four_response_codes_alone_say_that_there_is_no_signed_root() {
    let world = World::new().await;
    world.a("a.example", "127.0.0.1");
    let mut config = world.config();
    config.lookup_timeout_ms = 1000;
    config.dnssec = Dnssec::WhenSigned;
    // All that fit into a message's header (RFC 1035, section 4.1.1).
    for code in 0..16 {
        world.reply("", RecordType::DNSKEY, Reply::Code(ResponseCode::from(0, code)));
        let is_used = ask(&config, "a.example", RecordType::A).await.is_ok();
        // NOERROR, NXDOMAIN, NOTIMP, REFUSED.
        assert_eq!(is_used, [0, 3, 4, 5].contains(&code), "{code}");
    }
}

#[tokio::test]
async fn nothing_is_remembered() {
    let world = World::new().await;
    let resolver = Setup::new(&world.config()).unwrap().resolver().await;
    let any = DnsName::parse("a.example").unwrap();
    let mut evidence = Evidence::new("local", any, ChallengeType::Dns01, clock().now());
    let missing = resolver.lookup("a.example", RecordType::A, &mut evidence).await.unwrap_err();
    assert!(missing.is_absence() && !missing.is_empty_answer());
    world.a("a.example", "127.0.0.1");
    resolver.lookup("a.example", RecordType::A, &mut evidence).await.unwrap();
    resolver.lookup("a.example", RecordType::A, &mut evidence).await.unwrap();
    assert_eq!(world.asked("a.example"), 3);
    let responses: Vec<&str> = evidence.lookups.iter().map(|lookup| lookup.response.as_str()).collect();
    assert_eq!(responses, ["NXDOMAIN", "NOERROR", "NOERROR"]);
}
