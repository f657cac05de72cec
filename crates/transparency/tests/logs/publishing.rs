//! Certificates are shown to the logs whose SCTs they carry, later, again and again, and never for anybody to wait.

use std::time::Duration;

use ingam_transparency::local_log::Mood;
use ingam_transparency::{Config, Submission, Transparency};
use tokio::time::timeout;

use crate::ca::World;

/// Lets the publisher work for this long.
async fn publish_for(world: &World, seconds: u64) {
    let _ = timeout(Duration::from_secs(seconds), world.service.run_publisher()).await;
}

fn sizes(world: &World) -> Vec<u64> {
    world.logs.logs().iter().map(|log| log.size()).collect()
}

async fn certificate(world: &World, name: &str) -> Submission {
    let precertificate = world.ca.precertificate(name, 90);
    let submission = Submission::new(precertificate.clone(), world.ca.chain()).unwrap();
    let scts = world.service.scts(&submission).await.unwrap();
    Submission::new(world.ca.finished(&precertificate, &scts), world.ca.chain()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn the_logs_that_promised_get_the_certificate() {
    let world = World::new();
    let certificate = certificate(&world, "a.example").await;
    let before = sizes(&world);
    world.service.publish(certificate);
    assert_eq!(sizes(&world), before, "nobody waits for it");
    publish_for(&world, 1).await;
    let grown: Vec<u64> = before.iter().map(|size| size * 2).collect();
    assert_eq!(sizes(&world), grown);
}

#[tokio::test(start_paused = true)]
async fn a_certificate_without_scts_is_shown_to_any() {
    let world = World::new();
    let certificate = world.ca.certificate("a.example", 90, Vec::new());
    world.service.publish(Submission::new(certificate, world.ca.chain()).unwrap());
    publish_for(&world, 1).await;
    assert_eq!(sizes(&world).iter().sum::<u64>(), 2);
}

#[tokio::test(start_paused = true)]
async fn logs_that_are_down_are_tried_again_and_given_up() {
    let world = World::with(Config::default(), &[("a", "Aaron"), ("b", "Berta")]);
    let certificate = certificate(&world, "a.example").await;
    world.set("a", Mood::Fails);
    world.service.publish(certificate.clone());
    publish_for(&world, 7).await;
    assert_eq!(sizes(&world), [1, 2]);
    world.set("a", Mood::Good);
    publish_for(&world, 1).await;
    assert_eq!(sizes(&world), [1, 2], "what is in hand when the publisher ends is not shown");
    world.set("a", Mood::Fails);
    world.service.publish(certificate);
    let publisher = publish_for(&world, 60);
    let mended = async {
        tokio::time::sleep(Duration::from_secs(8)).await;
        world.set("a", Mood::Good);
    };
    tokio::join!(publisher, mended);
    assert_eq!(sizes(&world), [2, 2], "it is tried again");
}

#[tokio::test(start_paused = true)]
async fn what_does_not_fit_into_the_queue_is_let_go() {
    let config = Config { publications_waiting_max: 2, ..Config::default() };
    let world = World::with(config, &[("a", "Aaron"), ("b", "Berta")]);
    for number in 0..9 {
        let certificate = world.ca.certificate(&format!("{number}.example"), 90, Vec::new());
        world.service.publish(Submission::new(certificate, world.ca.chain()).unwrap());
    }
    publish_for(&world, 1).await;
    assert_eq!(sizes(&world), [2, 2]);
}
