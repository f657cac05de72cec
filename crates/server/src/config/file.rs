//! From a file to a [`Config`] and everything that is wrong with it.
//!
//! A value that cannot be read is taken out and the rest read on, with the default in its place; rules then say nothing
//! about that key. So a file with ten mistakes gets ten findings, and none that follows from another.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{ErrorKind, Read as _};
use std::path::{Path, PathBuf};

use ingam_protocol::finding::{Level, covers, dotted};
use ingam_protocol::{Finding, Findings, Timestamp};
use serde::de::DeserializeOwned;
use toml::de::DeTable;
use toml::{Table, Value};

use super::value::{self, Kind, Mistake, Step, key_of, take_out, value_at};
use super::{Config, ConfigError, DEVELOPMENT, advice, perspective, responder, rules, signer};

/// No configuration is larger.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// After so many values that cannot be read, the file is something else.
const MISTAKES_MAX: usize = 64;

/// How alike an unknown key and a known one are, from 0 to 1, for the one to be meant by the other.
const LIKENESS_MIN: f64 = 0.85;

/// The file that shows every key of a configuration.
const EXAMPLE: &str = "config/server.toml";

/// How much of a value a finding shows.
const SHOWN_CHARACTERS: usize = 60;

/// What a process is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Role {
    /// A whole CA
    #[default]
    All,
    /// A perspective for CAs elsewhere, and nothing else
    Perspective,
    /// The signer of a CA, with its keys and its ledger, and nothing else
    Signer,
    /// A responder that answers from what a CA elsewhere has signed in advance, and nothing else
    Responder,
}

/// A configuration as it was read, and what was found so far.
pub(crate) struct Reading {
    /// What could be read, with defaults for the rest.
    pub(crate) config: Config,
    /// What is wrong with it.
    pub(crate) found: Findings,
    /// The operator's file, if there is one.
    path: Option<PathBuf>,
    lines: Lines,
    role: Role,
}

impl Reading {
    /// Reads the file for `ingam init` and `ingam serve`.
    ///
    /// # Errors
    /// [`ConfigError`] if the file itself cannot be read.
    pub(crate) fn of_file(path: &Path) -> Result<Self, ConfigError> {
        let hint = format!("; if this is to be a new CA, `ingam init --config {}` makes it", path.display());
        Ok(Self { path: Some(path.to_owned()), ..Self::of_text(Table::new(), &read_file(path, &hint)?) })
    }

    /// Reads the file for `ingam dev`, if there is one, over what is built in.
    ///
    /// # Errors
    /// [`ConfigError`] if the file itself cannot be read.
    pub(crate) fn of_development(path: Option<&Path>) -> Result<Self, ConfigError> {
        let base: Table = toml::from_str(DEVELOPMENT).map_err(|error| ConfigError::new(error.to_string()))?;
        let Some(path) = path else { return Ok(Self::of_text(base, "")) };
        Ok(Self { path: Some(path.to_owned()), ..Self::of_text(base, &read_file(path, "")?) })
    }

    /// Lays a text over `base` and reads the whole.
    pub(crate) fn of_text(mut base: Table, text: &str) -> Self {
        let mut found = Findings::new();
        let (config, lines) = match (toml::from_str::<Table>(text), DeTable::parse(text)) {
            (Ok(mut over), Ok(marked)) => {
                rename_old(&mut over);
                lay_over(&mut base, over);
                (read_all(base, EXAMPLE, &mut found), Lines::of(text, marked.get_ref()))
            }
            (Err(error), _) | (_, Err(error)) => {
                found.push(no_toml(text, &error));
                found.silence("");
                (Config::default(), Lines::default())
            }
        };
        Self { config, found, path: None, lines, role: Role::All }
    }

    /// The same, to be held against the rules for this role.
    pub(crate) fn for_role(self, role: Role) -> Self {
        Self { role, ..self }
    }

