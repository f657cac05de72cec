//! Proves that whatever clients send in whatever order, and wherever the process ends in between, the CA as a whole
//! stays consistent. Each sequence is made from its seed alone: several accounts, orders, challenges that succeed and
//! fail, certificates good and revoked, a clock that moves, a signer and a network that hang or fail, restarts and power
//! cuts. After each request everything is looked at: see [`watch`].
//!
//! What is not a failure: a finalize that fails because the signer does (the only 5xx there is), and the loss of what
//! nobody was told of when the power goes.

mod sequence;
pub(crate) mod watch;

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::world::hierarchy;
use sequence::{Keys, run};
use watch::Tally;

const SEQUENCES: u64 = 300;
const REQUESTS: usize = 40;

#[test]
fn whatever_is_asked_in_whatever_order_the_ca_stays_consistent() {
    let hierarchy = hierarchy();
    let keys = Keys::new();
    // Another range of seeds can be asked for: `INGAM_SEED=1000 cargo test -p ingam-frontend properties`.
    let first = std::env::var("INGAM_SEED").map_or(0, |text| text.parse().unwrap());
    let one = |seed: u64| {
        let result = catch_unwind(AssertUnwindSafe(|| run(&hierarchy, &keys, seed, REQUESTS)));
        result.unwrap_or_else(|_| panic!("the sequence of seed {seed} failed: INGAM_SEED={seed} repeats it"))
    };
    let tallies = std::thread::scope(|scope| {
        let half = |rest: u64| (first..first + SEQUENCES).filter(move |seed| seed / 2 % 2 == rest).map(one);
        let other = scope.spawn(move || half(1).collect::<Vec<_>>());
        let mut tallies: Vec<Tally> = half(0).collect();
        tallies.extend(other.join().unwrap());
        tallies
    });
    let sum = |of: fn(&Tally) -> usize| tallies.iter().map(of).sum::<usize>();
    let total = Tally {
        valid: sum(|tally| tally.valid),
        failed: sum(|tally| tally.failed),
        revoked: sum(|tally| tally.revoked),
        abandoned: sum(|tally| tally.abandoned),
        late: sum(|tally| tally.late),
        replaced: sum(|tally| tally.replaced),
    };
    println!("over all sequences: {total:?}");
    assert!(total.valid >= 100 && total.failed >= 100 && total.revoked >= 20, "{total:?}");
    assert!(total.abandoned >= 10 && total.late >= 1 && total.replaced >= 10, "{total:?}");
}
