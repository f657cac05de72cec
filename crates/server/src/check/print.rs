//! Findings for people and for programs.

use std::io::{self, Write};
use std::path::Path;

use anstyle::{AnsiColor, Style};
use ingam_protocol::Finding;
use ingam_protocol::finding::Level;
use serde::Serialize;

/// What programs get.
#[derive(Serialize)]
struct Report<'f> {
    errors: usize,
    warnings: usize,
    notes: usize,
    findings: &'f [Finding],
}

/// One JSON object on standard output.
pub(super) fn json(found: &[Finding]) -> io::Result<()> {
    let [errors, warnings, notes] = counts(found);
    let mut out = io::stdout().lock();
    serde_json::to_writer_pretty(&mut out, &Report { errors, warnings, notes, findings: found })?;
    writeln!(out)?;
    out.flush()
}

/// A list on standard output, with colours if that is a terminal and `NO_COLOR` is not set. `is_serve`: the file was taken for
/// a whole configuration of `ingam serve`.
pub(super) fn people(file: &Path, found: &[Finding], is_serve: bool) -> io::Result<()> {
    list(&mut anstream::stdout().lock(), file, found, is_serve)
}

fn list(out: &mut dyn Write, file: &Path, found: &[Finding], is_serve: bool) -> io::Result<()> {
    let bold = Style::new().bold();
    writeln!(out, "{bold}{}{bold:#}", file.display())?;
    if is_serve && counts(found)[0] > 0 {
        writeln!(out, "as `ingam serve` takes it; a file for `ingam dev --config` is looked at with --dev")?;
    }
    let groups = [
        (Level::Error, "Errors, which stop a start or make it useless:", AnsiColor::Red),
        (Level::Warning, "Warnings about what is allowed, and unwise:", AnsiColor::Yellow),
        (
            Level::Note,
            "Notes, where private profiles differ from what the public is promised:",
            AnsiColor::Cyan,
        ),
    ];
    for (level, title, colour) in groups {
        let mut group = found.iter().filter(|finding| finding.level == level).peekable();
        if group.peek().is_some() {
            let style = Style::new().bold().fg_color(Some(colour.into()));
            writeln!(out, "\n{style}{title}{style:#}")?;
        }
        for Finding { key, reason, fix, line, .. } in group {
            let key = if key.is_empty() { "the file" } else { key };
            let line = line.map_or_else(String::new, |line| format!(" (line {line})"));
            writeln!(out, "  {bold}{key}{bold:#}{line}\n    {reason}\n    to do: {fix}")?;
        }
    }
    let [errors, warnings, notes] = counts(found);
    write!(out, "\n{}, {}", counted(errors, "error"), counted(warnings, "warning"))?;
    if notes > 0 {
        write!(out, ", {}", counted(notes, "note"))?;
    }
    writeln!(out)?;
    out.flush()
}

fn counts(found: &[Finding]) -> [usize; 3] {
    [Level::Error, Level::Warning, Level::Note]
        .map(|level| found.iter().filter(|finding| finding.level == level).count())
}

fn counted(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

#[cfg(test)]
mod tests {
    use ingam_protocol::Findings;

    use super::*;

    #[test]
    fn people_read_groups_and_a_sum() {
        let warning = Finding::warning("listen.metrics", "is open", "close it");
        let error = Finding { line: Some(7), ..Finding::error("", "is no TOML", "mend it") };
        let told = |found: &[Finding]| {
            let mut out = anstream::StripStream::new(Vec::new());
            list(&mut out, Path::new("a.toml"), found, true).unwrap();
            String::from_utf8(out.into_inner()).unwrap()
        };
        assert_eq!(
            told(&[error, warning]),
            "a.toml\nas `ingam serve` takes it; a file for `ingam dev --config` is looked at with --dev\n\nErrors, which stop a start or make it useless:\n  the file (line 7)\n    is no TOML\n    to do: \
             mend it\n\nWarnings about what is allowed, and unwise:\n  listen.metrics\n    is open\n    to do: close \
             it\n\n1 error, 1 warning\n"
        );
        assert_eq!(told(&[]), "a.toml\n\n0 errors, 0 warnings\n");
        let mut noted = Findings::new();
        noted.note("profiles.private.validity_s", "is long", "leave it");
        let noted: Vec<Finding> = noted.into_iter().collect();
        assert_eq!(
            told(&noted),
            "a.toml\n\nNotes, where private profiles differ from what the public is promised:\n  \
             profiles.private.validity_s\n    is long\n    to do: leave it\n\n0 errors, 0 warnings, 1 note\n"
        );
    }
}
