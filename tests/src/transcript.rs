//! Written sessions of the command line, played again and compared to the letter.
//!
//! A transcript is Markdown; what is in its `console` blocks is played, by `sh`, from top to bottom:
//!
//! ```text
//! $ ingam admin role list | head -n 1
//! WHO    ROLE           SINCE   BY             REASON
//! $ ingam admin cert show 4f
//! ! ingam: no certificate was issued with the serial number 4f
//! ? 4
//! ```
//!
//! A line begins with `$ ` for a command, `! ` for standard error, `? ` for an exit code other than 0, and is standard
//! output otherwise, with no more than two spaces between columns. What differs from run to run stands as `{TIME}`, `{DATE}`, `{AGE}`, `{SIZE}`, `{BAR}` or `{PEM}`,
//! which are written but never read; or as `{ID:1}`, `{SERIAL:1}`, `{KEY:1}`, `{SHA256:1}`, `{MAC:1}`, numbered as they turn up, which commands below can use.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use tokio::process::Command;

use crate::command::run;

/// With this in the environment as `write`, transcripts are written anew and not compared.
const WRITE: &str = "INGAM_TRANSCRIPTS";
const FENCE: &str = "```";

/// Where a transcript is played.
pub struct Stage {
    /// The working folder of the commands.
    pub folder: PathBuf,
    /// The environment of the commands, beside `PATH`.
    pub variables: Vec<(String, String)>,
    /// Values that are known before, with their placeholders.
    pub known: Vec<(String, String)>,
}

/// Plays a transcript and fails the test if anything is otherwise. The commands, for those who count them.
pub async fn play(path: &Path, stage: &Stage) -> Vec<String> {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut names = Names::new(&stage.known);
    let (mut played, mut commands, mut inside) = (String::new(), Vec::new(), false);
    for line in text.lines() {
        if line.starts_with(FENCE) {
            inside = line == "```console";
        }
        let Some(command) = line.strip_prefix("$ ").filter(|_| inside) else {
            if !inside || line.starts_with(FENCE) {
                played.push_str(line);
                played.push('\n');
            }
            continue;
        };
        commands.push(command.to_owned());
        played.push_str(&format!("{line}\n{}", answer(command, stage, &mut names).await));
    }
    if std::env::var(WRITE).is_ok_and(|word| word == "write") {
        std::fs::write(path, played).expect("a writable folder");
    } else {
        compare(path, &text, &played);
    }
    commands
}

async fn answer(command: &str, stage: &Stage, names: &mut Names) -> String {
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(names.reveal(command)).current_dir(&stage.folder);
    shell.envs(stage.variables.iter().map(|(name, value)| (name, value)));
    let finished = run(&mut shell, "").await;
    let mut answer = String::new();
    for line in names.hide(&finished.text()).lines() {
        let is_plain = !["$ ", "! ", "? ", FENCE].iter().any(|mark| line.starts_with(mark));
        assert!(is_plain, "a line that a transcript cannot hold: {line}");
        answer.push_str(&format!("{line}\n"));
    }
    for line in names.hide(&finished.stderr).lines() {
        answer.push_str(format!("! {line}").trim_end());
        answer.push('\n');
    }
    match finished.status.code() {
        Some(0) => {}
        Some(code) => answer.push_str(&format!("? {code}\n")),
        None => panic!("killed: {finished}"),
    }
    answer
}

fn compare(path: &Path, written: &str, played: &str) {
    if written == played {
        return;
    }
    let differs = written.lines().zip(played.lines()).position(|(old, new)| old != new);
    let at = differs.unwrap_or_else(|| written.lines().count().min(played.lines().count()));
    let some = |text: &str| text.lines().skip(at.saturating_sub(3)).take(12).collect::<Vec<_>>().join("\n");
    panic!(
        "{}, line {}, is otherwise now; {WRITE}=write writes it anew, for you to look at\n--- written\n{}\n--- played\n{}",
        path.display(),
        at + 1,
        some(written),
        some(played)
    );
}

