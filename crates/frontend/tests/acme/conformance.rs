//! Proves that docs/conformance.md is what it says: each row names tests that are there, and rows of their tables that are.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// A test that a row of the document names: `crate::file::function`, and rows of its table.
struct Named {
    path: String,
    rows: Vec<String>,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The cells of each row of each table, without the heads of the tables.
fn rows(document: &str) -> Vec<Vec<String>> {
    let cells = |line: &str| line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect();
    let lines = document.lines().filter(|line| line.starts_with('|'));
    lines.filter(|line| !line.starts_with("| section") && !line.starts_with("|---")).map(cells).collect()
}

/// What a cell names: texts in backticks are tests, texts in quotation marks are rows of the test before them.
fn named(cell: &str) -> Vec<Named> {
    let mut tests: Vec<Named> = Vec::new();
    let mut rest = cell;
    while let Some(start) = rest.find(['`', '"']) {
        let (mark, after) = rest[start..].split_at(1);
        let Some((text, behind)) = after.split_once(mark) else { break };
        match (mark, tests.last_mut()) {
            ("`", _) => tests.push(Named { path: text.to_owned(), rows: Vec::new() }),
            (_, Some(test)) => test.rows.push(text.to_owned()),
            (_, None) => panic!("a row of no test: {cell}"),
        }
        rest = behind;
    }
    tests
}

/// Every file of Rust below a folder.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

/// What is wrong with a test's name; nothing if its file has that test and these rows.
fn mistake(test: &Named) -> Option<String> {
    let mut parts: Vec<&str> = test.path.split("::").collect();
    let (Some(function), true) = (parts.pop(), parts.len() >= 2) else {
        return Some("a test is named crate::file::function".to_owned());
    };
    let package = parts.remove(0);
    let folder =
        if package == "tests" { root().join("tests/tests") } else { root().join("crates").join(package) };
    if !folder.is_dir() {
        return Some(format!("there is no crate {package}"));
    }
    let end: PathBuf = parts.iter().collect::<PathBuf>().with_extension("rs");
    let texts = sources(&folder).into_iter().filter(|path| path.ends_with(&end));
    let texts: Vec<String> = texts.map(|path| std::fs::read_to_string(path).unwrap()).collect();
    let Some(text) = texts.iter().find(|text| tests_of(text).contains(function)) else {
        return Some(format!("no file {} has this test", end.display()));
    };
    let missing = test.rows.iter().find(|row| !text.contains(&format!("\"{row}\"")));
    missing.map(|row| format!("it has no row \"{row}\""))
}

/// The names of the functions that are tests.
fn tests_of(source: &str) -> BTreeSet<&str> {
    let mut tests = BTreeSet::new();
    let mut is_test = false;
    for line in source.lines().map(str::trim) {
        let name =
            line.trim_start_matches("async ").strip_prefix("fn ").and_then(|rest| rest.split('(').next());
        match name {
            Some(name) if is_test => drop(tests.insert(name)),
            Some(_) => {}
            None if line.starts_with("#[test]") || line.starts_with("#[tokio::test") => {
                is_test = true;
                continue;
            }
            // Other attributes and comments may stand between.
            None if line.starts_with('#') || line.starts_with("//") => continue,
            None => {}
        }
        is_test = false;
    }
    tests
}

#[test]
fn every_row_names_tests_that_are_there() {
    let document = std::fs::read_to_string(root().join("docs/conformance.md")).unwrap();
    let rows = rows(&document);
    let mut mistakes = Vec::new();
    for row in &rows {
        let [section, level, requirement, _, tests] = &row[..] else {
            mistakes.push(format!("a row of {} cells: {row:?}", row.len()));
            continue;
        };
        if section.is_empty()
            || requirement.is_empty()
            || !["MUST", "SHOULD", "MAY"].contains(&level.as_str())
        {
            mistakes.push(format!("section, level or requirement is missing: {row:?}"));
        }
        let tests = named(tests);
        if tests.is_empty() {
            mistakes.push(format!("{section}, {requirement}: no test"));
        }
        for test in &tests {
            mistakes.extend(mistake(test).map(|why| format!("{section}, {}: {why}", test.path)));
        }
    }
    assert!(mistakes.is_empty(), "{}", mistakes.join("\n"));
    assert!(rows.len() > 100, "the tables are there: {}", rows.len());
}

/// The check itself finds what it is there for.
#[test]
fn a_row_without_a_test_or_with_a_wrong_one_is_found() {
    let own = "frontend::conformance::every_row_names_tests_that_are_there";
    let test = |path: &str, rows: &[&str]| Named {
        path: path.to_owned(),
        rows: rows.iter().map(|row| (*row).to_owned()).collect(),
    };
    assert!(mistake(&test(own, &["MUST"])).is_none());
    for wrong in [
        test("every_row_names_tests_that_are_there", &[]),
        test("nowhere::conformance::every_row_names_tests_that_are_there", &[]),
        test("frontend::router::every_row_names_tests_that_are_there", &[]),
        test("frontend::conformance::mistake", &[]),
        // Spelled otherwise here than it is.
        test(own, &["a row that\u{20}nobody wrote"]),
    ] {
        assert!(mistake(&wrong).is_some(), "{}", wrong.path);
    }
    assert!(named("").is_empty() && named("see above").is_empty());
    let both = named("`a::b::c` \"one\", \"two\" and `d::e::f`");
    assert_eq!((both.len(), both[0].rows.len(), both[1].path.as_str()), (2, 2, "d::e::f"));
}
