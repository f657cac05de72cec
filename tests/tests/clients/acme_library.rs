//! The acme library of PyPI, which certbot is built on, through tests/clients/acme-library.py.

use std::path::Path;

use ingam_tests::command::installed;
use tokio::process::Command;

use crate::driver::{self, Driver};
use crate::matrix::{Ability, Column, Story};
use crate::world::{World, version};

pub static STORY: Story = Story::new(|| Box::pin(story()));

const LACKING: &[(Ability, &str)] =
    &[(Ability::TlsAlpn01, "the library has dropped it"), (Ability::KeyRollover, "no function for it")];

#[test]
fn story_of_acme_library() {
    STORY.succeeds();
}

fn program() -> Command {
    let mut command = Command::new(installed("bin/python"));
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/acme-library.py"));
    command
}

async fn story() -> Column {
    let mut asking = Command::new(installed("bin/python"));
    asking.args(["-c", "import importlib.metadata as metadata; print(metadata.version('acme'))"]);
    let mut world = World::of("acme (PyPI)", version(&mut asking).await).await;
    world.lacks(LACKING);
    driver::account(&mut world, program).await;
    driver::certificates(&mut world, program).await;
    renewal_info(&mut world).await;
    let wild = Driver::of(&world, "driver", program);
    wild.run(&["revoke", "wild", "1", "certificate"]).await;
    world.is_revoked(&wild.chain("wild"), Some("keyCompromise")).await;
    world.shows(Ability::RevokeByCertificateKey);
    driver::last(&mut world, program).await;
    world.end()
}

async fn renewal_info(world: &mut World) {
    let Some(url) = world.renewal_info() else { return };
    let before = world.requests(&url).await;
    let when = Driver::of(world, "driver", program).run(&["renewal", "wild"]).await;
    assert!(!when.trim().is_empty(), "the library is told when to renew");
    assert!(world.requests(&url).await > before, "the library asks when to renew");
    world.shows(Ability::RenewalInfo);
}
