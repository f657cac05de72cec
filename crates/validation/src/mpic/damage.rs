//! For fuzzers, and for what they found: both parsers of Open MPIC on any bytes, without a socket.

use ingam_protocol::Timestamp;
use ingam_protocol::acme::ChallengeType;
use ingam_protocol::identifier::DnsName;

use super::heard::{self, WORDS_MAX, is_printable};
use super::{Heard, Unreached, service};
use crate::outcome::{Attempt, CaaQuery};

/// The account that answers are about.
const ACCOUNT: &str = "https://ca.example/account/1";

/// Reads a perspective's answer, once about dns-persist-01 of www.example.org and once about CAA of *.www.example.org; whether
/// it agrees.
///
/// # Panics
/// If what would be kept is not printable, or has no bound.
pub fn answer(body: &[u8]) -> [bool; 2] {
    let Ok(name) = DnsName::parse("www.example.org") else { return [false; 2] };
    let challenge = ChallengeType::DnsPersist01;
    let attempt = Attempt {
        host: name.clone().into(),
        beyond_the_name: false,
        challenge,
        token: String::new(),
        key_authorization: String::new(),
        account_uri: ACCOUNT.to_owned(),
        account_hash_prefix: String::new(),
        thumbprints: Vec::new(),
    };
    let query = CaaQuery { name, wildcard: true, challenge, account_uri: ACCOUNT.to_owned() };
    let issuers = ["ca.example".to_owned()];
    let now = Timestamp::from_unix_s(1_795_255_200);
    [agrees(heard::dcv(body, &attempt, &issuers, now)), agrees(heard::caa(body, &query, &issuers))]
}

fn agrees(heard: Result<Heard, Unreached>) -> bool {
    let (words, agrees, kept) = match heard {
        Err(unreached) => (unreached.to_string(), false, None),
        Ok(Heard { result, evidence, details }) => {
            let kept =
                details.map_or_else(|| serde_json::to_string(&evidence).ok(), |kept| Some(kept.to_string()));
            (
                result.as_ref().err().map_or(String::new(), |failure| failure.detail.clone()),
                result.is_ok(),
                kept,
            )
        }
    };
    assert!(is_printable(&words) && words.len() <= 8 * WORDS_MAX, "{words:?}");
    assert!(kept.is_none_or(|kept| is_printable(&kept)));
    agrees
}

/// Reads a coordinator's request; whether it would be served at `/dcv`, and at `/caa`.
pub fn request(body: &[u8]) -> [bool; 2] {
    service::serves_as(body)
}
