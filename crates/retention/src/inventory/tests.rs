//! Holds the inventory against the sources: nothing is kept, logged or counted that has no class.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use ingam_protocol::record::{Class, RecordType};
use ingam_store::{Pass, table_classes};

use super::*;

/// Every source file of the product, with its path; tests are not among them.
fn sources() -> Vec<(PathBuf, String)> {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut folders: Vec<PathBuf> =
        std::fs::read_dir(crates).unwrap().map(|entry| entry.unwrap().path().join("src")).collect();
    let mut sources = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() && name != "tests" {
                folders.push(path);
            } else if name.ends_with(".rs") && name != "tests.rs" {
                let text = std::fs::read_to_string(&path).unwrap();
                // Tests are the last part of a file.
                let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default().to_owned();
                sources.push((path, text));
            }
        }
    }
    assert!(sources.len() > 200, "{}", sources.len());
    sources
}

#[test]
fn every_table_has_a_rule_of_its_class() {
    let told: BTreeMap<&str, Class> = TABLES.iter().map(|rule| (rule.name, rule.class)).collect();
    assert_eq!(told.len(), TABLES.len());
    assert_eq!(told, table_classes().collect(), "a table came or went: say in TABLES what ends its rows");
    assert!(table_rule("orders").is_some());
    // What is said to be swept is: each pass walks through a table that says so.
    for pass in Pass::ALL {
        let name = pass.name();
        let table = TABLES.iter().find(|rule| name.starts_with(rule.name) && rule.goes.contains("swept"));
        assert!(table.is_some() || name.starts_with("authorizations"), "{name}");
    }
}

/// A struct with named fields: their names and types.
fn structs(sources: &[(PathBuf, String)]) -> BTreeMap<String, Vec<(String, String)>> {
    let mut found = BTreeMap::new();
    let of = |path: &Path| {
        let path = path.to_string_lossy().into_owned();
        path.contains("/store/src/") || path.contains("/protocol/src/")
    };
    for (_, text) in sources.iter().filter(|(path, _)| of(path)) {
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            let words: Vec<&str> = line.split_whitespace().collect();
            let at = words.iter().position(|word| *word == "struct");
            let (Some(at), true, false) = (at, line.ends_with('{'), line.starts_with(' ')) else { continue };
            if words[..at].iter().any(|word| !word.starts_with("pub")) {
                continue;
            }
            let name = words[at + 1].split('<').next().unwrap().to_owned();
            let fields = lines.by_ref().take_while(|line| *line != "}").filter_map(|line| {
                let line = line.trim().trim_end_matches(',');
                let line =
                    line.strip_prefix("pub(crate) ").or_else(|| line.strip_prefix("pub ")).unwrap_or(line);
                let (name, kind) = line.split_once(": ")?;
                let is_name = name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
                is_name.then(|| (name.to_owned(), kind.to_owned()))
            });
            found.insert(name, fields.collect());
        }
    }
    found
}

/// The words of a text that can be names of types.
fn types(text: &str) -> impl Iterator<Item = &str> {
    let words = text.split(|c: char| !(c.is_alphanumeric() || c == '_'));
    words.filter(|word| word.starts_with(|c: char| c.is_ascii_uppercase()))
}

#[test]
fn every_column_has_a_class() {
    let sources = sources();
    let structs = structs(&sources);
    let (_, tables) = sources.iter().find(|(path, _)| path.ends_with("store/src/table.rs")).unwrap();
    let docs = tables.lines().filter(|line| line.starts_with("///"));
    // The rows that the tables' own words name, those that they do not name, and all that is in them.
    let mut wanted: Vec<String> = docs.flat_map(types).map(ToOwned::to_owned).collect();
    wanted.extend(["Spent", "KeyBlock"].map(ToOwned::to_owned));
    let enums = ["Verdict", "Favoured", "HoldScope", "StatusState"];
    let inside = ["Failure", "Serial"];
    let mut columns: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    while let Some(name) = wanted.pop() {
        let Some(fields) = structs.get(&name).filter(|_| !columns.contains_key(&name)) else { continue };
        for (_, kind) in fields {
            wanted.extend(types(kind).map(ToOwned::to_owned));
            if types(kind).any(|kind| enums.contains(&kind)) {
                wanted.extend(inside.map(ToOwned::to_owned));
            }
        }
        columns.insert(name, fields.iter().map(|(field, _)| field.clone()).collect());
    }
    let mut told: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (name, _, fields) in COLUMNS {
        for field in *fields {
            let is_new = told.entry((*name).to_owned()).or_default().insert((*field).to_owned());
            assert!(is_new, "{name}.{field} has two classes");
        }
    }
    assert_eq!(told, columns, "a column came or went: say in COLUMNS which class it has");
}

