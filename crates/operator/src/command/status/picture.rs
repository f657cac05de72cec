//! The picture of a health report.
//!
//! The report is read leniently, by names alone: this program may be older or newer than the CA, and never more so than
//! when somebody wants to know what is wrong with it.

use std::time::Duration;

use ingam_protocol::Timestamp;
use serde::Deserialize;

use super::super::table::{Cell, Paper, Shape, Style, Table};
use super::super::text::{clean, columns, wrap};
use super::super::when::{distance_text, span_text};

/// What the picture shows of a report.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Report {
    at: Timestamp,
    version: String,
    environment: String,
    uptime_s: u64,
    roles: Vec<Role>,
    issuers: Vec<Issuer>,
    certificates: Vec<Certificate>,
    queues: Vec<Queue>,
    storage: Storage,
    clock: Clock,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Role {
    role: String,
    ready: bool,
    lacks: Vec<Lack>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Lack {
    code: String,
    level: String,
    detail: String,
    fix: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Issuer {
    name: String,
    key: String,
    not_after: Timestamp,
    crl: Option<Crl>,
    ocsp_certificate_not_after: Option<Timestamp>,
    oldest_answer: Option<Timestamp>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Crl {
    number: u64,
    this_update: Timestamp,
    next_update: Timestamp,
    entries: u64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Certificate {
    kind: String,
    name: String,
    not_after: Timestamp,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Queue {
    name: String,
    waiting: u64,
    max: u64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Storage {
    outbox_records: Option<u64>,
    outbox_oldest_age_s: Option<u64>,
    disk_free_bytes: Option<u64>,
    disk_bytes: Option<u64>,
    store_bytes: Option<u64>,
    journal_bytes: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Clock {
    jump_ms: i64,
    behind_ms: u64,
}

impl Report {
    /// Whether there are roles, and every one is ready.
    pub(super) fn ready(&self) -> bool {
        !self.roles.is_empty() && self.roles.iter().all(|role| role.ready)
    }
}

/// How wide the picture is where nobody counts columns.
const WIDTH: usize = 100;
const BAR_COLUMNS: usize = 24;

/// The whole picture, each line with its end.
pub(super) fn paint(report: &Report, paper: &Paper) -> String {
    let paper = Paper { width: Some(paper.width.unwrap_or(WIDTH)), ..*paper };
    let state =
        if report.ready() { paper.paint("READY", Style::Good) } else { paper.paint("NOT READY", Style::Bad) };
    let mut text = format!(
        "ingam {}, {}: {state}, up {}, seen at {}\n",
        clean(&report.version),
        clean(&report.environment),
        span_text(Duration::from_secs(report.uptime_s)),
        report.at
    );
    let parts = [
        ("Roles", roles(report, &paper)),
        ("Issuers", issuers(report, &paper)),
        ("Own certificates", certificates(report, &paper)),
        ("Queues", queues(report, &paper)),
        ("Storage", storage(report, &paper)),
        ("Clock", clock(report)),
    ];
    for (title, part) in parts {
        if !part.is_empty() {
            text.push_str(&format!("\n{}\n{}", paper.paint(title, Style::Strong), indented(&part)));
        }
    }
    text
}

fn indented(part: &str) -> String {
    part.lines().map(|line| format!("  {line}\n")).collect()
}

/// The paper within the indentation.
fn inner(paper: &Paper) -> Paper {
    Paper { width: paper.width.map(|width| width.saturating_sub(2)), ..*paper }
}

fn padded(text: &str, width: usize) -> String {
    format!("{text}{}", " ".repeat(width.saturating_sub(columns(text))))
}

fn roles(report: &Report, paper: &Paper) -> String {
    let names = report.roles.iter().map(|role| columns(&role.role)).max().unwrap_or(0);
    let room = inner(paper).width.unwrap_or(WIDTH).saturating_sub(4).max(20);
    let mut text = String::new();
    for role in &report.roles {
        let (state, style) = match (role.ready, role.lacks.is_empty()) {
            (true, true) => ("ready", Style::Good),
            (true, false) => ("ready, with a warning", Style::Doubtful),
            (false, _) => ("NOT READY", Style::Bad),
        };
        text.push_str(&format!("{}  {}\n", padded(&clean(&role.role), names), paper.paint(state, style)));
        for lack in &role.lacks {
            let style = if lack.level == "warning" { Style::Doubtful } else { Style::Bad };
            let head = format!("{} {}: ", clean(&lack.level), clean(&lack.code));
            let lines = wrap(&format!("{head}{}; to do: {}", clean(&lack.detail), clean(&lack.fix)), room);
            for line in lines {
                text.push_str(&format!("    {}\n", paper.paint(&line, style)));
            }
        }
    }
    text
}

fn end_cell(end: Timestamp, now: Timestamp) -> Cell {
    let style = if end <= now { Style::Bad } else { Style::Plain };
    let day = end.to_rfc3339();
    let day = day.split('T').next().unwrap_or_default();
    Cell::styled(&format!("{day}, {}", distance_text(end, now)), style)
}

fn issuers(report: &Report, paper: &Paper) -> String {
    let now = report.at;
    let mut table = Table::new(&[
        ("ISSUER", Shape::Whole),
        ("KEY", Shape::Whole),
        ("ENDS", Shape::Whole),
        ("CRL", Shape::Whole),
        ("NEXT CRL", Shape::Whole),
        ("OCSP SIGNER ENDS", Shape::Whole),
        ("OLDEST ANSWER", Shape::Whole),
    ]);
    for issuer in &report.issuers {
        let crl = match &issuer.crl {
            Some(crl) => Cell::from(format!(
                "{}, {} old, lists {}",
                crl.number,
                span_text(now.since(crl.this_update)),
                crl.entries
            )),
            None => Cell::styled("none", Style::Bad),
        };
        let next = match &issuer.crl {
            Some(crl) if crl.next_update <= now => {
                Cell::styled(&distance_text(crl.next_update, now), Style::Bad)
            }
            Some(crl) => distance_text(crl.next_update, now).into(),
            None => "".into(),
        };
        table.row([
            (&issuer.name).into(),
            (&issuer.key).into(),
            end_cell(issuer.not_after, now),
            crl,
            next,
            issuer.ocsp_certificate_not_after.map_or_else(|| "itself".into(), |end| end_cell(end, now)),
            issuer.oldest_answer.map_or_else(|| "none kept".into(), |at| distance_text(at, now).into()),
        ]);
    }
    table.render(&inner(paper))
}

fn certificates(report: &Report, paper: &Paper) -> String {
    let mut table = Table::new(&[("FOR", Shape::Whole), ("NAME", Shape::Whole), ("ENDS", Shape::Whole)]);
    for certificate in &report.certificates {
        table.row([
            (&certificate.kind).into(),
            (&certificate.name).into(),
            end_cell(certificate.not_after, report.at),
        ]);
    }
    table.render(&inner(paper))
}

/// A bar that is filled as far as `part` of `whole` goes; what there is little of shows at least a trace.
fn bar(part: u64, whole: u64, paper: &Paper) -> String {
    let permille = u128::from(part.min(whole)) * 1000 / u128::from(whole.max(1));
    let permille = usize::try_from(permille).unwrap_or(1000);
    let filled = (permille * BAR_COLUMNS).div_ceil(1000);
    let style = match permille {
        900.. => Style::Bad,
        700..900 => Style::Doubtful,
        _ => Style::Good,
    };
    let (full, empty, left, right) =
        if paper.blocks { ("\u{2588}", "\u{2591}", "", "") } else { ("#", ".", "[", "]") };
    let (full, empty) = (full.repeat(filled), empty.repeat(BAR_COLUMNS - filled));
    format!("{left}{}{}{right}", paper.paint(&full, style), paper.paint(&empty, Style::Faint))
}

fn queues(report: &Report, paper: &Paper) -> String {
    let names = report.queues.iter().map(|queue| columns(&queue.name)).max().unwrap_or(0);
    let most = report.queues.iter().map(|queue| columns(&queue.waiting.to_string())).max().unwrap_or(0);
    let mut text = String::new();
    for queue in &report.queues {
        text.push_str(&format!(
            "{}  {}  {:>most$} of {}\n",
            padded(&clean(&queue.name), names),
            bar(queue.waiting, queue.max, paper),
            queue.waiting,
            queue.max
        ));
    }
    text
}

fn bytes_text(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    let mut tenths = bytes.saturating_mul(10);
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut unit = "B";
    for next in UNITS {
        if tenths < 10_240 {
            break;
        }
        tenths /= 1024;
        unit = next;
    }
    format!("{}.{} {unit}", tenths / 10, tenths % 10)
}

fn storage(report: &Report, paper: &Paper) -> String {
    let storage = &report.storage;
    let mut text = String::new();
    if let (Some(free), Some(all)) = (storage.disk_free_bytes, storage.disk_bytes) {
        let used = all.saturating_sub(free);
        let bar = bar(used, all, paper);
        text.push_str(&format!("disk     {bar}  {} free of {}\n", bytes_text(free), bytes_text(all)));
    }
    if let Some(bytes) = storage.store_bytes {
        text.push_str(&format!("store    {}\n", bytes_text(bytes)));
    }
    if let Some(bytes) = storage.journal_bytes {
        text.push_str(&format!("journal  {}\n", bytes_text(bytes)));
    }
    match (storage.outbox_records, storage.outbox_oldest_age_s) {
        (Some(0), _) => text.push_str("outbox   empty\n"),
        (Some(records), Some(age_s)) => text.push_str(&format!(
            "outbox   {records} for the journal, the oldest since {}\n",
            span_text(Duration::from_secs(age_s))
        )),
        (Some(records), None) => text.push_str(&format!("outbox   {records} for the journal\n")),
        (None, _) => {}
    }
    text
}

fn clock(report: &Report) -> String {
    let millis = |ms: u64| match ms {
        0..10_000 => format!("{ms} ms"),
        _ => span_text(Duration::from_millis(ms)),
    };
    let Clock { jump_ms, behind_ms } = report.clock;
    let word = if jump_ms < 0 { "lost" } else { "gained" };
    let mut text = format!("{word} {} since the start\n", millis(jump_ms.unsigned_abs()));
    if behind_ms > 0 {
        text.push_str(&format!("was {} behind the newest record at the start\n", millis(behind_ms)));
    }
    text
}

#[cfg(test)]
mod tests;
