//! Who may do what at the admin API. What a role allows is not decided here.

use std::collections::BTreeSet;

use ingam_protocol::Timestamp;
use ingam_protocol::operator::{Principal, Role};
use ingam_protocol::record::Record;
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::open::Store;
use crate::table::ROLES;
use crate::transaction::{read_range, read_row};

/// At most this many grants are in force at once: what is listed is read whole.
pub const GRANTS_MAX: usize = 10_000;

/// A role that somebody has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// Whose it is.
    pub principal: Principal,
    /// What it is.
    pub role: Role,
    /// What the holder is called among people, for lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Who gave it; nobody if it came from the configuration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<Principal>,
    /// When.
    pub at: Timestamp,
    /// Why.
    pub reason: String,
}

/// What came of taking a role away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RoleTaken {
    /// Done.
    Yes,
    /// There was no such grant.
    Missing,
    /// It is the only administrator's: nobody could give it back.
    LastAdministrator,
}

/// Where a grant stands.
pub(crate) fn key(principal: Principal, role: Role) -> Vec<u8> {
    [principal.to_string().as_bytes(), &[0], role.name().as_bytes()].concat()
}

impl Store {
    /// The roles that somebody has.
    ///
    /// # Errors
    /// [`Error`] if the engine fails.
    pub fn roles_of(&self, principal: Principal) -> Result<BTreeSet<Role>, Error> {
        let mut roles = BTreeSet::new();
        for role in Role::ALL {
            let grant: Option<Grant> = read_row(self.engine(), ROLES, &key(principal, role))?;
            roles.extend(grant.map(|grant| grant.role));
        }
        Ok(roles)
    }

    /// All grants in force, by principal.
    ///
    /// # Errors
    /// [`Error`] if the engine fails.
    pub fn role_grants(&self) -> Result<Vec<Grant>, Error> {
        let rows = read_range(self.engine(), ROLES, &[], None, GRANTS_MAX)?;
        let bad = |cause| Error::Row("a role", Box::new(cause));
        rows.iter().map(|(_, row)| serde_json::from_slice(row).map_err(bad)).collect()
    }

    /// Gives a role. `false`, and no record, if the principal has it already.
    ///
    /// # Errors
    /// [`Error`] if it could not be made durable.
    pub async fn role_grant(&self, grant: Grant, records: Vec<Record>) -> Result<bool, Error> {
        self.run(move |transaction| {
            let key = key(grant.principal, grant.role);
            if transaction.get(ROLES, &key)?.is_some() {
                return Ok(false);
            }
            transaction.put_row(ROLES, key, &grant)?;
            records.iter().for_each(|record| transaction.record(record));
            Ok(true)
        })
        .await
    }

    /// Takes a role away, unless that would leave no administrator.
    ///
    /// # Errors
    /// [`Error`] if it could not be made durable.
    pub async fn role_take(
        &self,
        principal: Principal,
        role: Role,
        records: Vec<Record>,
    ) -> Result<RoleTaken, Error> {
        self.run(move |transaction| {
            let key = key(principal, role);
            if transaction.get(ROLES, &key)?.is_none() {
                return Ok(RoleTaken::Missing);
            }
            if role == Role::Administrator {
                let suffix = [&[0], role.name().as_bytes()].concat();
                let rows = transaction.range(ROLES, &[], None, GRANTS_MAX)?;
                if !rows.iter().any(|(other, _)| *other != key && other.ends_with(&suffix)) {
                    return Ok(RoleTaken::LastAdministrator);
                }
            }
            transaction.delete(ROLES, key);
            records.iter().for_each(|record| transaction.record(record));
            Ok(RoleTaken::Yes)
        })
        .await
    }
}
