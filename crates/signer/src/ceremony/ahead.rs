//! What a ceremony's file is held against before anybody is asked for a passphrase: the certificate and the request that it
//! names. So mistakes that only those show are told with all others.

use std::path::{Path, PathBuf};
use std::time::Duration;

use ingam_protocol::{Findings, Timestamp};

use super::contents;
use super::file::{File, Kind};
use super::material::{Authority, ISSUER, REQUEST, noted, request_in};
use super::plan::{DAY, moment};

/// Looks at them. Paths in the file are relative to `folder`; what was found in the file itself is in `found`.
pub fn foresee(file: &File, folder: &Path, now: Timestamp, found: &mut Findings) {
    let Some(kind) = file.kind else { return };
    let path = |named: Option<&PathBuf>| {
        named.filter(|path| !path.as_os_str().is_empty()).map(|path| folder.join(path))
    };
    let asked = path(file.key.as_ref().and_then(|key| key.request.as_ref()));
    if let (Some(request), Some(subject)) = (asked, &file.subject)
        && found.is_sound("key.request")
        && found.is_whole("subject")
    {
        let name = contents::name(subject);
        noted(found, ("key.request", REQUEST), request_in(&request, &name));
    }
    let named = path(file.issuer.as_ref().and_then(|issuer| issuer.certificate.as_ref()));
    if let Some(path) = named.filter(|_| !matches!(kind, Kind::Root | Kind::Request))
        && let Some(issuer) = Authority::noted(found, ISSUER, &path)
    {
        issuer.is_valid(now, found);
        below(&issuer, file, now, found);
    }
}

/// What is certified fits below its issuer.
fn below(issuer: &Authority, file: &File, now: Timestamp, found: &mut Findings) {
    let Some(wanted) = &file.certificate else { return };
    let not_before = match &wanted.not_before {
        None => Some(now),
        Some(text) => moment(text),
    };
    let days = wanted.validity_days.filter(|_| found.is_sound("certificate.validity_days"));
    if let (Some(not_before), Some(days)) = (not_before.map(Timestamp::whole_second), days) {
        let validity = DAY.saturating_mul(days).saturating_sub(Duration::from_secs(1));
        issuer.outlives(not_before, not_before.plus(validity), found);
    }
    let is_ca = matches!(file.kind, Some(Kind::Intermediate | Kind::CrossCertificate));
    if is_ca && found.is_sound("certificate.path_length") {
        issuer.has_room(wanted.path_length, found);
    }
}
