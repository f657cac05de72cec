//! Randomness with a seed, so that a failed run can be run again.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

/// A SplitMix64 generator: enough for choosing moments and names, and nothing else.
#[derive(Debug, Clone)]
pub struct Dice {
    state: u64,
}

impl Dice {
    /// The seed is `INGAM_SEED`, or else a new one; the caller prints [`Dice::seed_of_run`] with every failure.
    pub fn seed_of_run() -> u64 {
        match std::env::var("INGAM_SEED") {
            Ok(text) => text.parse().expect("INGAM_SEED is a decimal number"),
            Err(_) => RandomState::new().build_hasher().finish(),
        }
    }

    /// A generator that always gives the same row for the same seed.
    pub fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// The next 64 bits.
    pub fn word(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut word = self.state;
        word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        word ^ (word >> 31)
    }

    /// A number from 0 to `bound` less one; `bound` is not zero.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.word() % bound
    }

    /// A duration between the two, in whole milliseconds.
    pub fn between(&mut self, least: Duration, most: Duration) -> Duration {
        let span = u64::try_from((most - least).as_millis()).expect("spans of tests are short");
        least + Duration::from_millis(self.below(span + 1))
    }
}
