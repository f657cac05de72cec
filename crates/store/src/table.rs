//! The tables of the engine, each with the class of what it holds, and how their keys are made.

use ingam_protocol::crl::Scope;
use ingam_protocol::identifier::{DnsName, Identifier};
use ingam_protocol::profile::IssuerName;
use ingam_protocol::record::Class;
use ingam_protocol::{Id, Serial, Shard};

use crate::engine::Table;

/// The version of the layout of everything here. A newer one is refused at opening.
/// - 1: the first.
/// - 2: certificates are found by time, account, key and name ([`crate::search`]).
/// - 3: rows of certificates are packed, and orders let go of bytes once the certificate is on record.
pub(crate) const FORMAT_VERSION: u64 = 3;

/// Counters and the format version: name to big-endian u64.
pub(crate) const META: Table = Table::new("meta");
/// Account id to [`ingam_protocol::acme::Account`].
pub(crate) const ACCOUNTS: Table = Table::new("accounts");
/// Key thumbprint to account id.
pub(crate) const ACCOUNTS_BY_KEY: Table = Table::new("accounts_by_key");
/// Account id to its contacts, sealed under the subject's own key.
pub(crate) const CONTACTS: Table = Table::new("contacts");
/// Account id to [`crate::SubjectRow`]: what is known of contacts beside themselves.
pub(crate) const SUBJECTS: Table = Table::new("subjects");
/// Account id of a subject whose key is to be destroyed to [`crate::subject::ErasureRow`].
pub(crate) const ERASURES_OPEN: Table = Table::new("erasures_open");
/// Key id to [`crate::ExternalKey`].
pub(crate) const EXTERNAL_KEYS: Table = Table::new("external_keys");
/// Key id to its MAC key, sealed under the subject's own key, which here is the key's.
pub(crate) const EXTERNAL_SECRETS: Table = Table::new("external_secrets");
/// Order id to [`ingam_protocol::acme::Order`].
pub(crate) const ORDERS: Table = Table::new("orders");
/// Account id and order id to nothing.
pub(crate) const ORDERS_BY_ACCOUNT: Table = Table::new("orders_by_account");
/// Issuer and serial of a certificate to the id of the order that was last to replace it.
pub(crate) const REPLACEMENTS: Table = Table::new("replacements");
/// Authorization id to [`ingam_protocol::acme::Authorization`].
pub(crate) const AUTHORIZATIONS: Table = Table::new("authorizations");
/// Account id and identifier (or a dot and a domain, for all that is in it) to the id of the authorization that was last
/// shown for it.
pub(crate) const AUTHORIZATIONS_BY_IDENTIFIER: Table = Table::new("authorizations_by_identifier");
/// Authorization id and challenge type of challenges that were answered and not finished, to nothing.
pub(crate) const CHALLENGES_OPEN: Table = Table::new("challenges_open");
/// Order id of orders that were claimed and not finished, to nothing.
pub(crate) const ISSUANCES_OPEN: Table = Table::new("issuances_open");
/// Issuer and serial to [`crate::CertificateRow`], packed.
pub(crate) const CERTIFICATES: Table = Table::new("certificates");
/// The beginning of its hash to what certificates of an issuer and profile have in common: what their rows are packed with.
pub(crate) const CERTIFICATE_DICTIONARIES: Table = Table::new("certificate_dictionaries");
/// Issuer and serial to [`crate::StatusRow`].
pub(crate) const STATUSES: Table = Table::new("statuses");
/// Issuer and serial of what is revoked to [`crate::StatusRow`], or to nothing where an older version wrote it: what CRLs
/// are made from.
pub(crate) const REVOKED: Table = Table::new("revoked");
/// The generation of a revocation to issuer and serial: the last [`crate::changed::KEPT`] of them.
pub(crate) const REVOKED_BY_GENERATION: Table = Table::new("revoked_by_generation");
/// Key thumbprint to why and when it was blocked.
pub(crate) const KEYS_BLOCKED: Table = Table::new("keys_blocked");
/// Time of issuance, issuer and serial to nothing.
pub(crate) const CERTIFICATES_BY_TIME: Table = Table::new("certificates_by_time");
/// Account id, time of issuance, issuer and serial to nothing.
pub(crate) const CERTIFICATES_BY_ACCOUNT: Table = Table::new("certificates_by_account");
/// Key thumbprint, time of issuance, issuer and serial to nothing.
pub(crate) const CERTIFICATES_BY_KEY: Table = Table::new("certificates_by_key");
/// A name with its labels in reverse, a zero byte, time of issuance, issuer and serial to nothing.
pub(crate) const CERTIFICATES_BY_NAME: Table = Table::new("certificates_by_name");
/// Principal, a zero byte and a role to [`crate::Grant`].
pub(crate) const ROLES: Table = Table::new("roles");
/// Approval id to [`crate::Approval`].
pub(crate) const APPROVALS: Table = Table::new("approvals");
/// A domain name with its labels in reverse to [`crate::NameRule`].
pub(crate) const NAME_RULES: Table = Table::new("name_rules");
/// A blocked name's parent with its labels in reverse, a zero byte and the name's own label, to nothing.
pub(crate) const NAMES_BLOCKED_BELOW: Table = Table::new("names_blocked_below");
/// An incident's name to [`crate::Incident`].
pub(crate) const INCIDENTS: Table = Table::new("incidents");
/// An incident's name, a zero byte, issuer and serial to nothing.
pub(crate) const INCIDENT_CERTIFICATES: Table = Table::new("incident_certificates");
/// Issuer and serial to the name of the incident that the certificate was put into last.
pub(crate) const INCIDENTS_BY_CERTIFICATE: Table = Table::new("incidents_by_certificate");
/// Job id to [`crate::RevocationJob`].
pub(crate) const REVOCATION_JOBS: Table = Table::new("revocation_jobs");
/// Job id of jobs that are not over, or have still certificates put down, to nothing.
pub(crate) const REVOCATION_JOBS_OPEN: Table = Table::new("revocation_jobs_open");
/// Job id, issuer and serial of what a job has still to revoke, to nothing.
pub(crate) const REVOCATION_ITEMS: Table = Table::new("revocation_items");
/// Limit and subject to the moment at which the bucket is full again; some subjects are addresses ([`crate::limit`]).
pub(crate) const LIMIT_BUCKETS: Table = Table::new("limit_buckets");
/// Limit and account or registered domain to [`crate::LimitOverride`].
pub(crate) const LIMIT_OVERRIDES: Table = Table::new("limit_overrides");
/// Id of a claimed order, or authorization id and type of an answered challenge, to what was spent for it.
pub(crate) const LIMIT_SPENDS: Table = Table::new("limit_spends");
/// Account id and name to [`crate::Pause`].
pub(crate) const PAUSES: Table = Table::new("pauses");
/// A case's name to [`crate::Case`].
pub(crate) const CASES: Table = Table::new("cases");
/// A case's name, a zero byte and an account id to [`crate::CaseSubject`].
pub(crate) const CASE_SUBJECTS: Table = Table::new("case_subjects");
/// Number of a state of the privacy page, big-endian, to [`crate::PrivacyVersion`].
pub(crate) const PRIVACY_VERSIONS: Table = Table::new("privacy_versions");
/// Hold id to [`crate::Hold`]: all that there are, those that ended among them.
pub(crate) const HOLDS: Table = Table::new("holds");
/// Hold id of holds that were not released, to nothing. Some of them may have lapsed.
pub(crate) const HOLDS_OPEN: Table = Table::new("holds_open");
/// Class and number of a segment of the journal that is about to go to [`crate::SegmentGoing`]: until its receipt is given.
pub(crate) const SEGMENTS_GOING: Table = Table::new("segments_going");
/// Sequence number to an encoded record.
pub(crate) const OUTBOX: Table = Table::new("outbox");

