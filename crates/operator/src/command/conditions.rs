//! Conditions by which certificates are looked for, and the selections that are made of them.

use std::path::PathBuf;

use ingam_protocol::{Serial, Timestamp};

use super::call::Call;
use super::failure::Failure;
use super::serials::{parse_serial, read_file};
use super::when::When;
use crate::api::Selection;
use crate::client::Target;

/// How many serial numbers go into one selection.
const SELECTION_SERIALS_MAX: usize = 10_000;

/// What a certificate is known by. All that are given have to hold.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct Conditions {
    /// Ordered by this account
    #[arg(long, value_name = "ID", help_heading = "Conditions", allow_hyphen_values = true)]
    account: Option<String>,
    /// With the key of this thumbprint (RFC 7638, base64url)
    #[arg(long, value_name = "THUMBPRINT", help_heading = "Conditions", allow_hyphen_values = true)]
    key: Option<String>,
    /// For this name, itself or as a wildcard's base
    #[arg(long, value_name = "NAME", help_heading = "Conditions")]
    name: Option<String>,
    /// For any name below this one
    #[arg(long, value_name = "NAME", help_heading = "Conditions")]
    below: Option<String>,
    /// By this issuer, by its name inside the CA
    #[arg(long, value_name = "ISSUER", help_heading = "Conditions")]
    issuer: Option<String>,
    /// Signed at this time or later: 2026-11-21T10:00:00Z, 2026-11-21, or an age as 2h or 7d
    #[arg(long, value_name = "TIME", help_heading = "Conditions")]
    issued_from: Option<When>,
    /// Signed before this time
    #[arg(long, value_name = "TIME", help_heading = "Conditions")]
    issued_until: Option<When>,
}

impl Conditions {
    /// Whether nothing is asked for.
    pub(crate) fn are_empty(&self) -> bool {
        let Self { account, key, name, below, issuer, issued_from, issued_until } = self;
        [account, key, name, below, issuer].into_iter().all(Option::is_none)
            && issued_from.is_none()
            && issued_until.is_none()
    }

    /// A target that asks for them.
    pub(crate) fn query(&self, target: Target, now: Timestamp) -> Target {
        target
            .with("account", self.account.as_deref())
            .with("key", self.key.as_deref())
            .with("name", self.name.as_deref())
            .with("below", self.below.as_deref())
            .with("issuer", self.issuer.as_deref())
            .with("issued_from", self.issued_from.map(|when| when.text(now)).as_deref())
            .with("issued_until", self.issued_until.map(|when| when.text(now)).as_deref())
    }

    fn selection(&self, now: Timestamp) -> Selection {
        Selection {
            serials: Vec::new(),
            account: self.account.clone(),
            key: self.key.clone(),
            name: self.name.clone(),
            below: self.below.clone(),
            issued_from: self.issued_from.map(|when| when.text(now)),
            issued_until: self.issued_until.map(|when| when.text(now)),
            issuer: self.issuer.clone(),
            incident: None,
        }
    }
}

/// Certificates that are named one by one.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct Listed {
    /// With this serial number, hexadecimal; can be given many times
    #[arg(long = "serial", value_name = "SERIAL", value_parser = parse_serial, help_heading = "Conditions")]
    serials: Vec<Serial>,
    /// In this file: a serial number on each line, with comments behind #, or PEM certificates; - is standard input
    #[arg(long, value_name = "FILE", help_heading = "Conditions")]
    file: Option<PathBuf>,
}

impl Listed {
    /// The serial numbers that were typed and those of the file, each once.
    pub(crate) fn serials(&self, call: &mut Call) -> Result<Vec<String>, Failure> {
        let mut serials = self.serials.clone();
        if let Some(path) = &self.file {
            let found = read_file(path).map_err(Failure::Usage)?;
            if found.authorities > 0 {
                call.terminal.note(&format!(
                    "{} also holds certificates of CAs ({}): they are passed over",
                    path.display(),
                    found.authorities
                ));
            }
            serials.extend(found.serials);
        }
        let mut known = std::collections::HashSet::new();
        Ok(serials
            .into_iter()
            .filter(|serial| known.insert(serial.clone()))
            .map(|serial| serial.to_string())
            .collect())
    }

    pub(crate) fn are_empty(&self) -> bool {
        self.serials.is_empty() && self.file.is_none()
    }
}

/// Which certificates an act is about.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct Chosen {
    #[command(flatten)]
    listed: Listed,
    #[command(flatten)]
    conditions: Conditions,
    /// Gathered in this incident
    #[arg(long, value_name = "NAME", help_heading = "Conditions")]
    incident: Option<String>,
}

impl Chosen {
    /// Whether nothing is chosen.
    pub(crate) fn is_empty(&self) -> bool {
        self.listed.are_empty() && self.conditions.are_empty() && self.incident.is_none()
    }

    /// The same as the API says it.
    pub(crate) fn selection(&self, call: &mut Call) -> Result<Selection, Failure> {
        let serials = self.listed.serials(call)?;
        if serials.len() > SELECTION_SERIALS_MAX {
            return Err(Failure::Usage(format!(
                "{} serial numbers are too many for one selection: put them into an incident first (`ingam admin incident \
                 open NAME`, `ingam admin incident add NAME --file FILE`), then choose that with --incident NAME",
                serials.len()
            )));
        }
        let now = call.clock.now();
        Ok(Selection { serials, incident: self.incident.clone(), ..self.conditions.selection(now) })
    }
}
