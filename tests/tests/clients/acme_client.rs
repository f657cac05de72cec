//! acme-client of npm, through tests/clients/acme-client/main.mjs.

use std::path::{Path, PathBuf};

use tokio::process::Command;

use crate::driver::{self, Driver};
use crate::matrix::{Ability, Column, Story};
use crate::world::World;

pub static STORY: Story = Story::new(|| Box::pin(story()));

const LACKING: &[(Ability, &str)] = &[
    (Ability::RenewalInfo, "no function for it"),
    (Ability::RevokeByCertificateKey, "its function signs with the account's key alone"),
];

#[test]
fn story_of_acme_client() {
    STORY.succeeds();
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/acme-client")
}

fn program() -> Command {
    let mut command = Command::new("node");
    command.arg(folder().join("main.mjs"));
    command
}

fn installed_version() -> String {
    let path = folder().join("node_modules/acme-client/package.json");
    let text = std::fs::read_to_string(&path);
    let text = text.unwrap_or_else(|error| panic!("{}: {error}. Run `scripts/test` once", path.display()));
    let package: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    package["version"].as_str().expect("a version").to_owned()
}

async fn story() -> Column {
    let mut world = World::of("acme-client (npm)", installed_version()).await;
    world.lacks(LACKING);
    driver::account(&mut world, program).await;
    let account = world.account().await;
    Driver::of(&world, "driver", program).run(&["rollover"]).await;
    let rolled = world.account().await;
    assert_eq!(rolled.id, account.id);
    assert_ne!(rolled.thumbprint, account.thumbprint, "the account has another key now");
    world.shows(Ability::KeyRollover);

    driver::certificates(&mut world, program).await;
    let name = "alpn.library.example.org";
    let driver = Driver::of(&world, "driver", program);
    let chain = driver.issue(["alpn", "tls-alpn-01", "ec", "-"], &[name]).await;
    world.is_issued(&chain, &[name]).await;
    world.shows(Ability::TlsAlpn01);
    driver::last(&mut world, program).await;
    world.end()
}