/// What stands for what.
struct Names {
    /// By value.
    placeholders: BTreeMap<String, String>,
    counts: BTreeMap<&'static str, usize>,
    known: Vec<(String, String)>,
}

impl Names {
    fn new(known: &[(String, String)]) -> Self {
        let mut known = known.to_vec();
        // A value that holds another one goes first.
        known.sort_by_key(|(value, _)| std::cmp::Reverse(value.len()));
        Self { placeholders: BTreeMap::new(), counts: BTreeMap::new(), known }
    }

    /// The text with values in the place of their placeholders.
    fn reveal(&self, text: &str) -> String {
        let named = self.placeholders.iter().chain(self.known.iter().map(|(value, name)| (value, name)));
        let text = named.fold(text.to_owned(), |text, (value, name)| text.replace(name.as_str(), value));
        let left =
            ["{ID:", "{SERIAL:", "{KEY:", "{SHA256:", "{MAC:"].iter().any(|unknown| text.contains(unknown));
        assert!(!left, "a placeholder that nothing above stands for: {text}");
        text
    }

    /// The text with placeholders in the place of values.
    fn hide(&mut self, text: &str) -> String {
        let known = |text: String, (value, name): &(String, String)| text.replace(value.as_str(), name);
        let text = hide_pem(&self.known.iter().fold(text.to_owned(), known));
        let mut hidden = String::new();
        let mut rest = text.as_str();
        while !rest.is_empty() {
            let end = rest.find(|c: char| !is_of_word(c)).unwrap_or(rest.len());
            if end > 0 {
                hidden.push_str(&self.word(&rest[..end]));
                rest = &rest[end..];
                continue;
            }
            let next = rest.find(is_of_word).unwrap_or(rest.len());
            hidden.push_str(&rest[..next]);
            rest = &rest[next..];
        }
        narrowed(&hide_bars(&hide_measures(&hidden)))
    }

    fn word(&mut self, word: &str) -> String {
        if is_time(word) {
            return "{TIME}".to_owned();
        }
        if let Some(start) = word.strip_suffix(':') {
            return format!("{}:", self.word(start));
        }
        for prefix in ["cert:", "uid:"] {
            if let Some(rest) = word.strip_prefix(prefix) {
                return format!("{prefix}{}", self.word(rest));
            }
        }
        if word.contains(':') {
            return word.split(':').map(|part| self.word(part)).collect::<Vec<_>>().join(":");
        }
        match kind(word) {
            None => word.to_owned(),
            Some(kind @ ("TIME" | "DATE")) => format!("{{{kind}}}"),
            Some(kind) => {
                let count = self.counts.entry(kind).or_insert(0);
                let name = self.placeholders.entry(word.to_owned()).or_insert_with(|| {
                    *count += 1;
                    format!("{{{kind}:{count}}}")
                });
                name.clone()
            }
        }
    }
}

fn is_of_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | ':')
}

/// As in 2026-11-28T18:03:06Z.
fn is_time(text: &str) -> bool {
    shape(text) == "0000-00-00T00:00:00Z"
}

fn shape(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect()
}

/// What a word is by its shape, if it is one that differs from run to run.
fn kind(word: &str) -> Option<&'static str> {
    let is_hex = word.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
    let is_lower = !word.bytes().any(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase());
    if word.bytes().all(|byte| word.as_bytes().first() == Some(&byte)) {
        // Written down by somebody, as what is nowhere.
        return None;
    }
    match word.len() {
        10 if shape(word) == "0000-00-00" => Some("DATE"),
        // Milliseconds since 1970, until the year 2286.
        13 if word.bytes().all(|byte| byte.is_ascii_digit()) => Some("TIME"),
        16 if is_hex => Some("REQUEST"),
        32..=40 if is_hex => Some("SERIAL"),
        64 if is_hex => Some("SHA256"),
        22 if !is_lower => Some("ID"),
        43 if !is_lower => Some("KEY"),
        86 if !is_lower => Some("MAC"),
        _ => None,
    }
}

