//! Each state in a real browser: Debian's Chromium, driven by tests/browser/check.mjs, with axe-core as the judge.
//!
//! `INGAM_PICTURES=FOLDER` has a picture of each put into FOLDER.

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use axum::Extension;
use ingam_operator::Peer;
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio::time::timeout;

use crate::states::{self, State};
use crate::world::VISITOR;

/// How long the browser may take for all of it.
const LIMIT: Duration = Duration::from_secs(300);

/// Serves a state on a free port of loopback, to whoever asks as the visitor; gives the page's URL.
async fn serve(state: &State) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let peer = Peer { principal: VISITOR, from: "unix".to_owned() };
    let router = state.router.clone().layer(Extension(peer));
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/browser")
}

async fn check(pages: &[String]) -> Output {
    assert!(
        folder().join("node_modules/axe-core").is_dir(),
        "the browser's checks are not installed: run `npm ci` in tests/browser, or scripts/test as root"
    );
    let mut command = Command::new("node");
    command.arg("check.mjs").current_dir(folder()).stdin(Stdio::null()).kill_on_drop(true);
    if let Some(pictures) = std::env::var_os("INGAM_PICTURES") {
        command.arg("--pictures").arg(pictures);
    }
    let ended = timeout(LIMIT, command.args(pages).output()).await;
    ended.expect("the browser is done in time").expect("node can be started: install nodejs")
}

#[tokio::test(flavor = "multi_thread")]
async fn every_state_can_be_read_by_everybody() {
    let states = states::all().await;
    let mut pages = Vec::new();
    for state in &states {
        pages.push(format!("{}={}", state.name, serve(state).await));
    }
    let output = check(&pages).await;
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told}{}", String::from_utf8_lossy(&output.stderr));
    let good = told.lines().filter(|line| line.starts_with("good")).count();
    assert_eq!(good, 4 * states.len(), "each of them wide and narrow, light and dark:\n{told}");
}
