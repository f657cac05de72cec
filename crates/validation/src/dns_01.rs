//! dns-01: a TXT record at `_acme-challenge` (RFC 8555, section 8.4); and dns-account-01, which has it at a label of the
//! account's own (draft-ietf-acme-dns-account-label).

use trust_dns_resolver::proto::rr::{RData, RecordType};

use crate::dial::Network;
use crate::evidence::Evidence;
use crate::outcome::Failure;
use crate::quote::quote;
use crate::sought::Text;

/// The most values that a failure quotes.
const QUOTED_MAX: usize = 3;

pub(crate) async fn validate(network: &Network, text: &Text, evidence: &mut Evidence) -> Result<(), Failure> {
    let name = &text.name;
    let advice = "add the record and check that your name servers answer it";
    let values = texts(network, name, advice, evidence).await?;
    if values.iter().any(|value| text.is_met(value)) {
        return Ok(());
    }
    let seen: Vec<String> = values.iter().take(QUOTED_MAX).map(|value| quote(value)).collect();
    let more = match values.len().saturating_sub(QUOTED_MAX) {
        0 => String::new(),
        count => format!(" and {count} more"),
    };
    Err(Failure::unauthorized(format!(
        "DNS: the TXT record at {name} is not what was asked for: found {}{more}; expected {}",
        seen.join(", "),
        quote(text.value.as_bytes())
    )))
}

/// The values of all TXT records at a name, at least one; the strings of each are joined. `advice` says what to do where
/// there is none.
pub(crate) async fn texts(
    network: &Network,
    name: &str,
    advice: &str,
    evidence: &mut Evidence,
) -> Result<Vec<Vec<u8>>, Failure> {
    let records = network.resolver.lookup(name, RecordType::TXT, evidence).await.map_err(|missing| {
        let failure = missing.failure(advice);
        // The zone answered, but nothing is there yet: this is the owner's turn, not a DNS fault.
        if missing.is_empty_answer() { Failure::unauthorized(failure.detail) } else { failure }
    })?;
    let text = |data: &RData| if let RData::TXT(text) = data { Some(text.txt_data.concat()) } else { None };
    Ok(records.iter().filter_map(text).collect())
}

#[cfg(test)]
mod tests {
    use ingam_protocol::acme::{ChallengeType, ErrorType};
    use ingam_protocol::bytes::base64url;
    use trust_dns_resolver::proto::op::ResponseCode;

    use super::*;
    use crate::label;
    use crate::sought::sha256;
    use crate::testing::{KEY_AUTHORIZATION, Reply, World, attempt};
    use crate::{Outcome, Validation as _};

    const HOST: &str = "_acme-challenge.www.example.org";

    fn wanted() -> String {
        base64url(&sha256(KEY_AUTHORIZATION))
    }

    async fn check(world: &World) -> Outcome {
        let perspective = world.perspective(|config| {
            config.lookup_timeout_ms = 1500;
            config.lookup_tries = 2;
        });
        perspective.validate(attempt("www.example.org", ChallengeType::Dns01)).await
    }

    #[tokio::test]
    async fn any_of_many_records_will_do() {
        let world = World::new().await;
        for number in 0..60 {
            world.txt(HOST, format!("decoy {number} {}", "x".repeat(300)).as_bytes());
        }
        world.txt(HOST, wanted().as_bytes());
        let outcome = check(&world).await;
        outcome.result.unwrap();
        // Sixty of these do not fit into UDP.
        assert_eq!(outcome.evidence.lookups[0].values.len(), 32);
        assert_eq!(outcome.evidence.lookups[0].values_left_out, 29);
        assert_eq!(
            outcome.evidence.validation_record(),
            serde_json::json!([{ "hostname": "www.example.org" }])
        );
    }

    #[tokio::test]
    async fn accounts_look_at_their_own_label() {
        let world = World::new().await;
        let host = label::dns_account_01(&crate::testing::name("www.example.org"), crate::testing::ACCOUNT);
        let check = async || {
            let perspective = world.perspective(|_| {});
            perspective.validate(attempt("www.example.org", ChallengeType::DnsAccount01)).await
        };
        // What dns-01 wants is at another place.
        world.txt(HOST, wanted().as_bytes());
        let failure = check().await.result.unwrap_err();
        assert!(failure.detail.contains(&host), "{failure}");
        world.txt(&host, wanted().as_bytes());
        check().await.result.unwrap();
    }

