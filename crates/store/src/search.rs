//! Finding certificates by what people know of them: a name, an account, a key, a time.
//!
//! Four tables lead from what is known to issuer and serial number; each key ends with the time of issuance and the
//! certificate, so that one index with a span of time is one range of keys:
//!
//! ```text
//! by time      time 8 | issuer 0 serial
//! by account   account 16 | time 8 | issuer 0 serial
//! by key       thumbprint 32 | time 8 | issuer 0 serial
//! by name      org.example.www 0 | time 8 | issuer 0 serial     labels in reverse: names below lie together
//! ```

use ingam_protocol::identifier::{DnsName, Host, Identifier};
use ingam_protocol::profile::IssuerName;
use ingam_protocol::{Id, Serial, Timestamp};

use crate::certificate::CertificateRow;
use crate::engine::Table;
use crate::error::Error;
use crate::open::Store;
use crate::table::{
    CERTIFICATES_BY_ACCOUNT, CERTIFICATES_BY_KEY, CERTIFICATES_BY_NAME, CERTIFICATES_BY_TIME,
    certificate_key, certificate_of, end_of,
};
use crate::transaction::{Transaction, read_range, read_range_last};

const TIME_BYTES: usize = 8;

/// By what certificates are looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CertificateIndex {
    /// All there are.
    Time,
    /// Who ordered them.
    Account(Id),
    /// Their key's thumbprint.
    Key([u8; 32]),
    /// A name that they are for, itself or as a wildcard's base, or an address.
    Name(Host),
    /// Names below this one.
    Below(DnsName),
}

/// A page of certificates in the order of the index: by time, but for [`CertificateIndex::Below`], which goes name by
/// name. Over all pages each certificate comes once: below a name, with the first of its names there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CertificatePage {
    /// Issuer and serial number of each.
    pub found: Vec<(IssuerName, Serial)>,
    /// Where the next page begins; nothing at the end. Means something to the same search alone.
    pub next: Option<Vec<u8>>,
}

/// Certificates issued in a span of time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IssuedBetween {
    /// Not before this.
    pub from: Option<Timestamp>,
    /// Before this.
    pub until: Option<Timestamp>,
}

/// `org.example.www` of `www.example.org`.
pub(crate) fn reversed(name: &DnsName) -> String {
    let mut labels: Vec<&str> = name.as_str().split('.').collect();
    labels.reverse();
    labels.join(".")
}

/// The names under which a certificate for this identifier is found: `*.example.org` under `example.org` and as the
/// wildcard below it.
fn name_prefixes(identifier: &Identifier) -> Vec<Vec<u8>> {
    let plain = host_prefix(&identifier.host());
    match identifier {
        Identifier::Wildcard(base) => vec![plain, [reversed(base).as_bytes(), b".*", &[0]].concat()],
        Identifier::Dns(_) | Identifier::Ip(_) => vec![plain],
    }
}

/// `org.example.www` or an address, and a zero byte. A name's first label from the right is no number, so no address is
/// taken for one.
fn host_prefix(host: &Host) -> Vec<u8> {
    let text = match host {
        Host::Name(name) => reversed(name),
        Host::Address(address) => address.to_string(),
    };
    [text.as_bytes(), &[0]].concat()
}

/// Puts a certificate into all four indexes.
pub(crate) fn index(
    transaction: &mut Transaction<'_>,
    issuer: &IssuerName,
    serial: &Serial,
    row: &CertificateRow,
    identifiers: &[Identifier],
) {
    for (table, key) in index_keys(issuer, serial, row, identifiers) {
        transaction.put(table, key, Vec::new());
    }
}

/// Where a certificate stands in the four indexes.
pub(crate) fn index_keys(
    issuer: &IssuerName,
    serial: &Serial,
    row: &CertificateRow,
    identifiers: &[Identifier],
) -> Vec<(Table, Vec<u8>)> {
    let time = row.issued.unix_ms().to_be_bytes();
    let certificate = [time.as_slice(), &certificate_key(issuer, serial)].concat();
    let behind = |table: Table, prefix: &[u8]| (table, [prefix, &certificate].concat());
    let names = identifiers.iter().flat_map(name_prefixes);
    [
        behind(CERTIFICATES_BY_TIME, &[]),
        behind(CERTIFICATES_BY_ACCOUNT, row.account.as_bytes()),
        behind(CERTIFICATES_BY_KEY, &row.key_thumbprint),
    ]
    .into_iter()
    .chain(names.map(|prefix| behind(CERTIFICATES_BY_NAME, &prefix)))
    .collect()
}

