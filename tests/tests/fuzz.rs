//! The fuzz targets are in their manifest, which is a workspace of its own: each source file is a target, and the page that tells
//! how to run them has a line for it. Whether they compile, `scripts/test` looks.
//!
//! Not a failure: that nothing is fuzzed here.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use ingam_tests::command::run;
use serde_json::Value;
use tokio::process::Command;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz")
}

/// The targets that cargo finds in the manifest.
async fn targets() -> BTreeSet<String> {
    let mut command = Command::new("cargo");
    command.args(["metadata", "--offline", "--no-deps", "--format-version", "1", "--manifest-path"]);
    command.arg(folder().join("Cargo.toml"));
    let finished = run(&mut command, "Install Rust by rustup").await.succeeded();
    let told: Value = serde_json::from_slice(&finished.stdout).expect("JSON");
    let targets = told["packages"][0]["targets"].as_array().expect("a package has targets");
    targets.iter().map(|target| target["name"].as_str().expect("a name").to_owned()).collect()
}

#[tokio::test]
async fn every_source_file_is_a_target_and_has_its_line() {
    let files = std::fs::read_dir(folder().join("fuzz_targets")).expect("the targets are there");
    let sources: BTreeSet<String> = files
        .map(|entry| entry.expect("a readable folder").path())
        .map(|path| path.file_stem().expect("a name").to_string_lossy().into_owned())
        .collect();
    assert!(sources.len() > 20, "{sources:?}");
    assert_eq!(targets().await, sources);
    let page = std::fs::read_to_string(folder().join("README.md")).expect("the page is there");
    let told: BTreeSet<String> = page
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once("` |"))
        .map(|(name, _)| name.to_owned())
        .collect();
    assert_eq!(told, sources);
}