    /// Holds it against every rule that needs nothing but the configuration and the time.
    pub(crate) fn examine(&mut self, now: Timestamp) {
        if self.role == Role::Perspective {
            let keys = self.lines.0.keys().map(String::as_str);
            perspective::check(&self.config, keys, &mut self.found);
            return;
        }
        if self.role == Role::Responder {
            let keys = self.lines.0.keys().map(String::as_str);
            responder::check(&self.config, keys, &mut self.found);
            return;
        }
        rules::check(&self.config, &mut self.found);
        if self.role == Role::Signer {
            signer::check_process(&self.config, &mut self.found);
            return;
        }
        advice::check(&self.config, now, &mut self.found);
    }

    /// Everything that was found, errors first, each with its line and in the order of lines.
    pub(crate) fn into_findings(self) -> Vec<Finding> {
        let mut found: Vec<Finding> = self.found.into_iter().collect();
        for finding in &mut found {
            finding.line = finding.line.or_else(|| self.lines.of_key(&finding.key));
        }
        found.sort_by_key(|finding| (finding.level, finding.line.unwrap_or(usize::MAX)));
        found
    }

    /// The configuration, for a start: warnings go to the log, once it is good.
    ///
    /// # Errors
    /// [`ConfigError`] has a line for each error.
    pub(crate) fn checked(mut self, now: Timestamp) -> Result<Config, ConfigError> {
        self.examine(now);
        let config = self.config.clone();
        let file = match &self.path {
            Some(path) => format!("the configuration {}", path.display()),
            None => "the built-in configuration".to_owned(),
        };
        let found = self.into_findings();
        let errors = found.iter().filter(|finding| finding.level == Level::Error);
        let sentences: Vec<String> = errors.map(|finding| sentence(&file, finding)).collect();
        if !sentences.is_empty() {
            return Err(ConfigError::new(sentences.join("\n")));
        }
        for Finding { key, reason, fix, .. } in &found {
            tracing::warn!(key, reason, fix, "the configuration has what is allowed, and unwise");
        }
        Ok(config)
    }
}

/// A file of another kind, read as a configuration is: with everything that is wrong with it.
pub(crate) struct OtherFile<T> {
    /// What could be read, with defaults for the rest.
    pub(crate) value: T,
    /// What is wrong with it.
    pub(crate) found: Findings,
    lines: Lines,
}

impl<T: DeserializeOwned + Default> OtherFile<T> {
    /// Reads a text; `example` names the file that shows its keys.
    pub(crate) fn of_text(text: &str, example: &str) -> Self {
        let mut found = Findings::new();
        match (toml::from_str::<Table>(text), DeTable::parse(text)) {
            (Ok(table), Ok(marked)) => {
                let value = read_all(table, example, &mut found);
                Self { value, found, lines: Lines::of(text, marked.get_ref()) }
            }
            (Err(error), _) | (_, Err(error)) => {
                found.push(no_toml(text, &error));
                found.silence("");
                Self { value: T::default(), found, lines: Lines::default() }
            }
        }
    }

    /// A sentence for each finding of this level, in the order of lines.
    pub(crate) fn sentences(&self, file: &str, found: &Findings, level: Level) -> Vec<String> {
        let mut told: Vec<Finding> = found.iter().filter(|finding| finding.level == level).cloned().collect();
        for finding in &mut told {
            finding.line = finding.line.or_else(|| self.lines.of_key(&finding.key));
        }
        told.sort_by_key(|finding| finding.line.unwrap_or(usize::MAX));
        told.iter().map(|finding| sentence(file, finding)).collect()
    }
}

fn sentence(file: &str, finding: &Finding) -> String {
    let mut sentence = format!("{file}: {finding}");
    if let Some(line) = finding.line {
        // Writing to a string does not fail.
        let _ = write!(sentence, " (line {line})");
    }
    sentence
}

