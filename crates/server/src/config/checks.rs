//! What keys and certificates are held against beyond their own form: lists of weak keys, and outside linters.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ingam_authority::linter::{
    Command, Linter, LinterRules, Linters, OnFailure, OutsideLinter, Pkilint, Pkimetal, Server, Severity,
};
use ingam_protocol::Findings;
use ingam_protocol::finding::dotted;
use ingam_protocol::key::weak_list::WeakKeys;
use ingam_protocol::profile::ProfileName;
use serde::{Deserialize, Serialize};

use super::{Config, ConfigError, Environment};

/// At most this many linters.
const LINTERS_MAX: usize = 8;

/// An outside linter. `name`, `kind`, and `url` or `command` are needed.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct LinterConfig {
    /// What profiles, metrics and records call it.
    pub(crate) name: String,
    /// How it is asked: `pkilint` (its REST server), `pkimetal`, or `command` (a program that speaks as zlint does).
    pub(crate) kind: Option<LinterKind>,
    /// Where a server is asked, over http: `http://127.0.0.1:8000/certificate/cabf-serverauth` for pkilint,
    /// `http://127.0.0.1:8080/lintcert` for pkimetal.
    pub(crate) url: Option<String>,
    /// The program with its whole path, and its arguments.
    pub(crate) command: Vec<String>,
    /// From which severity on a finding stops a certificate: `info`, `notice`, `warning`, `error`, `fatal`.
    pub(crate) severity_min: Severity,
    /// How long it may take, in milliseconds.
    pub(crate) timeout_ms: u64,
    /// What becomes of a certificate if it says nothing: `refuse`, or `pass`.
    pub(crate) on_failure: OnFailure,
}

impl Default for LinterConfig {
    fn default() -> Self {
        Self {
            name: String::new(),
            kind: None,
            url: None,
            command: Vec::new(),
            severity_min: Severity::Warning,
            timeout_ms: 5000,
            on_failure: OnFailure::Refuse,
        }
    }
}

/// How a linter is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LinterKind {
    Pkilint,
    Pkimetal,
    Command,
}

impl LinterConfig {
    /// Who is asked, if all is there that it takes.
    fn linter(&self) -> Option<Arc<dyn Linter>> {
        let server = || Server::parse(self.url.as_deref()?);
        Some(match self.kind? {
            LinterKind::Pkilint => Arc::new(Pkilint::new(server()?)),
            LinterKind::Pkimetal => Arc::new(Pkimetal::new(server()?)),
            LinterKind::Command => {
                let (program, arguments) = self.command.split_first()?;
                Arc::new(Command::new(program.into(), arguments.to_vec()))
            }
        })
    }

    fn check(&self, found: &mut Findings) {
        let key = |key: &str| format!("issuance.linters.{key}");
        let is_name = (1..=32).contains(&self.name.len())
            && self
                .name
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
        let fix = "use 1 to 32 lower-case letters, digits and hyphens";
        found.require(is_name, key("name"), format!("is {:?}", self.name), fix);
        found.between(key("timeout_ms"), self.timeout_ms, 100..=60_000);
        let Some(kind) = self.kind else {
            return found.error(key("kind"), "is missing", "write pkilint, pkimetal or command");
        };
        let is_program = kind == LinterKind::Command;
        let needs = |what: &str, other: &str| format!("give it {what}, and leave {other} out");
        if is_program {
            let is_path = self.command.first().is_some_and(|program| Path::new(program).is_absolute());
            let fix = needs("as the program's whole path and its arguments", "url");
            found.require(is_path && self.url.is_none(), key("command"), "is no program alone", fix);
        } else {
            let is_url = self.url.as_deref().and_then(Server::parse).is_some();
            let reason = "is no http URL alone; linters run beside the CA, and are asked without TLS";
            let fix = needs("as in http://127.0.0.1:8000/certificate/cabf-serverauth", "command");
            found.require(is_url && self.command.is_empty(), key("url"), reason, fix);
        }
    }
}

