//! What operators build on: the metrics of docs/operations/monitoring.md, and the dashboards and alerts that ask for them.
//!
//! The handbook's table is held equal to the code by a test beside the code; here it is held against a running CA, and
//! everything in config/grafana and config/prometheus against the table. scripts/check-monitoring has promtool's word on
//! the expressions. Not a failure: a metric that nothing shows.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use ingam_tests::challenge::{Prover, WebAnswers};
use ingam_tests::client::{CertificateRequest, Client};
use ingam_tests::expression::{self, Asked};
use ingam_tests::http::fetch;
use ingam_tests::ocsp::{self, Hash};
use ingam_tests::server::{Server, Setup};
use serde_json::Value;

/// Labels that Prometheus adds, and those of histograms.
const ADDED: [&str; 3] = ["instance", "job", "le"];

/// A metric as the handbook has it.
#[derive(Debug)]
struct Metric {
    kind: String,
    /// Each label with its values; none where the handbook only says what bounds them.
    labels: BTreeMap<String, BTreeSet<String>>,
}

type Table = BTreeMap<String, Metric>;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn file(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("cannot read {path}: {error}"))
}

/// The handbook's table.
fn table() -> Table {
    let handbook = file("docs/operations/monitoring.md");
    let rows = handbook.lines().filter(|line| line.starts_with("| `ingam_"));
    let table: Table = rows.map(metric).collect();
    assert!(table.len() > 40, "the table is there: {}", table.len());
    table
}

fn metric(row: &str) -> (String, Metric) {
    let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
    let [name, kind, labels, _] = cells[..] else { panic!("a row of four cells: {row}") };
    let labels = labels.split("; ").filter(|label| !label.is_empty()).map(|label| {
        let (name, values) = label.split_once(": ").expect("a label and its values");
        let mut words = values.split(", ");
        // Words without backticks say what bounds the values.
        let listed = words.clone().all(|word| word.starts_with('`') && word.ends_with('`'));
        let values = words.by_ref().filter(|_| listed).map(|word| word.trim_matches('`').to_owned());
        (name.trim_matches('`').to_owned(), values.collect())
    });
    (name.trim_matches('`').to_owned(), Metric { kind: kind.to_owned(), labels: labels.collect() })
}

/// The metric of the table that a series belongs to: a histogram has three names more.
fn find<'a>(table: &'a Table, series: &str) -> Option<&'a Metric> {
    table.get(series).or_else(|| {
        let stem = ["_bucket", "_sum", "_count"].iter().find_map(|end| series.strip_suffix(end))?;
        table.get(stem).filter(|metric| metric.kind == "histogram")
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_ca_shows_what_the_handbook_says() {
    let monitor = "[monitor]\ninterval_s = 10".to_owned();
    let setup = Setup { further_config: monitor, ..Setup::new() };
    let (server, table) = (Server::start_with(setup).await, table());
    let url = format!("http://localhost:{}/metrics", server.ports().metrics);
    let fresh = fetch(&url).await.expect("metrics").expect(200).text();
    let there: BTreeSet<Series> =
        fresh.lines().filter(|line| !line.starts_with('#')).flat_map(series).collect();
    for (name, metric) in table.iter().filter(|(_, metric)| metric.kind == "counter") {
        for known in known_series(name, metric) {
            assert!(there.contains(&known), "{known:?} is there from the start:\n{fresh}");
        }
    }
    let prover = Prover::Http(WebAnswers::listen(server.ports().http).await);
    let mut client = Client::registered(&server.site()).await.expect("an account");
    let request = CertificateRequest::of(&["watched.example.org"]);
    let (_, chain) = client.issue(&["watched.example.org"], &request, &prover).await.expect("a certificate");
    let mut connection = ocsp::connect(&chain.ocsp_url());
    ocsp::get(&mut connection, &chain.ocsp_url(), &ocsp::request_for(&chain, Hash::Sha256))
        .await
        .expect("an answer");
    client.revoke(chain.leaf(), None).await.expect("an answer").expect(200);
    let busy = fetch(&url).await.expect("metrics").expect(200).text();
    assert!(!busy.contains("example.org"), "metrics name nobody's domain");

    let mut shown = BTreeSet::new();
    for line in busy.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            ["#", "TYPE", name, kind] => {
                let metric = table.get(name).unwrap_or_else(|| panic!("{name} is not in the handbook"));
                assert_eq!(metric.kind, kind, "{name}");
                shown.insert(name.to_owned());
            }
            ["#", ..] | [""] => {}
            _ => in_the_table(&table, &expression::read(line), line),
        }
    }
    // Faults are none, nobody speaks for others without being trusted, the admin API may not be there, and this CA has no
    // remote perspectives, no linters, no profile whose certificates go to logs, no signer of its own, and is no responder apart from it.
    let missing: Vec<&String> = table.keys().filter(|name| !shown.contains(*name)).collect();
    let may_miss = [
        "ingam_admin_requests_total",
        "ingam_faults_total",
        "ingam_linter_seconds",
        "ingam_linter_verdicts_total",
        "ingam_ocsp_delegated_issuers",
        "ingam_ocsp_manifest_timestamp_seconds",
        "ingam_perspective_answers_total",
        "ingam_perspective_seconds",
        "ingam_proxy_refusals_total",
        "ingam_signer_refusals_total",
        "ingam_transparency_seconds",
        "ingam_transparency_submission_seconds",
        "ingam_transparency_submissions_total",
    ];
    assert!(missing.iter().all(|name| may_miss.contains(&name.as_str())), "never shown: {missing:?}");
}

