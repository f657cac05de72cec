//! `log`: the record of what the CA did. It holds personal data, so reading it goes on record, with a reason.

use std::collections::HashSet;

use serde_json::Value;

use super::call::{Call, Why};
use super::failure::Failure;
use super::table::{Paper, Style};
use super::text::{chop, clean, columns, wrap};
use super::when::When;
use crate::api::LogEntry;
use crate::client::{Listed, Target};

/// Commands on records.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Log {
    /// Shows the newest records, and with -f what comes after them
    #[command(after_help = "\
Long values are cut; --json shows records whole. With it, -f prints one record on a line; without -f, all are one
document.

Example:
  ingam admin log tail -f --class access_log --reason \"watching the migration\"")]
    Tail {
        /// Shows this many records first
        #[arg(short = 'n', long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1000))]
        lines: u32,
        /// Goes on with every new record, until Ctrl-C
        #[arg(short, long)]
        follow: bool,
        #[command(flatten)]
        filter: Filter,
        #[command(flatten)]
        why: Why,
    },
    /// Finds records: the newest that fit, oldest first
    #[command(after_help = "\
Long values are cut; --json shows records whole.

Example:
  ingam admin log search --type certificate_revoked --from 7d --text keyCompromise \\
    --reason \"yearly audit\"")]
    Search {
        #[command(flatten)]
        filter: Filter,
        /// Of this time or later: 2026-11-21T10:00:00Z, 2026-11-21, or an age as 2h or 7d
        #[arg(long, value_name = "TIME")]
        from: Option<When>,
        /// Before this time
        #[arg(long, value_name = "TIME")]
        until: Option<When>,
        /// Shows this many at most
        #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1000))]
        limit: u32,
        #[command(flatten)]
        why: Why,
    },
}

/// Which records.
#[derive(Debug, clap::Args)]
pub(crate) struct Filter {
    /// Of this retention class, as in issuance or access_log; can be given many times
    #[arg(long, value_name = "CLASS")]
    class: Vec<String>,
    /// Of this type, as in certificate_issued; can be given many times
    #[arg(long = "type", value_name = "TYPE")]
    kind: Vec<String>,
    /// About this account
    #[arg(long, value_name = "ID", allow_hyphen_values = true)]
    subject: Option<String>,
    /// With this text in them
    #[arg(long, value_name = "TEXT")]
    text: Option<String>,
}

impl Filter {
    fn query(&self, target: Target) -> Target {
        let joined = |names: &[String]| (!names.is_empty()).then(|| names.join(","));
        target
            .with("class", joined(&self.class).as_deref())
            .with("type", joined(&self.kind).as_deref())
            .with("subject", self.subject.as_deref())
            .with("text", self.text.as_deref())
    }
}

impl Log {
    pub(crate) async fn run(self, call: &mut Call) -> Result<(), Failure> {
        match self {
            Self::Search { filter, from, until, limit, why } => {
                let reason = why.ask(call)?;
                let now = call.clock.now();
                let target = filter
                    .query(Target::new("/v1/log"))
                    .with("from", from.map(|when| when.text(now)).as_deref())
                    .with("until", until.map(|when| when.text(now)).as_deref());
                let listed = newest(call, target, limit, &reason).await?;
                show(call, &listed)?;
                if usize::try_from(limit).ok() == Some(listed.items.len()) {
                    call.terminal
                        .note("There may be older ones: --limit N shows more, --until TIME goes back.");
                }
                Ok(())
            }
            Self::Tail { lines, follow, filter, why } => {
                let reason = why.ask(call)?;
                if follow {
                    return self::follow(call, lines, &filter, &reason).await;
                }
                let listed = newest(call, filter.query(Target::new("/v1/log")), lines, &reason).await?;
                show(call, &listed)
            }
        }
    }
}

/// The newest records of a search.
async fn newest(call: &mut Call, target: Target, limit: u32, reason: &str) -> Result<Listed, Failure> {
    let target = target.with("limit", Some(&limit.to_string())).with("reason", Some(reason));
    Ok(call.client.fetch(&target).await?.list()?)
}

fn show(call: &mut Call, listed: &Listed) -> Result<(), Failure> {
    call.show_list(listed, "No record is so.", |entries: &[LogEntry], paper| {
        entries.iter().map(|entry| entry_text(entry, paper)).collect()
    })
}

/// The newest records, then every new one. The stream is opened first, so that nothing falls between the two.
async fn follow(call: &mut Call, lines: u32, filter: &Filter, reason: &str) -> Result<(), Failure> {
    let stream = filter.query(Target::new("/v1/log/follow")).with("reason", Some(reason));
    let mut stream = call.client.open(&stream).await?;
    let mut shown = HashSet::new();
    let listed = newest(call, filter.query(Target::new("/v1/log")), lines, reason).await?;
    for item in &listed.items {
        shown.insert(print_entry(call, item.get())?);
    }
    while let Some(line) = stream.next().await? {
        let text = String::from_utf8_lossy(&line);
        let entry: LogEntry = read(&text)?;
        // Only what came before the newest were asked for can come twice.
        if !shown.remove(&entry.id) {
            print_entry(call, &text)?;
        }
    }
    Err(Failure::Unreachable("the CA ended the stream: it stops, or was told to start again".to_owned()))
}

