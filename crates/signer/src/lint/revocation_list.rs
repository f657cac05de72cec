//! The lint of a CRL that a ceremony makes: complete for its issuer (RFC 5280, section 5; BR 7.2).

use ingam_protocol::crl::RevocationList;
use x509_parser::extensions::ParsedExtension;
use x509_parser::prelude::{AlgorithmIdentifier, FromDer};
use x509_parser::revocation_list::CertificateRevocationList;

use super::{Finding, Verdict, der, moment, require};

/// BR 4.9.7: twelve months.
const VALIDITY_S_MAX: u64 = 366 * 24 * 60 * 60;

/// Holds a whole CRL, signed by whatever key, against every rule, and against what was asked for.
///
/// # Errors
/// `NAME: …` for the first rule that is broken.
pub(crate) fn revocation_list(whole: &[u8], wanted: &RevocationList) -> Result<(), String> {
    judge(whole, wanted).map_err(|Finding { rule, found }| format!("lint {rule}: {found}"))
}

fn judge(whole: &[u8], wanted: &RevocationList) -> Verdict {
    der::check(whole)?;
    let parsed = match CertificateRevocationList::from_der(whole) {
        Ok(([], parsed)) => parsed,
        Ok(_) => return Err(Finding::new("parse", "bytes follow the CRL")),
        Err(error) => return Err(Finding::new("parse", error.to_string())),
    };
    require("version", parsed.version().is_some_and(|version| version.0 == 1), "not version 2")?;
    let same = match AlgorithmIdentifier::from_der(&wanted.signature_algorithm) {
        Ok((_, algorithm)) => {
            parsed.tbs_cert_list.signature == algorithm && parsed.signature_algorithm == algorithm
        }
        Err(_) => false,
    };
    require("signature_algorithm", same, "not the signature algorithm of the issuer's key (BR 7.1.3.2)")?;
    require(
        "issuer_name",
        parsed.issuer().as_raw() == wanted.issuer,
        "not the issuer's subject, byte for byte",
    )?;
    dates(&parsed, wanted)?;
    entries(&parsed, wanted)?;
    let mut found = 0;
    for extension in parsed.extensions() {
        require("extension_critical", !extension.critical, "an extension is critical that must not be")?;
        match extension.parsed_extension() {
            ParsedExtension::CRLNumber(number) => {
                let same = *number == wanted.number.into();
                require("crl_number", same, "not the number that was asked for (RFC 5280, section 5.2.3)")?;
            }
            ParsedExtension::AuthorityKeyIdentifier(identifier) => {
                let key = identifier.key_identifier.as_ref().map(|key| key.0);
                let same = key == Some(wanted.authority_key_id.as_slice());
                require("authority_key_identifier", same, "not the issuer's key identifier")?;
            }
            _ => {
                return Err(Finding::new(
                    "extension_unknown",
                    format!("{} does not belong here", extension.oid),
                ));
            }
        }
        found += 1;
    }
    require("extension_missing", found == 2, "cRLNumber or authorityKeyIdentifier is missing, or there twice")
}

fn dates(parsed: &CertificateRevocationList<'_>, wanted: &RevocationList) -> Verdict {
    let this_update = moment(&parsed.last_update())?;
    let next_update = parsed.next_update().ok_or_else(|| Finding::new("next_update", "is missing"))?;
    let next_update = moment(&next_update)?;
    let same = (this_update, next_update) == (wanted.this_update, wanted.next_update);
    require("dates_equal", same, "the dates are not those that were asked for")?;
    let lasts_s = next_update.unix_s().checked_sub(this_update.unix_s());
    let fits = lasts_s.is_some_and(|lasts_s| (1..=VALIDITY_S_MAX).contains(&lasts_s));
    require("next_update", fits, "nextUpdate is not within twelve months of thisUpdate (BR 4.9.7)")
}

fn entries(parsed: &CertificateRevocationList<'_>, wanted: &RevocationList) -> Verdict {
    let mut serials = Vec::new();
    for (entry, wanted) in parsed.iter_revoked_certificates().zip(&wanted.entries) {
        let same = ingam_protocol::Serial::from_be_bytes(entry.raw_serial()).as_ref() == Some(&wanted.serial);
        require("entry_serial", same, "an entry's serial number is not the one that was asked for")?;
        require(
            "entry_date",
            moment(&entry.revocation_date)? == wanted.revoked_at,
            "an entry's date is another",
        )?;
        let reason = entry.reason_code().map(|(critical, reason)| (critical, reason.0));
        let fits = reason == Some((false, wanted.reason.number()));
        require("entry_reason", fits, "an entry of a CA's certificate has no reason, or another (BR 7.2.2)")?;
        require("entry_twice", !serials.contains(&wanted.serial), "an entry is there twice")?;
        serials.push(wanted.serial.clone());
    }
    let count = parsed.iter_revoked_certificates().count();
    require("entries", count == wanted.entries.len(), "entries are missing, or too many")
}