/// A metric's name and its labels with their values.
type Series = (String, BTreeMap<String, String>);

fn series(line: &str) -> Option<Series> {
    let selector = expression::read(line).selectors.pop()?;
    Some((selector.metric, selector.matchers.into_iter().map(|(label, _, value)| (label, value)).collect()))
}

/// Every series of a metric, if all values of its labels are known.
fn known_series(name: &str, metric: &Metric) -> Vec<Series> {
    let mut known = vec![(name.to_owned(), BTreeMap::new())];
    for (label, values) in &metric.labels {
        let longer = |(name, labels): &Series| {
            let with = |value: &String| {
                let mut labels = labels.clone();
                labels.insert(label.clone(), value.clone());
                (name.clone(), labels)
            };
            values.iter().map(with).collect::<Vec<_>>()
        };
        known = known.iter().flat_map(longer).collect();
    }
    known
}

/// Asserts that everything an expression asks for can be there.
#[track_caller]
fn in_the_table(table: &Table, asked: &Asked, place: &str) {
    let mut labels: BTreeSet<&str> = ADDED.into();
    for selector in &asked.selectors {
        let name = &selector.metric;
        let metric = find(table, name).unwrap_or_else(|| panic!("there is no metric {name}: {place}"));
        labels.extend(metric.labels.keys().map(String::as_str));
        for (label, operator, value) in &selector.matchers {
            let known = metric.labels.get(label);
            assert!(
                known.is_some() || ADDED.contains(&label.as_str()),
                "{name} has no label {label}: {place}"
            );
            let alternatives = if operator.ends_with('~') { value.split('|') } else { value.split('\0') };
            if let Some(values) = known.filter(|values| !values.is_empty()) {
                for one in alternatives {
                    assert!(values.contains(one), "{label} of {name} is never {one}: {place}");
                }
            }
        }
    }
    for label in &asked.grouped_by {
        assert!(labels.contains(label.as_str()), "nothing there has the label {label}: {place}");
    }
}

/// Every expression of the dashboards, with the legend that goes with it.
fn dashboard_expressions() -> Vec<(String, String, String)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(root().join("config/grafana")).expect("dashboards") {
        let path = entry.expect("a readable folder").path();
        let text = std::fs::read_to_string(&path).expect("a readable file");
        let dashboard: Value = serde_json::from_str(&text).expect("JSON");
        let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
        let text = |value: &Value| value.as_str().unwrap_or("").to_owned();
        let place = |what: &Value| format!("{} in {}", text(what), path.display());
        for annotation in list(&dashboard["annotations"]["list"]) {
            found.push((
                place(&annotation["name"]),
                text(&annotation["expr"]),
                text(&annotation["titleFormat"]),
            ));
        }
        for panel in list(&dashboard["panels"]) {
            for target in list(&panel["targets"]) {
                found.push((place(&panel["title"]), text(&target["expr"]), text(&target["legendFormat"])));
            }
        }
        for variable in list(&dashboard["templating"]["list"]) {
            let query = text(&variable["query"]["query"]);
            if let Some((metric, label)) = query
                .strip_prefix("label_values(")
                .and_then(|inside| inside.trim_end_matches(')').split_once(", "))
            {
                found.push((
                    place(&variable["name"]),
                    format!("count by ({label}) ({metric})"),
                    String::new(),
                ));
            }
        }
    }
    found
}