/// `hint`: what to do if there is no such file.
fn read_file(path: &Path, hint: &str) -> Result<String, ConfigError> {
    let unreadable =
        |why: String| ConfigError::new(format!("the configuration {} cannot be read: {why}", path.display()));
    let mut text = String::new();
    let file = File::open(path).map_err(|error| match error.kind() {
        ErrorKind::NotFound => unreadable(format!("{error}{hint}")),
        _ => unreadable(error.to_string()),
    })?;
    file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text).map_err(|error| unreadable(error.to_string()))?;
    if u64::try_from(text.len()).unwrap_or(u64::MAX) > FILE_BYTES_MAX {
        return Err(unreadable("it has more than a mebibyte, as no configuration has".to_owned()));
    }
    Ok(text)
}

/// Old names of keys become those that the file below has, so that they meet.
fn rename_old(over: &mut Table) {
    if let Some(Value::Table(urls)) = over.get_mut("urls")
        && !urls.contains_key("public_url")
        && let Some(url) = urls.remove("acme")
    {
        urls.insert("public_url".to_owned(), url);
    }
}

/// Values of `over` win; tables are merged.
fn lay_over(base: &mut Table, over: Table) {
    for (key, value) in over {
        match (base.get_mut(&key), value) {
            (Some(Value::Table(below)), Value::Table(above)) => lay_over(below, above),
            (_, value) => {
                base.insert(key, value);
            }
        }
    }
}

fn no_toml(text: &str, error: &toml::de::Error) -> Finding {
    let offset = error.span().map_or(0, |span| span.start);
    let before = text.get(..offset).unwrap_or(text);
    let (above, begun) = before.rsplit_once('\n').unwrap_or(("", before));
    let line = if before.contains('\n') { above.matches('\n').count() + 2 } else { 1 };
    let column = begun.chars().count() + 1;
    let why = error.message().trim().replace('\n', ", ");
    let reason = format!("line {line}, column {column} is no TOML: {why}");
    Finding { line: Some(line), ..Finding::error("", reason, "mend it; nothing else was looked at") }
}

/// Reads the table as often as it takes until nothing is left that cannot be read.
fn read_all<T: DeserializeOwned + Default>(mut table: Table, example: &str, found: &mut Findings) -> T {
    let mut settled = Vec::new();
    let mut outcome = None;
    for _ in 0..MISTAKES_MAX {
        match value::read::<T>(&table) {
            Ok(read) => {
                outcome = Some(read);
                break;
            }
            Err(mistake) => {
                found.push(finding_of(&mistake, &table, example, &mut settled));
                take_out(&mut table, &mistake.path());
                if mistake.path().is_empty() {
                    table.clear();
                }
            }
        }
    }
    if outcome.is_none() {
        let fix = "mend these, and look again: nothing else was looked at";
        found.error("", format!("has more than {MISTAKES_MAX} values that cannot be read"), fix);
        settled.push(String::new());
    }
    for key in settled {
        found.silence(key);
    }
    outcome.unwrap_or_default()
}

