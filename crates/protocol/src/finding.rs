//! What is wrong, or unwise, with what an operator set: every crate finds its own, `server` tells them all at once.
//!
//! A rule is one line: [`Findings::between`] for numbers, [`Findings::require`] for the rest. One mistake gives one
//! finding: what was found wrong already is silent about what follows from it.

use std::fmt;
use std::ops::RangeInclusive;

use serde::Serialize;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// It stops the start, or nobody could be served after it.
    Error,
    /// It is allowed, and unwise.
    Warning,
    /// It is as it may be, and other than some expect.
    Note,
}

/// One thing that the operator should change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How bad it is.
    pub level: Level,
    /// Which key, as a dotted path (`profiles.classic.validity_s`); empty for the file as a whole.
    pub key: String,
    /// What is wrong, as it goes on after the key: `is 0: too small`.
    pub reason: String,
    /// What to do about it.
    pub fix: String,
    /// The line in the file, from 1; of the nearest table for a key that is not there.
    pub line: Option<usize>,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        write!(f, "{}; {}", self.reason, self.fix)
    }
}

impl std::error::Error for Finding {}

impl Finding {
    /// What stops the start. Control characters, which come from values, are escaped: a finding is one line.
    pub fn error(key: impl Into<String>, reason: impl Into<String>, fix: impl Into<String>) -> Self {
        let (key, reason, fix) = (one_line(key.into()), one_line(reason.into()), one_line(fix.into()));
        Self { level: Level::Error, key, reason, fix, line: None }
    }

    /// What is allowed, and unwise.
    pub fn warning(key: impl Into<String>, reason: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { level: Level::Warning, ..Self::error(key, reason, fix) }
    }
}

fn one_line(text: String) -> String {
    if !text.contains(char::is_control) {
        return text;
    }
    let escaped = |character: char| match character.is_control() {
        true => character.escape_default().to_string(),
        false => character.to_string(),
    };
    text.chars().map(escaped).collect()
}

/// Everything that was found, in the order in which it was.
#[derive(Clone, Debug, Default)]
pub struct Findings {
    found: Vec<Finding>,
    /// Keys about which everything was said: nothing more is taken about them, or about what is below them.
    silent: Vec<String>,
}

impl Findings {
    /// Nothing found yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes a finding, unless its key is silent, or it is less than an error about a key that has one.
    pub fn push(&mut self, finding: Finding) {
        let is_news = match finding.level {
            Level::Error => !self.is_silent(&finding.key),
            Level::Warning | Level::Note => self.is_sound(&finding.key),
        };
        if is_news {
            self.found.push(finding);
        }
    }

    /// Takes an error about `key`.
    pub fn error(&mut self, key: impl Into<String>, reason: impl Into<String>, fix: impl Into<String>) {
        self.push(Finding::error(key, reason, fix));
    }

    /// Takes a warning about `key`.
    pub fn warning(&mut self, key: impl Into<String>, reason: impl Into<String>, fix: impl Into<String>) {
        self.push(Finding::warning(key, reason, fix));
    }

    /// Takes a note about `key`.
    pub fn note(&mut self, key: impl Into<String>, reason: impl Into<String>, fix: impl Into<String>) {
        self.push(Finding { level: Level::Note, ..Finding::error(key, reason, fix) });
    }

    /// An error about `key` unless `holds`.
    pub fn require(
        &mut self,
        holds: bool,
        key: impl Into<String>,
        reason: impl Into<String>,
        fix: impl Into<String>,
    ) {
        if !holds {
            self.error(key, reason, fix);
        }
    }

    /// An error about `key` unless its number lies in `bounds`, both included. Seconds and milliseconds, which the key
    /// ends with, are also told in larger units.
    pub fn between<N: TryInto<u64>>(
        &mut self,
        key: impl Into<String>,
        value: N,
        bounds: RangeInclusive<u64>,
    ) {
        let value = value.try_into().unwrap_or(u64::MAX);
        if bounds.contains(&value) {
            return;
        }
        let key = key.into();
        let how = if value < *bounds.start() { "small" } else { "large" };
        let (least, most) = (amount(&key, *bounds.start()), amount(&key, *bounds.end()));
        self.error(
            key,
            format!("is {value}: too {how}"),
            format!("set it to {least} at least and {most} at most"),
        );
    }

    /// Takes what was found in a part, whose keys lie below `prefix`.
    pub fn below(&mut self, prefix: &str, part: Self) {
        for finding in part.found {
            self.push(Finding { key: format!("{prefix}.{}", finding.key), ..finding });
        }
    }

    /// Takes nothing more about `key` and what is below it; the empty key is above all.
    pub fn silence(&mut self, key: impl Into<String>) {
        self.silent.push(key.into());
    }

    /// Whether nothing is known to be wrong with `key` or a table above it, so that rules may build on its value.
    pub fn is_sound(&self, key: &str) -> bool {
        let is_wrong = |finding: &Finding| finding.level == Level::Error && covers(&finding.key, key);
        !self.is_silent(key) && !self.found.iter().any(is_wrong)
    }

    /// Whether nothing is known to be wrong with `key`, above it or below it: so a table may be taken to hold all that the
    /// operator meant it to.
    pub fn is_whole(&self, key: &str) -> bool {
        let is_wrong = |finding: &Finding| finding.level == Level::Error && covers(key, &finding.key);
        let below = self.silent.iter().any(|silent| covers(key, silent)) || self.found.iter().any(is_wrong);
        !below && self.is_sound(key)
    }