fn read(json: &str) -> Result<LogEntry, Failure> {
    serde_json::from_str(json).map_err(|error| Failure::Unread(format!("a record cannot be read: {error}")))
}

/// Prints one record; gives its id.
fn print_entry(call: &mut Call, json: &str) -> Result<String, Failure> {
    let entry = read(json)?;
    if call.terminal.json {
        call.terminal.print_json(json)?;
    } else {
        let text = entry_text(&entry, &call.terminal.paper);
        call.terminal.print(&text)?;
    }
    Ok(entry.id)
}

/// A record: time and type, whom it is about, and its payload behind that where it fits, or else below.
fn entry_text(entry: &LogEntry, paper: &Paper) -> String {
    let kind = format!("{}/{}", clean(&entry.class), clean(&entry.kind));
    let time = clean(&entry.time);
    let mut head = format!("{}  {}", paper.paint(&time, Style::Faint), paper.paint(&kind, Style::Strong));
    let mut taken = columns(&time) + 2 + columns(&kind);
    if let Some(subject) = &entry.subject {
        let subject = clean(subject);
        taken += 2 + columns(&subject);
        head = format!("{head}  {subject}");
    }
    let mut facts = payload_text(&entry.payload);
    if entry.sealed_parts > 0 {
        facts.push(format!("({} sealed)", entry.sealed_parts));
    }
    let facts = clean(&facts.join("  ")).into_owned();
    match paper.width {
        Some(width) if taken + 2 + columns(&facts) > width => {
            let room = width.saturating_sub(4).max(20);
            let lines = wrap(&facts, room).into_iter().flat_map(|line| chop(&line, room));
            let lines: String = lines.map(|line| format!("    {}\n", line.trim())).collect();
            format!("{head}\n{lines}")
        }
        _ => format!("{head}  {facts}").trim_end().to_owned() + "\n",
    }
}

/// The members of a payload, as `name=value`; what is deeper stays JSON, and what is long is cut.
fn payload_text(payload: &Value) -> Vec<String> {
    match payload {
        Value::Null => Vec::new(),
        Value::Object(members) => members
            .iter()
            .map(|(name, value)| match value {
                Value::String(text) if !text.is_empty() && !text.contains([' ', '"']) => {
                    format!("{name}={}", cut(text.clone()))
                }
                other => format!("{name}={}", cut(other.to_string())),
            })
            .collect(),
        other => vec![cut(other.to_string())],
    }
}

/// How much of a value people are shown: certificates and signed requests are for programs.
const VALUE_CHARS_MAX: usize = 160;

fn cut(text: String) -> String {
    match text.char_indices().nth(VALUE_CHARS_MAX) {
        Some((end, _)) => format!("{}\u{2026}", text.get(..end).unwrap_or_default()),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(payload: Value) -> LogEntry {
        LogEntry {
            id: "AZq".into(),
            time: "2026-11-21T10:00:00Z".into(),
            class: "issuance".into(),
            kind: "certificate_issued".into(),
            subject: Some("AZqkAbCdEfGhIjKlMnOpQr".into()),
            end_of_life: None,
            payload,
            sealed_parts: 1,
        }
    }

    #[test]
    fn a_record_is_a_line_where_there_is_room() {
        let short =
            entry(serde_json::json!({ "serial": "4f0a", "names": ["a.example"], "note": "two words" }));
        let line = "2026-11-21T10:00:00Z  issuance/certificate_issued  AZqkAbCdEfGhIjKlMnOpQr  names=[\"a.example\"]  \
                    note=\"two words\"  serial=4f0a  (1 sealed)\n";
        for width in [None, Some(200)] {
            assert_eq!(entry_text(&short, &Paper { width, ..Paper::default() }), line);
        }
        assert_eq!(
            entry_text(&short, &Paper { width: Some(80), ..Paper::default() }),
            "2026-11-21T10:00:00Z  issuance/certificate_issued  AZqkAbCdEfGhIjKlMnOpQr\n\
             \x20   names=[\"a.example\"]  note=\"two words\"  serial=4f0a  (1 sealed)\n"
        );
    }

    #[test]
    fn a_payload_steers_no_terminal() {
        let hostile = entry(serde_json::json!({ "agent": "x\u{1b}[2J\u{9b}y", "b\u{1b}": "\r\n" }));
        let text = entry_text(&hostile, &Paper::default());
        assert!(!text.trim_end().chars().any(super::super::text::steers), "{text:?}");
    }

    #[test]
    fn long_payloads_stay_within_the_width() {
        let long = entry(serde_json::json!({ "jws": "a".repeat(500), "text": "word ".repeat(50) }));
        let text = entry_text(&long, &Paper { width: Some(80), ..Paper::default() });
        assert!(text.lines().all(|line| columns(line) <= 80), "{text}");
        let text = entry_text(&long, &Paper::default());
        assert!(text.contains(&format!("jws={}\u{2026}  text=", "a".repeat(160))), "{text}");
    }
}