/// Every table with the retention class of what it holds; a table without a class is a promise nobody keeps.
pub(crate) const CLASSES: &[(Table, Class)] = &[
    (META, Class::Working),
    (ACCOUNTS, Class::Issuance),
    (ACCOUNTS_BY_KEY, Class::Issuance),
    (CONTACTS, Class::Contact),
    (SUBJECTS, Class::Contact),
    (ERASURES_OPEN, Class::Retention),
    (EXTERNAL_KEYS, Class::Issuance),
    (EXTERNAL_SECRETS, Class::Issuance),
    (ORDERS, Class::Working),
    (ORDERS_BY_ACCOUNT, Class::Working),
    (REPLACEMENTS, Class::Working),
    (AUTHORIZATIONS, Class::Working),
    (AUTHORIZATIONS_BY_IDENTIFIER, Class::Working),
    (CHALLENGES_OPEN, Class::Working),
    (ISSUANCES_OPEN, Class::Working),
    (CERTIFICATES, Class::Issuance),
    (CERTIFICATE_DICTIONARIES, Class::CaLifecycle),
    (STATUSES, Class::Issuance),
    (REVOKED, Class::Issuance),
    (REVOKED_BY_GENERATION, Class::Issuance),
    (KEYS_BLOCKED, Class::Issuance),
    (CERTIFICATES_BY_TIME, Class::Issuance),
    (CERTIFICATES_BY_ACCOUNT, Class::Issuance),
    (CERTIFICATES_BY_KEY, Class::Issuance),
    (CERTIFICATES_BY_NAME, Class::Issuance),
    (ROLES, Class::PermissionChange),
    (APPROVALS, Class::AccessLog),
    (NAME_RULES, Class::CaLifecycle),
    (NAMES_BLOCKED_BELOW, Class::CaLifecycle),
    (INCIDENTS, Class::Issuance),
    (INCIDENT_CERTIFICATES, Class::Issuance),
    (INCIDENTS_BY_CERTIFICATE, Class::Issuance),
    (REVOCATION_JOBS, Class::Issuance),
    (REVOCATION_JOBS_OPEN, Class::Issuance),
    (REVOCATION_ITEMS, Class::Issuance),
    (LIMIT_BUCKETS, Class::Working),
    (LIMIT_OVERRIDES, Class::CaLifecycle),
    (LIMIT_SPENDS, Class::Working),
    (PAUSES, Class::Working),
    (CASES, Class::Retention),
    (CASE_SUBJECTS, Class::Retention),
    (PRIVACY_VERSIONS, Class::CaLifecycle),
    (HOLDS, Class::Retention),
    (HOLDS_OPEN, Class::Retention),
    (SEGMENTS_GOING, Class::Retention),
    (OUTBOX, Class::Working),
];