fn hide_pem(text: &str) -> String {
    const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
    const END: &str = "-----END CERTIFICATE-----";
    let mut hidden = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(BEGIN) {
        let (_, after) = after.split_once(END).expect("a certificate that begins has an end");
        hidden.push_str(before);
        hidden.push_str("{PEM}");
        rest = after;
    }
    hidden + rest
}

/// Puts `{AGE}` in the place of ages and waits, as in `3 s` or `4 y 362 d`, and `{SIZE}` in that of sizes, as in `3.1 GiB`.
fn hide_measures(text: &str) -> String {
    let mut words: Vec<&str> = text.split_inclusive([' ', '\n']).collect();
    words.push("");
    let (mut hidden, mut at) = (String::new(), 0);
    while at < words.len() {
        let mut measured = None;
        while let Some((name, tail)) = measure(words[at], words.get(at + 1).copied().unwrap_or_default()) {
            measured = Some(format!("{name}{tail}"));
            at += 2;
            // As in `4 y 362 d`, which is one; with anything but a space between them, they are two.
            if tail != " " {
                break;
            }
        }
        match measured {
            Some(measured) => hidden.push_str(&measured),
            None => {
                hidden.push_str(words[at]);
                at += 1;
            }
        }
    }
    hidden
}

/// What two words measure together, and what follows it in the second.
fn measure<'a>(number: &str, unit: &'a str) -> Option<(&'static str, &'a str)> {
    number.strip_suffix(' ')?.parse::<f64>().ok()?;
    let tail = unit.trim_start_matches(|c: char| c.is_ascii_alphabetic());
    match &unit[..unit.len() - tail.len()] {
        "ms" | "s" | "min" | "h" | "d" | "y" => Some(("{AGE}", tail)),
        "B" | "KiB" | "MiB" | "GiB" | "TiB" => Some(("{SIZE}", tail)),
        _ => None,
    }
}

/// Puts `{BAR}` in the place of drawn bars.
fn hide_bars(text: &str) -> String {
    let mut hidden = String::new();
    let mut is_bar = false;
    for c in text.chars() {
        let was_bar = std::mem::replace(&mut is_bar, matches!(c, '█' | '░'));
        match (was_bar, is_bar) {
            (false, true) => hidden.push_str("{BAR}"),
            (_, true) => {}
            (_, false) => hidden.push(c),
        }
    }
    hidden
}

/// Columns are as wide as what is in them, which differs; so there are two spaces between them and no more.
fn narrowed(text: &str) -> String {
    let mut narrow = String::new();
    for line in text.split_inclusive('\n') {
        let content = line.trim_start_matches(' ');
        narrow.push_str(&line[..line.len() - content.len()]);
        let mut spaces = 0;
        for c in content.chars() {
            spaces = if c == ' ' { spaces + 1 } else { 0 };
            if spaces <= 2 {
                narrow.push(c);
            }
        }
    }
    narrow
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_is_hidden_and_found_again() {
        let mut names = Names::new(&[("/tmp/x".to_owned(), "{HOME}".to_owned())]);
        let text = "AbCdEfGhIjKlMnOpQrSt12  2026-11-28T18:03:06Z  at /tmp/x/f\n-bCdEfGhIjKlMnOpQrSt12\n";
        let hidden = names.hide(text);
        assert_eq!(hidden, "{ID:1}  {TIME}  at {HOME}/f\n{ID:2}\n");
        assert_eq!(names.reveal("show {ID:2} {HOME}"), "show -bCdEfGhIjKlMnOpQrSt12 /tmp/x");
        assert_eq!(
            names.hide("certificate_revocation in 4 y 362 d, 3 s old: ██░ 3.1 GiB"),
            "certificate_revocation in {AGE}, {AGE} old: {BAR} {SIZE}"
        );
        assert_eq!(
            names.hide("a -----BEGIN CERTIFICATE-----\\nMII\\n-----END CERTIFICATE-----\\n"),
            "a {PEM}\\n"
        );
    }
}