#[test]
fn every_type_of_record_has_a_class() {
    let mut told: BTreeMap<String, Class> = BTreeMap::new();
    for (class, names) in RECORD_TYPES {
        for name in *names {
            assert!(told.insert((*name).to_owned(), *class).is_none(), "{name}");
        }
    }
    let known: BTreeMap<String, Class> =
        RecordType::ALL.into_iter().map(|kind| (kind.name(), kind.class())).collect();
    assert_eq!(told, known, "a type of record came or went: say in RECORD_TYPES which class it has");
}

/// The arguments of the call that `text` goes on with behind its opening parenthesis.
fn arguments(text: &str) -> Vec<String> {
    let (mut arguments, mut now, mut depth, mut letters) = (Vec::new(), String::new(), 1, text.chars());
    while let Some(letter) = letters.next() {
        match letter {
            '"' => {
                now.push(letter);
                while let Some(quoted) = letters.next() {
                    now.push(quoted);
                    match quoted {
                        '\\' => now.extend(letters.next()),
                        '"' => break,
                        _ => {}
                    }
                }
                continue;
            }
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth -= 1,
            ',' if depth == 1 => {
                arguments.push(std::mem::take(&mut now).trim().to_owned());
                continue;
            }
            _ => {}
        }
        if depth == 0 {
            break;
        }
        now.push(letter);
    }
    arguments.push(now.trim().to_owned());
    arguments
}

/// The fields of an event or a span of `tracing`, from its arguments.
fn fields(arguments: &[String], is_span: bool) -> Vec<String> {
    let mut fields = Vec::new();
    for (at, argument) in arguments.iter().enumerate() {
        if argument.starts_with('"') {
            match is_span && at == 0 {
                true => continue,
                false => break,
            }
        }
        let name: String = argument
            .trim_start_matches(['%', '?'])
            .chars()
            .take_while(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "_.".contains(*c))
            .collect();
        let rest = argument.trim_start_matches(['%', '?']).get(name.len()..).unwrap_or_default().trim_start();
        // `target: "…"` and the like are no fields.
        if !name.is_empty() && (rest.is_empty() || (rest.starts_with('=') && !rest.starts_with("=="))) {
            fields.push(name);
        }
    }
    fields
}

#[test]
fn every_field_of_the_log_has_a_class() {
    let levels = ["error", "warn", "info", "debug", "trace"];
    let mut used: BTreeMap<String, PathBuf> = BTreeMap::new();
    for (path, text) in sources() {
        for level in levels {
            for (macro_name, is_span) in [(format!("{level}!("), false), (format!("{level}_span!("), true)] {
                for (at, _) in text.match_indices(&macro_name) {
                    let before = text[..at].chars().next_back().unwrap_or(' ');
                    if before.is_alphanumeric() || before == '_' {
                        continue;
                    }
                    let arguments = arguments(&text[at + macro_name.len()..]);
                    for field in fields(&arguments, is_span) {
                        used.entry(field).or_insert_with(|| path.clone());
                    }
                }
            }
        }
    }
    for (field, path) in &used {
        assert!(log_field(field).is_some(), "{field} in {}: say in LOG_FIELDS what it tells", path.display());
    }
    let told: Vec<&str> = LOG_FIELDS.iter().flat_map(|(_, fields)| fields.iter().copied()).collect();
    assert_eq!(told.iter().collect::<BTreeSet<_>>().len(), told.len(), "a field is there twice");
    for field in told {
        assert!(used.contains_key(field), "{field} is in LOG_FIELDS, and nothing logs it");
    }
}

#[test]
fn every_label_of_a_metric_is_known_to_tell_of_nobody() {
    let mut used: BTreeSet<String> = BTreeSet::new();
    for (path, text) in sources() {
        // The metrics are in one table, which the server's own tests hold against the source.
        if !path.ends_with("telemetry/table.rs") {
            continue;
        }
        for (at, _) in text.match_indices("(\"") {
            let rest = &text[at + 2..];
            let Some((label, behind)) = rest.split_once('"') else { continue };
            if behind.starts_with(", These(") || behind.starts_with(", Bounded(") {
                used.insert(label.to_owned());
            }
        }
    }
    assert!(used.len() > 10, "{used:?}");
    let told: BTreeSet<String> = METRIC_LABELS.iter().map(|label| (*label).to_owned()).collect();
    assert_eq!(told, used, "a label came or went: METRIC_LABELS");
}

#[test]
fn sources_are_read_as_they_are_written() {
    let of = |text: &str, is_span| fields(&arguments(text), is_span);
    assert_eq!(of("code = error.code(), %ip, ?why, \"a, b {}\", x)", false), ["code", "ip", "why"]);
    assert_eq!(of("\"request\", id = %self.id(1, 2), status)", true), ["id", "status"]);
    assert_eq!(of("target: \"x\", error = &e as &dyn Error, \"said\")", false), ["error"]);
    assert_eq!(of("\"nothing\")", false), Vec::<String>::new());
}