    /// Whether everything about `key` was said: its value is a stand-in, and nothing follows from it.
    pub fn is_silent(&self, key: &str) -> bool {
        self.silent.iter().any(|silent| covers(silent, key))
    }

    /// What was found.
    pub fn iter(&self) -> impl Iterator<Item = &Finding> {
        self.found.iter()
    }

    /// How many there are of a level.
    pub fn count(&self, level: Level) -> usize {
        self.found.iter().filter(|finding| finding.level == level).count()
    }

    /// For whoever can only go on without errors.
    ///
    /// # Errors
    /// The first [`Finding`] that is one.
    pub fn into_result(self) -> Result<(), Finding> {
        self.found.into_iter().find(|finding| finding.level == Level::Error).map_or(Ok(()), Err)
    }
}

impl IntoIterator for Findings {
    type Item = Finding;
    type IntoIter = std::vec::IntoIter<Finding>;

    fn into_iter(self) -> Self::IntoIter {
        self.found.into_iter()
    }
}

/// Whether `key` is `above` or lies below it; the empty key is above all.
pub fn covers(above: &str, key: &str) -> bool {
    above.is_empty()
        || key.strip_prefix(above).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

/// The dotted path of `key` in the table `parent` (empty: the file itself); odd characters are put in quotes, as TOML
/// wants it.
pub fn dotted(parent: &str, key: &str) -> String {
    let is_bare = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    let is_plain = !key.is_empty() && key.bytes().all(is_bare);
    let own = if is_plain { key.to_owned() } else { format!("{key:?}") };
    if parent.is_empty() { own } else { format!("{parent}.{own}") }
}

/// A number of the unit that the key ends with, and in brackets the same in a larger one if that comes out even.
fn amount(key: &str, number: u64) -> String {
    const UNITS: [(u64, &str); 4] =
        [(24 * 60 * 60 * 1000, "day"), (60 * 60 * 1000, "hour"), (60 * 1000, "minute"), (1000, "second")];
    let (milliseconds, own) = if key.ends_with("_ms") {
        (Some(number), 1)
    } else if key.ends_with("_s") {
        (number.checked_mul(1000), 1000)
    } else {
        (None, 0)
    };
    let larger = milliseconds.filter(|milliseconds| *milliseconds > 0).and_then(|milliseconds| {
        let fits = |(unit, _): &&(u64, &str)| *unit > own && milliseconds.is_multiple_of(*unit);
        UNITS.iter().find(fits).map(|(unit, name)| (milliseconds / unit, *name))
    });
    match larger {
        Some((1, name)) => format!("{number} (1 {name})"),
        Some((count, name)) => format!("{number} ({count} {name}s)"),
        None => number.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(findings: &Findings) -> Vec<&str> {
        findings.iter().map(|finding| finding.key.as_str()).collect()
    }

    #[test]
    fn numbers_are_told_in_units_that_people_know() {
        let mut found = Findings::new();
        found.between("validity_s", 7_u32, 3600..=34_387_200);
        found.between("wait_ms", usize::MAX, 1..=60_000);
        found.between("tries", 9_u8, 1..=8);
        found.between("tries", 8_u8, 1..=8);
        let told: Vec<String> = found.iter().map(ToString::to_string).collect();
        assert_eq!(
            told,
            [
                "validity_s: is 7: too small; set it to 3600 (1 hour) at least and 34387200 (398 days) at most",
                "wait_ms: is 18446744073709551615: too large; set it to 1 at least and 60000 (1 minute) at most",
                "tries: is 9: too large; set it to 1 at least and 8 at most",
            ]
        );
    }

    #[test]
    fn what_follows_from_a_mistake_is_not_told_again() {
        let mut found = Findings::new();
        found.silence("listen");
        found.error("listen.acme", "is missing", "add it");
        found.error("listener", "is unknown", "remove it");
        found.warning("listener", "is long", "shorten it");
        found.error("listener", "has two mistakes", "mend both");
        assert_eq!(keys(&found), ["listener", "listener"]);
        assert!(found.is_sound("") && !found.is_whole("") && found.is_whole("urls"));
        assert!(!found.is_sound("listen.acme") && !found.is_sound("listener") && found.is_sound("list"));
        found.silence("");
        found.error("urls", "is missing", "add it");
        assert_eq!(found.count(Level::Error), 2);
        assert!(!found.is_sound("urls"));
    }

    #[test]
    fn parts_go_below_their_table() {
        let (mut found, mut part) = (Findings::new(), Findings::new());
        part.require(false, "nonces", "is odd", "choose another");
        part.warning("memory_bytes", "is little", "give more");
        found.below("responder", part);
        assert_eq!(keys(&found), ["responder.nonces", "responder.memory_bytes"]);
        assert_eq!(found.into_result().unwrap_err().key, "responder.nonces");
    }

    #[test]
    fn a_finding_is_one_line() {
        let finding = Finding::error("a", "is /x\n\u{1b}[31m, é", "mend\tit");
        assert_eq!(finding.to_string(), "a: is /x\\n\\u{1b}[31m, é; mend\\tit");
    }

    #[test]
    fn odd_keys_are_quoted() {
        assert_eq!(dotted("", "listen"), "listen");
        assert_eq!(dotted("profiles", "classic-rsa"), "profiles.classic-rsa");
        assert_eq!(dotted("profiles", "a.b\n"), "profiles.\"a.b\\n\"");
        assert_eq!(dotted("profiles", ""), "profiles.\"\"");
    }
}
