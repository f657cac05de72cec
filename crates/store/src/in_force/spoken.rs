//! From a record to the things that it tells of.

use ingam_protocol::identifier::DnsName;
use ingam_protocol::limit::{Favoured, LimitName};
use ingam_protocol::operator::{Principal, Role};
use ingam_protocol::record::{Record, RecordType, Seal};
use ingam_protocol::{Bytes, Id};
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};

use super::{Carried, Kind, Thing, Things};
use crate::error::Error;
use crate::limit::override_key;
use crate::open::Store;
use crate::privacy_version;
use crate::rebuild::BlockedSaid;
use crate::role;
use crate::search::reversed;

#[derive(Deserialize)]
struct AccountNamed {
    account: Id,
    #[serde(default)]
    external_key: Option<Id>,
}

#[derive(Deserialize)]
struct KeyNamed {
    key: Id,
}

#[derive(Deserialize)]
struct Made {
    id: Id,
}

#[derive(Deserialize)]
struct Named {
    name: String,
}

#[derive(Deserialize)]
struct PreparedNamed {
    claim: ClaimNamed,
}

#[derive(Deserialize)]
struct ClaimNamed {
    key_thumbprint: Bytes,
}

#[derive(Deserialize)]
struct JobNamed {
    #[serde(alias = "id")]
    job: Id,
}

#[derive(Deserialize)]
struct RuleNamed {
    name: DnsName,
    rule: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct LimitNamed {
    limit: LimitName,
    favoured: Favoured,
    own: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct RoleNamed {
    principal: Principal,
    role: Role,
}

#[derive(Deserialize)]
struct HoldNamed {
    hold: Made,
}

#[derive(Deserialize)]
struct CaseNamed {
    case: Named,
}

#[derive(Deserialize)]
struct OfCase {
    case: String,
}

/// Adds the things that a record tells of. One that is not in this version's form tells of none.
pub(super) fn gather(store: &Store, record: &Record, things: &mut Things) -> Result<(), Error> {
    let mut add = |kind: Kind, key: Vec<u8>, is_taken: bool| {
        *things.entry(Thing { kind, key }).or_default() |= is_taken;
    };
    match record.kind {
        RecordType::AccountCreated
        | RecordType::AccountUpdated
        | RecordType::AccountDeactivated
        | RecordType::AccountKeyChanged
        | RecordType::SubjectCorrected
        | RecordType::SubjectTold
        | RecordType::SubjectObjected => {
            if let Some(said) = said::<AccountNamed>(record) {
                add(Kind::Account, bytes(said.account), false);
                said.external_key.into_iter().for_each(|key| add(Kind::ExternalKey, bytes(key), false));
            }
        }
        RecordType::ExternalKeyMade => {
            said(record).into_iter().for_each(|Made { id }| add(Kind::ExternalKey, bytes(id), false));
        }
        RecordType::ExternalKeyWithdrawn => {
            said(record).into_iter().for_each(|KeyNamed { key }| add(Kind::ExternalKey, bytes(key), false));
        }
        // A later record may say that its key is blocked, and name the certificate alone.
        RecordType::CertificatePrepared => {
            if let Some(PreparedNamed { claim }) = said(record) {
                add(Kind::KeyBlock, claim.key_thumbprint.to_vec(), false);
            }
        }
        RecordType::KeyBlocked | RecordType::KeyUnblocked => {
            let Some(said) = said::<BlockedSaid>(record) else { return Ok(()) };
            let is_taken = record.kind == RecordType::KeyUnblocked;
            said.names().for_each(|(_, hash)| add(Kind::KeyBlock, hash.to_vec(), is_taken));
            if let (Some(issuer), Some(serial)) = (&said.issuer, &said.serial)
                && let Some(certificate) = store.certificate_by_serial(issuer, serial)?
            {
                add(Kind::KeyBlock, certificate.key_thumbprint.to_vec(), false);
            }
        }
        RecordType::IncidentChanged => {
            said(record).into_iter().for_each(|Named { name }| add(Kind::Incident, name.into_bytes(), false));
        }
        RecordType::RevocationJobChanged => {
            said(record).into_iter().for_each(|JobNamed { job }| add(Kind::RevocationJob, bytes(job), false));
        }
        RecordType::NameRuleChanged => {
            if let Some(RuleNamed { name, rule }) = said(record) {
                add(Kind::NameRule, reversed(&name).into_bytes(), rule.is_none());
            }
        }
        RecordType::LimitOverridden => {
            if let Some(LimitNamed { limit, favoured, own }) = said(record) {
                add(Kind::LimitOverride, override_key(limit, &favoured), own.is_none());
            }
        }
        RecordType::ConfigurationChanged => {
            let open = record.parts.iter().find(|part| part.seal == Seal::Open);
            let version = open.and_then(|part| privacy_version::told_of(&part.bytes).ok().flatten());
            version
                .into_iter()
                .for_each(|version| add(Kind::PrivacyVersion, version.number.to_be_bytes().to_vec(), false));
        }
        RecordType::RoleGranted | RecordType::RoleTaken => {
            if let Some(RoleNamed { principal, role }) = said(record) {
                let is_taken = record.kind == RecordType::RoleTaken;
                add(Kind::Role, role::key(principal, role), is_taken);
            }
        }
        RecordType::HoldChanged => {
            said(record).into_iter().for_each(|HoldNamed { hold }| add(Kind::Hold, bytes(hold.id), false));
        }
        RecordType::CaseChanged => {
            said(record)
                .into_iter()
                .for_each(|CaseNamed { case }| add(Kind::Case, case.name.into_bytes(), false));
        }
        RecordType::DataDisclosed | RecordType::NoticeGiven => {
            said(record).into_iter().for_each(|OfCase { case }| add(Kind::Case, case.into_bytes(), false));
        }
        RecordType::IssuanceCarried
        | RecordType::LifecycleCarried
        | RecordType::PermissionCarried
        | RecordType::RetentionCarried => {
            let Some(Carried { kind, things, .. }) = said(record) else { return Ok(()) };
            for thing in things {
                let whole = kind.whole();
                let end = if whole == kind { None } else { thing.key.iter().position(|byte| *byte == 0) };
                let key = thing.key.get(..end.unwrap_or(thing.key.len())).unwrap_or_default();
                add(whole, key.to_vec(), thing.row.is_none());
            }
        }
        // What they tell of is not there for longer than they are, or not in force.
        _ => {}
    }
    Ok(())
}

fn bytes(id: Id) -> Vec<u8> {
    id.as_bytes().to_vec()
}

fn said<T: DeserializeOwned>(record: &Record) -> Option<T> {
    let open = record.parts.iter().find(|part| part.seal == Seal::Open)?;
    serde_json::from_slice(&open.bytes).ok()
}