/// One mistake in words; `settled` gets the keys about which there is nothing more to say.
fn finding_of(mistake: &Mistake, table: &Table, example: &str, settled: &mut Vec<String>) -> Finding {
    let path = mistake.path();
    let (last, above) = match path.split_last() {
        Some((Step::Key(last), above)) => (last.as_str(), above),
        Some((Step::Index(_), above)) => ("", above),
        None => ("", path.as_slice()),
    };
    // A value in a list goes by the list's key: the next one may have slid into its place.
    let key = if matches!(path.last(), Some(Step::Index(_))) { key_of(above) } else { key_of(&path) };
    let value = value_at(table, &path).map_or_else(|| "nothing".to_owned(), shown);
    let verb = if matches!(path.last(), Some(Step::Index(_))) { "has" } else { "is" };
    settled.push(key.clone());
    match &mistake.kind {
        Kind::UnknownKey(known) => {
            let place = if above.is_empty() { "here".to_owned() } else { format!("in [{}]", key_of(above)) };
            let fix = match nearest(last, known) {
                Some(meant) => {
                    settled.push(dotted(&key_of(above), meant));
                    format!("write {meant}, if that is meant, or remove it")
                }
                None => format!("remove it; what there is: {}", known.join(", ")),
            };
            Finding::error(key, format!("is no key {place}"), fix)
        }
        Kind::MissingKey(field) => {
            Finding::error(dotted(&key, field), "is missing", format!("add it, as {example} shows"))
        }
        Kind::Choice(known) => {
            let quoted: Vec<String> = known.iter().map(|name| format!("{name:?}")).collect();
            Finding::error(key, format!("{verb} {value}"), format!("give one of {}", quoted.join(", ")))
        }
        Kind::Expected(what) => {
            Finding::error(key, format!("{verb} {value}"), format!("give {}", in_words(what)))
        }
        Kind::Other(why) if why.contains("socket address") => {
            let fix = "give an IP address and a port, as in \"127.0.0.1:443\" or \"[::1]:443\"";
            Finding::error(key, format!("{verb} {value}, which is no address with a port"), fix)
        }
        Kind::Other(why) => {
            Finding::error(key, format!("{verb} {value}: {why}"), format!("see what {example} says about it"))
        }
    }
}

/// The known key that was meant, if one is close.
fn nearest(key: &str, known: &'static [&'static str]) -> Option<&'static str> {
    let likeness = |name: &&'static str| (strsim::jaro_winkler(key, name), *name);
    let best = known.iter().map(likeness).max_by(|one, other| one.0.total_cmp(&other.0))?;
    (best.0 >= LIKENESS_MIN).then_some(best.1)
}

/// A value as the operator would know it again.
fn shown(value: &Value) -> String {
    let text = match value {
        Value::String(text) => format!("{text:?}"),
        Value::Array(_) => "a list".to_owned(),
        Value::Table(_) => "a table".to_owned(),
        other => other.to_string(),
    };
    if text.chars().count() <= SHOWN_CHARACTERS {
        return text;
    }
    let cut: String = text.chars().take(SHOWN_CHARACTERS).collect();
    format!("{cut}…")
}

/// What serde expects, in words for people.
fn in_words(expected: &str) -> &str {
    match expected {
        "u8" => "a whole number from 0 to 255",
        "u16" => "a whole number from 0 to 65535",
        "u32" => "a whole number from 0 to 4294967295",
        "u64" | "usize" => "a whole number, 0 or more",
        "a string" => "text in quotes",
        "path string" => "a path in quotes",
        "a boolean" => "true or false",
        "a sequence" => "a list in brackets",
        "socket address" => "an IP address and a port, as in \"127.0.0.1:443\" or \"[::1]:443\"",
        "a map" => "a table",
        other => other,
    }
}

/// Which key stands in which line.
#[derive(Default)]
struct Lines(BTreeMap<String, usize>);

impl Lines {
    fn of(text: &str, table: &DeTable<'_>) -> Self {
        let ends: Vec<usize> = text.match_indices('\n').map(|(offset, _)| offset).collect();
        let mut lines = Self::default();
        lines.add(&ends, "", table);
        lines
    }

    /// The parser limits how deep tables lie in each other.
    fn add(&mut self, ends: &[usize], above: &str, table: &DeTable<'_>) {
        for (key, value) in table {
            let line = ends.partition_point(|end| *end < key.span().start) + 1;
            let own = dotted(above, key.get_ref());
            if let Some(inner) = value.get_ref().as_table() {
                self.add(ends, &own, inner);
            }
            self.0.insert(own, line);
        }
    }

    /// The line of the key, or of the nearest table above it.
    fn of_key(&self, key: &str) -> Option<usize> {
        let above = self.0.iter().filter(|(above, _)| covers(above, key));
        above.max_by_key(|(above, _)| above.len()).map(|(_, line)| *line)
    }
}

#[cfg(test)]
mod tests;