#[test]
fn dashboards_ask_for_what_there_is() {
    let table = table();
    let expressions = dashboard_expressions();
    assert!(expressions.len() > 100, "six dashboards: {}", expressions.len());
    for (place, text, legend) in expressions {
        let asked = expression::read(&text);
        in_the_table(&table, &asked, &format!("{place}: {text}"));
        // A legend may name what the expression leaves of the labels.
        let named = legend.split("{{").skip(1).filter_map(|part| part.split_once("}}"));
        let labels: Vec<String> = named.map(|(label, _)| label.to_owned()).collect();
        in_the_table(&table, &Asked { grouped_by: labels, ..asked }, &format!("the legend of {place}"));
    }
}

/// An alert, as it stands in rules.yml.
#[derive(Debug, Default)]
struct Alert {
    name: String,
    expression: String,
    keys: BTreeMap<String, String>,
}

/// Reads the file as it is written here: a key a line, long expressions on lines of their own.
fn alerts() -> Vec<Alert> {
    let mut alerts: Vec<Alert> = Vec::new();
    let text = file("config/prometheus/rules.yml");
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let Some((key, value)) = line.trim_start_matches(['-', ' ']).split_once(": ") else { continue };
        let value = value.trim_matches(['\'', '"']);
        match (key, alerts.last_mut()) {
            ("alert", _) => alerts.push(Alert { name: value.to_owned(), ..Alert::default() }),
            ("expr", Some(alert)) if value == ">-" => {
                while let Some(more) = lines.next_if(|line| line.starts_with("          ")) {
                    alert.expression.push_str(more.trim_start());
                    alert.expression.push('\n');
                }
            }
            ("expr", Some(alert)) => value.clone_into(&mut alert.expression),
            (key, Some(alert)) => drop(alert.keys.insert(key.to_owned(), value.to_owned())),
            (_, None) => {}
        }
    }
    assert_eq!(alerts.len(), text.matches("- alert:").count());
    alerts
}

#[test]
fn alerts_ask_for_what_there_is_and_say_what_to_do() {
    let (table, runbook, tests) =
        (table(), file("docs/operations/alerts.md"), file("config/prometheus/tests.yml"));
    let headings: BTreeSet<&str> = runbook.lines().filter_map(|line| line.strip_prefix("### ")).collect();
    let alerts = alerts();
    for alert in &alerts {
        let name = alert.name.as_str();
        let asked = expression::read(&alert.expression);
        assert!(!asked.selectors.is_empty() || name == "IngamDown", "{name} asks for nothing: {alert:?}");
        in_the_table(&table, &asked, name);
        for key in ["summary", "description"] {
            assert!(alert.keys.get(key).is_some_and(|text| text.len() > 20), "{name} has a {key}: {alert:?}");
        }
        assert!(["critical", "warning"].contains(&alert.keys["severity"].as_str()), "{alert:?}");
        let anchor = format!("docs/operations/alerts.md#{}", name.to_lowercase());
        assert!(alert.keys["runbook_url"].ends_with(&anchor), "{alert:?}");
        assert!(headings.contains(name), "docs/operations/alerts.md has no ### {name}");
        assert!(tests.contains(&format!("alertname=\"{name}\"")), "tests.yml never sees {name} fire");
    }
    let names: BTreeSet<&str> = alerts.iter().map(|alert| alert.name.as_str()).collect();
    assert_eq!(headings, names, "every chapter is about an alert");
    for section in runbook.split("\n### ").skip(1) {
        for part in ["- Look at: ", "- Do: "] {
            assert!(section.contains(&format!("\n{part}")), "{part:?} in {section}");
        }
    }
    // What the tests of the alerts pretend can be there.
    let series = tests.lines().filter_map(|line| line.trim_start().strip_prefix("- series: '"));
    for series in series {
        in_the_table(&table, &expression::read(series.trim_end_matches('\'')), series);
    }
}