/// A range of keys.
struct Span {
    table: Table,
    from: Vec<u8>,
    to: Option<Vec<u8>>,
    front: Front,
}

/// What stands in front of the time.
enum Front {
    /// So many bytes, the same in all keys.
    Same(usize),
    /// A name that begins with this, up to the first zero byte: the time has to be looked at key by key.
    Names(Vec<u8>),
}

impl CertificateIndex {
    fn span(&self, issued: IssuedBetween) -> Span {
        let (table, prefix) = match self {
            Self::Time => (CERTIFICATES_BY_TIME, Vec::new()),
            Self::Account(id) => (CERTIFICATES_BY_ACCOUNT, id.as_bytes().to_vec()),
            Self::Key(thumbprint) => (CERTIFICATES_BY_KEY, thumbprint.to_vec()),
            Self::Name(host) => (CERTIFICATES_BY_NAME, host_prefix(host)),
            Self::Below(name) => {
                let from = format!("{}.", reversed(name)).into_bytes();
                let (to, front) = (end_of(&from), Front::Names(from.clone()));
                return Span { table: CERTIFICATES_BY_NAME, from, to, front };
            }
        };
        let at = |time: Timestamp| [prefix.as_slice(), &time.unix_ms().to_be_bytes()].concat();
        Span {
            table,
            from: issued.from.map_or_else(|| prefix.clone(), at),
            to: issued.until.map_or_else(|| end_of(&prefix), |until| Some(at(until))),
            front: Front::Same(prefix.len()),
        }
    }
}

impl Store {
    /// Certificates that the index leads to, issued in the span, from `after` on (a page's `next`); at most `limit`
    /// keys are looked at, so that a page may hold fewer, or none, before the end.
    ///
    /// # Errors
    /// [`Error`] if the engine fails.
    pub fn certificates_find(
        &self,
        index: &CertificateIndex,
        issued: IssuedBetween,
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<CertificatePage, Error> {
        let span = index.span(issued);
        let from = match after {
            // A place from another search must not lead out of this one.
            Some(after) if after >= span.from.as_slice() => [after, &[0]].concat(),
            _ => span.from,
        };
        let rows = read_range(self.engine(), span.table, &from, span.to.as_deref(), limit)?;
        let bad = || Error::Row("an index of certificates", "a key names no certificate".into());
        let mut page = CertificatePage::default();
        if rows.len() == limit {
            page.next = rows.last().map(|(key, _)| key.clone());
        }
        for (key, _) in rows {
            let prefix = match &span.front {
                Front::Same(prefix) => *prefix,
                Front::Names(_) => key.iter().position(|byte| *byte == 0).ok_or_else(bad)? + 1,
            };
            let (name, rest) = key.split_at_checked(prefix).ok_or_else(bad)?;
            let (time, certificate) = rest.split_first_chunk::<TIME_BYTES>().ok_or_else(bad)?;
            let time = Timestamp::from_unix_ms(u64::from_be_bytes(*time));
            let within =
                issued.from.is_none_or(|from| time >= from) && issued.until.is_none_or(|until| time < until);
            if !within {
                continue;
            }
            let (issuer, serial) = certificate_of(certificate).ok_or_else(bad)?;
            let is_first = match &span.front {
                Front::Same(_) => true,
                Front::Names(below) => self.is_first_name(&issuer, &serial, below, name)?,
            };
            if is_first {
                page.found.push((issuer, serial));
            }
        }
        Ok(page)
    }

    /// The certificates that were signed last, the newest first, at most `limit`.
    ///
    /// # Errors
    /// [`Error`] if the engine fails.
    pub fn certificates_latest(&self, limit: usize) -> Result<Vec<(IssuerName, Serial)>, Error> {
        let bad = || Error::Row("an index of certificates", "a key names no certificate".into());
        let rows = read_range_last(self.engine(), CERTIFICATES_BY_TIME, &[], None, limit)?;
        rows.iter().map(|(key, _)| key.get(TIME_BYTES..).and_then(certificate_of).ok_or_else(bad)).collect()
    }

    /// Whether no earlier name of the certificate's begins with `below` than this one.
    fn is_first_name(
        &self,
        issuer: &IssuerName,
        serial: &Serial,
        below: &[u8],
        name: &[u8],
    ) -> Result<bool, Error> {
        let Some(row) = self.certificate_by_serial(issuer, serial)? else { return Ok(false) };
        let identifiers = self.order_by_id(row.order)?.map(|order| order.identifiers).unwrap_or_default();
        let names = identifiers.iter().flat_map(name_prefixes).filter(|name| name.starts_with(below));
        Ok(names.min().is_none_or(|first| first == name))
    }
}
