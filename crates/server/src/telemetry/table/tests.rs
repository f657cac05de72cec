//! The table, the source and the handbook name the same metrics.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use ingam_protocol::Reason;
use ingam_protocol::acme::ErrorType;
use ingam_protocol::health::{Code, Role};
use ingam_protocol::key::KeyFlaw;

use super::*;

/// Metrics of parts that are not there yet. Whoever adds the part takes its metric out of here.
const AWAITED: [&str; 1] = ["ingam_admin_requests_total"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Every Rust file of the crates, but for tests and this table.
fn sources() -> Vec<String> {
    let mut folders = vec![root().join("crates")];
    let mut texts = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() && !matches!(name.as_str(), "tests" | "benches" | "target") {
                folders.push(path);
            } else if name.ends_with(".rs") && name != "table.rs" && name != "tests.rs" {
                texts.push(std::fs::read_to_string(path).unwrap());
            }
        }
    }
    texts
}

/// What is between quotes and looks like a metric of ours.
fn names_in(text: &str) -> BTreeSet<String> {
    let is_name = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    let quoted = text.split('"').filter(|part| part.starts_with("ingam_") && part.bytes().all(is_name));
    // Crates have such names too.
    let metrics = quoted.filter(|name| !root().join("crates").join(&name["ingam_".len()..]).is_dir());
    metrics.map(str::to_owned).collect()
}

fn table_names() -> BTreeSet<String> {
    METRICS.iter().map(|metric| metric.name.to_owned()).collect()
}

#[test]
fn the_source_emits_what_the_table_has_and_nothing_else() {
    let emitted: BTreeSet<String> = sources().iter().flat_map(|text| names_in(text)).collect();
    let awaited: BTreeSet<String> = AWAITED.map(str::to_owned).into();
    let unknown: Vec<_> = emitted.difference(&table_names()).cloned().collect();
    assert_eq!(unknown, [""; 0], "emitted, and not in the table");
    let table = table_names();
    let silent: Vec<_> = table.difference(&emitted).filter(|name| !awaited.contains(*name)).collect();
    assert_eq!(silent, [""; 0], "in the table, and never emitted");
}

#[test]
fn names_and_sentences_are_in_prometheus_form() {
    assert_eq!(table_names().len(), METRICS.len(), "a name is there twice");
    for metric in METRICS {
        let name = metric.name;
        assert_eq!(metric.kind == Counter, name.ends_with("_total"), "{name}");
        assert!(!metric.help.is_empty() && !metric.help.ends_with('.'), "{name}: {}", metric.help);
        if metric.kind == Histogram {
            assert!(
                name.ends_with("_seconds") || name.ends_with("_jobs"),
                "{name} has no buckets of its own"
            );
        }
    }
}

#[test]
fn label_values_are_those_that_the_code_has() {
    let problems: Vec<&str> = ErrorType::ALL.iter().map(|error| error.name()).collect();
    assert_eq!(PROBLEMS, problems);
    assert_eq!(KEY_FLAWS, KeyFlaw::ALL.map(KeyFlaw::code));
    let roles: Vec<&str> = Role::ALL.iter().map(|role| role.name()).collect();
    assert_eq!(ROLE.1, These(Box::leak(roles.into_boxed_slice())));
    let disagreements =
        METRICS.iter().find(|metric| metric.name == "ingam_monitor_disagreements_total").unwrap();
    let kinds: Vec<String> =
        label_sets(disagreements, None).iter().map(|set| set[0].value().to_owned()).collect();
    assert_eq!(kinds, crate::monitor::Kind::ALL.map(crate::monitor::Kind::name));
    let reasons: BTreeSet<String> =
        (0..=10).filter_map(Reason::from_number).map(|reason| reason.to_string()).collect();
    let revocations = METRICS.iter().find(|metric| metric.name == "ingam_revocations_total").unwrap();
    let counted: BTreeSet<String> =
        label_sets(revocations, None).iter().map(|set| set[0].value().to_owned()).collect();
    assert_eq!(counted, reasons);
}

#[test]
fn counters_start_for_every_combination_of_known_labels() {
    let sets = |name: &str, issuers: Option<&[String]>| {
        label_sets(METRICS.iter().find(|metric| metric.name == name).unwrap(), issuers).len()
    };
    assert_eq!(sets("ingam_archive_failures_total", None), 1);
    assert_eq!(sets("ingam_validations_total", None), 6 * 9);
    assert_eq!(sets("ingam_signatures_total", None), 0, "the issuers are not known yet");
    assert_eq!(sets("ingam_signatures_total", Some(&["a".to_owned(), "b".to_owned()])), 8);
    assert_eq!(sets("ingam_http_requests_total", None), 0);
}

/// A row of the handbook's table.
fn row(metric: &Metric) -> String {
    let labels = metric.labels.iter().map(|(label, values)| match values {
        These(values) => {
            let values: Vec<String> = values.iter().map(|value| format!("`{value}`")).collect();
            format!("`{label}`: {}", values.join(", "))
        }
        Bounded(words) => format!("`{label}`: {words}"),
    });
    let labels: Vec<String> = labels.collect();
    let kind = format!("{:?}", metric.kind).to_lowercase();
    format!("| `{}` | {kind} | {} | {} |", metric.name, labels.join("; "), metric.help)
}

#[test]
fn the_handbook_shows_the_table() {
    let handbook = std::fs::read_to_string(root().join("docs/operations/monitoring.md")).unwrap();
    let rows: Vec<&str> = handbook.lines().filter(|line| line.starts_with("| `ingam_")).collect();
    let expected: Vec<String> = METRICS.iter().map(row).collect();
    assert_eq!(
        rows,
        expected,
        "the table in docs/operations/monitoring.md should be\n{}\n",
        expected.join("\n")
    );
}

#[test]
fn the_handbook_explains_every_code() {
    let handbook = std::fs::read_to_string(root().join("docs/operations/monitoring.md")).unwrap();
    for (code, role) in Code::PLACES {
        let row = format!("| `{}` | {} |", code.name(), role.name());
        assert!(handbook.contains(&row), "docs/operations/monitoring.md has no row {row}");
    }
    assert!(handbook.contains(&format!("| `{}` |", Code::Stopping.name())));
}
