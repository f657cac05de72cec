//! What remote perspectives are asked.

use ingam_protocol::acme::ChallengeType;
use ingam_protocol::bytes::{base64url, hex};

use super::wire::{AttemptParts, CaaParameters, CaaParts, CaaRequest, DcvParameters, DcvRequest, DnsChange};
use crate::label;
use crate::outcome::{Attempt, CaaQuery, Failure};
use crate::sought::sha256;

/// A challenge as Open MPIC asks about it; `issuers` are the CA's names.
///
/// # Errors
/// [`Failure`] of the type `malformed` for an address, where the challenge is none for addresses.
pub(crate) fn dcv(attempt: &Attempt, issuers: &[String]) -> Result<DcvRequest, Failure> {
    let hash = sha256(&attempt.key_authorization);
    let parameters = match attempt.challenge {
        ChallengeType::Http01 => DcvParameters::Http01 {
            token: attempt.token.clone(),
            key_authorization: attempt.key_authorization.clone(),
        },
        ChallengeType::Dns01 => DcvParameters::Dns01 {
            key_authorization_hash: base64url(&hash),
            dns_name_prefix: "_acme-challenge".to_owned(),
            dns_record_type: "TXT".to_owned(),
        },
        ChallengeType::TlsAlpn01 => DcvParameters::TlsAlpn01 { key_authorization_hash: hex(&hash) },
        // open-mpic-core names this challenge and has no parameters for it: it is a change in the DNS like any other.
        ChallengeType::DnsAccount01 => {
            let name = attempt.name()?;
            let at = label::dns_account_01(name, &attempt.account_uri);
            let prefix = at.strip_suffix(&format!(".{name}")).unwrap_or_default();
            DcvParameters::DnsChange(DnsChange {
                challenge_value: base64url(&hash),
                dns_name_prefix: Some(prefix.to_owned()),
                dns_record_type: "TXT".to_owned(),
                require_exact_match: true,
                require_exact_case: true,
            })
        }
        ChallengeType::DnsPersist01 => DcvParameters::DnsPersistent {
            issuer_domain_names: issuers.to_vec(),
            expected_account_uri: attempt.account_uri.clone(),
        },
    };
    let Attempt { host, beyond_the_name, challenge, token, key_authorization, .. } = attempt.clone();
    Ok(DcvRequest {
        domain_or_ip_target: host.to_string(),
        trace_identifier: None,
        dcv_check_parameters: parameters,
        ingam: Some(AttemptParts {
            challenge,
            token,
            key_authorization,
            account_uri: attempt.account_uri.clone(),
            account_hash_prefix: attempt.account_hash_prefix.clone(),
            thumbprints: attempt.thumbprints.clone(),
            beyond_the_name,
        }),
    })
}

/// A question about CAA as Open MPIC asks it.
pub(crate) fn caa(query: &CaaQuery, issuers: &[String]) -> CaaRequest {
    let star = if query.wildcard { "*." } else { "" };
    CaaRequest {
        domain_or_ip_target: format!("{star}{}", query.name),
        trace_identifier: None,
        caa_check_parameters: Some(CaaParameters {
            certificate_type: "tls-server".to_owned(),
            caa_domains: Some(issuers.to_vec()),
        }),
        ingam: Some(CaaParts { challenge: query.challenge, account_uri: query.account_uri.clone() }),
    }
}