/// The rules about linters.
pub(super) fn check(config: &Config, found: &mut Findings) {
    let linters = &config.issuance.linters;
    let fix = format!("keep {LINTERS_MAX} at most");
    found.require(linters.len() <= LINTERS_MAX, "issuance.linters", format!("has {}", linters.len()), fix);
    let mut names = BTreeSet::new();
    for linter in linters.iter().take(LINTERS_MAX) {
        linter.check(found);
        let reason = format!("has {:?} twice", linter.name);
        found.require(
            names.insert(&linter.name),
            "issuance.linters.name",
            reason,
            "give each a name of its own",
        );
    }
    for (name, profile) in &config.profiles {
        for linter in profile.linters.iter().filter(|linter| !names.contains(linter)) {
            if found.is_whole("issuance.linters") {
                let key = format!("{}.linters", dotted("profiles", name));
                let fix = "name what [[issuance.linters]] has, or add it there";
                found.error(key, format!("has {linter:?}, which is no linter"), fix);
            }
        }
    }
}

/// What is allowed, and unwise.
pub(super) fn advise(config: &Config, found: &mut Findings) {
    let is_public = config.profiles.values().any(|profile| profile.public);
    if config.environment == Environment::Production && is_public && config.issuance.weak_key_lists.is_empty()
    {
        found.warning(
            "issuance.weak_key_lists",
            "is empty: for the public, keys of Debian's broken OpenSSL (CVE-2008-0166) have to be refused (BR 6.1.1.3)",
            "fetch the public lists, and name their files there: docs/operations/keys-refused.md",
        );
    }
}

impl Config {
    /// Keys that everybody can have. Reads the operator's lists, which may be long.
    ///
    /// # Errors
    /// [`ConfigError`] if one cannot be read, or is none.
    pub(crate) fn weak_keys(&self) -> Result<WeakKeys, ConfigError> {
        let failed = |path: &PathBuf, why: &dyn fmt::Display| {
            ConfigError::new(format!(
                "issuance.weak_key_lists has {}, which cannot be used: {why}; docs/operations/keys-refused.md has the formats",
                path.display()
            ))
        };
        let mut lists = Vec::new();
        for path in &self.issuance.weak_key_lists {
            lists.push((path, bytes_of(path).map_err(|error| failed(path, &error))?));
        }
        WeakKeys::read(lists).map_err(|(path, bad)| failed(path, &bad))
    }

    /// Which linters certificates of each profile are shown to.
    ///
    /// # Errors
    /// [`ConfigError`] for what [`check`] would have found.
    pub(crate) fn linters(&self) -> Result<Linters, ConfigError> {
        let mut by_name = BTreeMap::new();
        for settings in &self.issuance.linters {
            let linter = settings.linter().ok_or_else(|| {
                ConfigError::new(format!("issuance.linters has {:?}, which cannot be asked", settings.name))
            })?;
            let rules = LinterRules {
                name: settings.name.clone(),
                severity_min: settings.severity_min,
                time: Duration::from_millis(settings.timeout_ms),
                on_failure: settings.on_failure,
            };
            by_name.insert(&settings.name, Arc::new(OutsideLinter::new(linter, rules)));
        }
        let mut by_profile = BTreeMap::new();
        for (name, profile) in self.profiles.iter().filter(|(_, profile)| !profile.linters.is_empty()) {
            let unknown = || ConfigError::new(format!("profiles.{name}.linters names what is no linter"));
            let linters: Option<Vec<_>> =
                profile.linters.iter().map(|linter| by_name.get(linter).cloned()).collect();
            let name = ProfileName::try_from(name.clone()).map_err(|_| unknown())?;
            by_profile.insert(name, linters.ok_or_else(unknown)?);
        }
        Ok(Linters::new(by_profile))
    }
}

/// A file's bytes, unless it has more than a list may have.
fn bytes_of(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = File::open(path)?.take(WeakKeys::LIST_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if u64::try_from(read).is_ok_and(|read| read <= WeakKeys::LIST_BYTES_MAX) {
        return Ok(bytes);
    }
    Err(std::io::Error::other(format!("it has more than {} bytes", WeakKeys::LIST_BYTES_MAX)))
}

#[cfg(test)]
mod tests;
