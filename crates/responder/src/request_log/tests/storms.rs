//! Any order of requests, holds, faults, power cuts, restarts and clocks that are put back: at no moment is anybody found in any
//! file or record, and no segment outlives its time by what really passed.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::time::Duration;

use ingam_protocol::Clock;
use ingam_protocol::time::{SeededRandom, random_array};

use super::super::Mode;
use super::world::*;

const MINUTE: Duration = Duration::from_secs(60);
const STORMS: u64 = 30;
const STEPS: usize = 80;

/// A world with the time that really passed in it, whatever its clock says.
struct Storm {
    world: World,
    random: SeededRandom,
    passed: Duration,
    /// When each segment was first seen.
    segments: BTreeMap<String, Duration>,
    /// How often the clock was put back: each time a minute may go unseen.
    jumps: u32,
}

impl Storm {
    fn new(seed: u64) -> Self {
        let mode = if seed.is_multiple_of(3) { Mode::Truncated } else { Mode::Full };
        Self {
            world: World::new(mode),
            random: SeededRandom::new(seed),
            passed: Duration::ZERO,
            segments: BTreeMap::new(),
            jumps: 0,
        }
    }

    fn chance(&self, of: u32) -> u32 {
        u32::from_be_bytes(random_array(&self.random)) % of
    }

    fn wait(&mut self, duration: Duration) {
        self.passed += duration;
        self.world.clock.advance(duration);
    }

    async fn step(&mut self) {
        match self.chance(14) {
            0..=3 => {
                self.world.note_from(PLANTED, 1);
                self.world.note_from(PLANTED_V6, 2);
            }
            4 => self.wait(Duration::from_secs(6)),
            5 => self.wait(HOUR),
            6 => self.wait(DAY),
            7 => {
                let selection = match self.chance(2) {
                    0 => self.world.of_serial(1),
                    _ => self.world.of_network("203.0.113.0/24"),
                };
                let _ = self.world.log.hold_open(self.world.new_hold(selection), Vec::new()).await;
            }
            8 => {
                for hold in self.world.log.holds() {
                    let _ = self.world.log.hold_requests(hold.id, 0, 100).await;
                    let _ = self.world.log.hold_close(hold.id, Vec::new()).await;
                }
            }
            9 => self.world.disk.set_room(Some(u64::from(self.chance(3000)))),
            10 => self.world.disk.fail_after(u64::from(self.chance(12)), ErrorKind::Other),
            11 => {
                self.world.disk.stop_after(u64::from(self.chance(12)));
                let _ = self.world.log.tick().await;
                self.world.disk.power_cut(&self.random);
                self.world.restart();
            }
            12 => {
                self.world.log.run(std::future::ready(())).await;
                self.world.disk.heal();
                self.world.restart();
            }
            _ => {
                // Seen by the running process, or by the next one.
                let back = MINUTE * (1 + self.chance(3 * 24 * 60));
                let _ = self.world.log.tick().await;
                self.world.clock.set(self.world.clock.now().minus(back));
                self.jumps += 1;
                if self.chance(2) == 0 {
                    self.world.disk.heal();
                    self.world.restart();
                }
            }
        }
        let _ = self.world.log.tick().await;
    }

    /// With a disk that works again, nothing is there whose time is over.
    async fn check(&mut self) {
        self.world.disk.heal();
        self.world.assert_nobody_is_found();
        self.world.disk.set_room(None);
        self.world.log.tick().await.unwrap();
        for name in self.world.names(".requests") {
            let age = self.passed - *self.segments.entry(name.clone()).or_insert(self.passed);
            assert!(age <= 7 * DAY + MINUTE * self.jumps, "{name} is {age:?} old after {} jumps", self.jumps);
        }
        assert!(!self.world.log.condition().is_overdue);
    }
}

#[tokio::test]
async fn whatever_happens_nobody_is_found_and_everything_goes_in_time() {
    for seed in 0..STORMS {
        let mut storm = Storm::new(seed);
        for _ in 0..STEPS {
            storm.step().await;
            storm.check().await;
        }
        // And at the end of all times there is nothing but zeros behind the head.
        storm.wait(100 * DAY);
        storm.check().await;
        storm.world.log.tick().await.unwrap();
        assert!(storm.world.names("").iter().all(|name| name == "keys"), "{seed}");
        let keys = storm.world.disk.contents("keys").unwrap_or_default();
        assert!(keys.iter().skip(256).all(|byte| *byte == 0), "{seed}");
    }
}
