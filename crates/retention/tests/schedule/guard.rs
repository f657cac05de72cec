//! A clock that jumps destroys nothing until somebody has looked at it.

use std::time::Duration;

use ingam_protocol::time::Clock as _;
use ingam_retention::{Config, Error, LEAP_MAX};

use crate::made::{DAY, run, start};
use crate::world::{Seen, World};

#[test]
fn a_clock_far_ahead_is_not_believed() {
    let (world, _) = World::filled();
    let before = world.look();
    world.clock.set(start().plus(DAY * 20_000));
    let running = world.open(&Config::default()).unwrap();
    for _ in 0..2 {
        // However often it is asked.
        let refused = run(running.retention.sweep());
        assert!(matches!(refused, Err(Error::Leap { last, .. }) if last == start()), "{refused:?}");
        assert_eq!(running.retention.condition().failure, Some("retention_clock"));
        assert!(running.retention.condition().leap.is_some());
    }
    assert_eq!(Seen::of(&running.open), before);

    // Put right again, it goes on by itself.
    world.clock.set(start().plus(DAY));
    run(running.retention.sweep()).unwrap();
    assert_eq!(running.retention.condition().leap, None);
    running.close();
}

#[test]
fn small_steps_are_believed_and_others_when_somebody_says_so() {
    let (world, _) = World::filled();
    let running = world.open(&Config::default()).unwrap();
    run(running.retention.sweep()).unwrap();
    world.clock.advance(LEAP_MAX);
    run(running.retention.sweep()).unwrap();
    let at = world.clock.now();
    world.clock.advance(LEAP_MAX + Duration::from_millis(1));
    assert!(matches!(run(running.retention.sweep()), Err(Error::Leap { last, .. }) if last == at));
    run(running.retention.confirm()).unwrap();
    run(running.retention.sweep()).unwrap();
    // Put back, nothing is due that was not.
    world.clock.set(start());
    run(running.retention.sweep()).unwrap();
    running.close();
}