    #[tokio::test]
    async fn strings_of_one_record_belong_together() {
        let world = World::new().await;
        let wanted = wanted();
        let (first, second) = wanted.as_bytes().split_at(10);
        let text = hickory_proto::rr::rdata::TXT::from_bytes(vec![first, second]);
        world.add(HOST, RData::TXT(text));
        check(&world).await.result.unwrap();
    }

    #[tokio::test]
    async fn aliases_are_followed() {
        let world = World::new().await;
        world.cname(HOST, "a.elsewhere.example").cname("a.elsewhere.example", "b.elsewhere.example");
        world.txt("b.elsewhere.example", wanted().as_bytes());
        check(&world).await.result.unwrap();
    }

    #[tokio::test]
    async fn servers_that_fold_case_are_asked_over_tcp() {
        let world = World::new().await;
        world.txt(HOST, wanted().as_bytes()).reply(HOST, None, Reply::LowerCase);
        check(&world).await.result.unwrap();
    }

    #[tokio::test]
    async fn wrong_values_are_quoted_printably_and_shortly() {
        let world = World::new().await;
        world
            .txt(HOST, b"wrong\x00\x1b")
            .txt(HOST, &[b'a'; 1000])
            .txt(HOST, b"")
            .txt(HOST, b"4")
            .txt(HOST, b"5");
        let failure = check(&world).await.result.unwrap_err();
        assert_eq!(failure.error, ErrorType::Unauthorized);
        assert!(failure.detail.contains("found \"wrong??\", \"aaaa"), "{failure}");
        assert!(failure.detail.contains("and 2 more; expected"), "{failure}");
        assert!(failure.detail.len() < 600);
    }

    #[tokio::test]
    async fn values_must_be_equal_to_the_byte() {
        let wanted = wanted();
        for value in
            [format!("{wanted} "), wanted.to_lowercase(), format!("{wanted}="), wanted[..42].to_owned()]
        {
            let world = World::new().await;
            world.txt(HOST, value.as_bytes());
            assert!(check(&world).await.result.is_err(), "{value:?}");
        }
    }

    #[tokio::test]
    async fn what_the_dns_says_is_said_again() {
        let world = World::new().await;
        let failure = check(&world).await.result.unwrap_err();
        assert_eq!(failure.error, ErrorType::Dns);
        assert_eq!(
            failure.detail,
            format!(
                "DNS: NXDOMAIN looking up TXT for {HOST}: add the record and check that your name servers answer it"
            )
        );
        world.a(HOST, "127.0.0.1");
        let failure = check(&world).await.result.unwrap_err();
        assert_eq!(failure.error, ErrorType::Unauthorized);
        assert!(failure.detail.starts_with(&format!("DNS: no TXT record at {HOST}: add")), "{failure}");
        for (reply, words) in [
            (Reply::Code(ResponseCode::ServFail), "SERVFAIL"),
            (Reply::Code(ResponseCode::Refused), "REFUSED"),
            (Reply::Silence, "no answer in time"),
            (Reply::Truncated, "truncated"),
        ] {
            world.reply(HOST, None, reply.clone());
            let outcome = check(&world).await;
            let failure = outcome.result.unwrap_err();
            assert_eq!(failure.error, ErrorType::Dns, "{reply:?}");
            assert!(failure.detail.contains(words), "{reply:?}: {failure}");
            assert_eq!(outcome.evidence.lookups.len(), 1);
        }
    }

    #[tokio::test]
    async fn aliases_without_end_end() {
        let world = World::new().await;
        world
            .cname(HOST, "loop.example")
            .cname("loop.example", "loop2.example")
            .cname("loop2.example", "loop.example");
        assert_eq!(check(&world).await.result.unwrap_err().error, ErrorType::Dns);
    }

    #[tokio::test]
    async fn names_too_long_for_the_label_in_front_are_refused() {
        let world = World::new().await;
        let long = format!("{}.example", vec!["a".repeat(60); 4].join("."));
        let outcome = world.perspective(|_| {}).validate(attempt(&long, ChallengeType::Dns01)).await;
        assert!(outcome.result.unwrap_err().detail.contains("too long"));
    }
}