/// The counter that rises with every change of a status.
pub(crate) const META_GENERATION: &[u8] = b"status_generation";
/// When the last sweep was whose clock was believed, in milliseconds since the epoch.
pub(crate) const META_SWEPT: &[u8] = b"swept_at_ms";
/// The format that a migration began from, while it is at work: its copy of the store is made.
pub(crate) const META_MIGRATION: &[u8] = b"migration_from";
/// The format version of the tables.
pub(crate) const META_FORMAT: &[u8] = b"format_version";

/// Up to which key the rows of a table were packed.
pub(crate) fn meta_packed(table: Table) -> Vec<u8> {
    format!("packed/{}", table.name()).into_bytes()
}

/// What the names of counters of CRL numbers begin with.
pub(crate) const META_CRL_NUMBERS: &[u8] = b"crl_number/";

/// The counter of CRL numbers of an issuer's shard, or of what belongs to none.
pub(crate) fn meta_crl_number(issuer: &IssuerName, shard: Option<Shard>) -> Vec<u8> {
    of_list("crl_number", issuer, shard)
}

/// The generation at which something was last revoked in an issuer's shard, or of what belongs to none.
pub(crate) fn meta_revoked(issuer: &IssuerName, shard: Option<Shard>) -> Vec<u8> {
    of_list("revoked_generation", issuer, shard)
}

/// An issuer's name holds no slash.
fn of_list(what: &str, issuer: &IssuerName, shard: Option<Shard>) -> Vec<u8> {
    let shard = shard.map_or(String::new(), |shard| format!("/{shard}"));
    format!("{what}/{issuer}{shard}").into_bytes()
}

/// The key of a certificate: an issuer's name holds no zero byte, so no two pairs collide.
pub(crate) fn certificate_key(issuer: &IssuerName, serial: &Serial) -> Vec<u8> {
    [issuer.as_str().as_bytes(), &[0], serial.as_bytes()].concat()
}

/// The issuer and serial number that a key of [`certificate_key`]'s making holds, wherever it stands in a longer one.
pub(crate) fn certificate_of(key: &[u8]) -> Option<(IssuerName, Serial)> {
    let at = key.iter().position(|byte| *byte == 0)?;
    let (issuer, serial) = (key.get(..at)?, key.get(at + 1..)?);
    let issuer = String::from_utf8(issuer.to_vec()).ok()?;
    Some((IssuerName::try_from(issuer).ok()?, Serial::from_be_bytes(serial)?))
}

/// The smallest key behind everything that begins with `prefix`; `None` if there is none.
pub(crate) fn end_of(prefix: &[u8]) -> Option<Vec<u8>> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < u8::MAX {
            end.push(last + 1);
            return Some(end);
        }
    }
    None
}

