//! The systemd units: what systemd itself says of them. The shipped ones, and the one that `ingam init` writes are read
//! without a complaint, and the sandbox leaves an exposure below 2.
//!
//! Not a failure: complaints about other units of this machine.

use std::path::{Path, PathBuf};

use ingam_tests::command::run;
use ingam_tests::service::Home;
use tokio::process::Command;

const INSTALL: &str = "Install systemd, on Debian with `apt-get install systemd`; it need not run";

/// systemd's own measure, from 0 to 10.
const EXPOSURE_BELOW: f64 = 2.0;

fn shipped() -> [PathBuf; 4] {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/systemd");
    ["ingam.service", "ingam-perspective.service", "ingam-signer.service", "ingam-responder.service"]
        .map(|name| folder.join(name))
}

async fn exposure(unit: &Path) -> f64 {
    let mut command = Command::new("systemd-analyze");
    command.args(["security", "--offline=true", "--no-pager"]).arg(unit);
    let finished = run(&mut command, INSTALL).await.succeeded();
    let text = finished.text();
    let (_, level) = text.rsplit_once("Overall exposure level for").expect("an overall exposure level");
    let level = level.split_whitespace().find_map(|word| word.parse().ok());
    level.unwrap_or_else(|| panic!("the overall exposure level is a number: {finished}"))
}

#[tokio::test]
async fn the_sandbox_is_tight() {
    for unit in shipped() {
        let level = exposure(&unit).await;
        assert!(level < EXPOSURE_BELOW, "the exposure of {} is {level}", unit.display());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_init_writes_is_read_without_a_complaint() {
    let home = Home::new();
    let unit = ["--systemd-unit".to_owned(), home.text("ca.service")];
    let arguments = [&home.settings("production")[..], &home.new_keys(), &unit].concat();
    let made = home.init("ca.toml", &arguments).await.succeeded();
    for mention in ["systemctl", "useradd", "chown", "temporary folders"] {
        assert!(made.text().contains(mention), "{mention} is among what to do next: {made}");
    }
    let text = std::fs::read_to_string(home.path("ca.service")).expect("a unit");
    let credential = format!("LoadCredential=issuer-passphrase:{}\n", home.text("issuer-passphrase"));
    for line in [&credential, &format!("ReadWritePaths={}\n", home.text("state"))] {
        assert!(text.contains(line.as_str()), "{line} is in {text}");
    }
    let config = std::fs::read_to_string(home.path("ca.toml")).expect("a configuration");
    assert!(config.contains("\n# passphrase_file"), "the service finds it among its credentials: {config}");
    assert!(exposure(&home.path("ca.service")).await < EXPOSURE_BELOW);

    let mut command = Command::new("systemd-analyze");
    command.arg("verify").arg(home.path("ca.service"));
    let finished = run(&mut command, INSTALL).await;
    let complaints: Vec<&str> = finished.stderr.lines().filter(|line| line.contains("ca.service")).collect();
    assert!(complaints.is_empty() && finished.status.success(), "{complaints:?}: {finished}");
}