/// First and last (excluded) key of everything of an issuer.
pub(crate) fn issuer_range(issuer: &IssuerName) -> (Vec<u8>, Vec<u8>) {
    let name = issuer.as_str().as_bytes();
    ([name, &[0]].concat(), [name, &[1]].concat())
}

/// The first byte of serial numbers that belong to a shard.
const SHARDED: u8 = Shard(0).serial_prefix()[0];

/// First and last (excluded) key of every serial number that belongs to a shard, from this one on.
pub(crate) fn shards_range(issuer: &IssuerName, from: Shard) -> (Vec<u8>, Vec<u8>) {
    let name = issuer.as_str().as_bytes();
    ([name, &[0], &from.serial_prefix()].concat(), [name, &[0, SHARDED + 1]].concat())
}

/// The shard of a key in [`shards_range`].
pub(crate) fn shard_of(issuer: &IssuerName, key: &[u8]) -> Option<Shard> {
    let (number, _) = key.get(issuer.as_str().len() + 2..)?.split_first_chunk()?;
    Some(Shard(u16::from_be_bytes(*number)))
}

/// First and last (excluded) keys of what a CRL is about. No serial number without a shard begins as those with one do.
pub(crate) fn scope_ranges(issuer: &IssuerName, scope: Scope) -> Vec<(Vec<u8>, Vec<u8>)> {
    let (first, end) = issuer_range(issuer);
    let (shards_first, shards_end) = shards_range(issuer, Shard(0));
    match scope {
        Scope::Complete => vec![(first, end)],
        Scope::Unsharded => vec![(first, shards_first), (shards_end, end)],
        Scope::Shard(shard) => {
            let (first, all_end) = shards_range(issuer, shard);
            let end = shard.0.checked_add(1).map(|next| shards_range(issuer, Shard(next)).0);
            vec![(first, end.unwrap_or(all_end))]
        }
    }
}

/// An account and what it showed control of.
pub(crate) fn identifier_key(account: Id, identifier: &Identifier) -> Vec<u8> {
    [account.as_bytes().as_slice(), identifier.to_string().as_bytes()].concat()
}

/// An account and a domain that it showed control of, with everything below: no identifier begins with a dot.
pub(crate) fn domain_key(account: Id, domain: &DnsName) -> Vec<u8> {
    [account.as_bytes().as_slice(), b".", domain.as_str().as_bytes()].concat()
}

/// Two ids, one after the other.
pub(crate) fn pair_key(first: Id, second: Id) -> Vec<u8> {
    [first.as_bytes().as_slice(), second.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use ingam_protocol::time::SeededRandom;

    use super::*;

    #[test]
    fn keys_are_taken_apart_as_they_were_put_together() {
        let issuer = IssuerName::try_from("ecdsa".to_owned()).unwrap();
        let serial = Serial::new(&SeededRandom::new(1));
        assert_eq!(certificate_of(&certificate_key(&issuer, &serial)), Some((issuer, serial)));
        assert_eq!(end_of(&[1, 0xff]), Some(vec![2]));
        assert_eq!(end_of(&[0xff]), None);
    }

    #[test]
    fn each_key_is_in_the_ranges_of_its_scopes_and_in_no_other() {
        let issuer = IssuerName::try_from("ecdsa".to_owned()).unwrap();
        let random = SeededRandom::new(2);
        let shards = [0, 1, 255, 256, u16::MAX].map(Shard);
        let serials = shards.map(|shard| Serial::in_shard(&random, shard));
        let scopes = shards.map(Scope::Shard).into_iter().chain([Scope::Complete, Scope::Unsharded]);
        let scopes: Vec<Scope> = scopes.collect();
        for serial in serials.into_iter().chain((0..50).map(|_| Serial::new(&random))) {
            let key = certificate_key(&issuer, &serial);
            for scope in &scopes {
                let within =
                    scope_ranges(&issuer, *scope).iter().any(|(first, end)| *first <= key && key < *end);
                assert_eq!(within, scope.holds(&serial), "{serial} {scope:?}");
            }
            if serial.shard().is_some() {
                assert_eq!(shard_of(&issuer, &key), serial.shard());
            }
        }
    }

    #[test]
    fn every_table_has_a_class() {
        let source = include_str!("table.rs");
        let tables = source
            .lines()
            .filter(|line| line.starts_with("pub(crate) const") && line.contains(": Table"))
            .count();
        assert_eq!(tables, CLASSES.len(), "a table was added without a class");
    }
}
