//! Free ports on loopback.
//!
//! They are taken below the range that the kernel gives to outgoing connections (32768 and up, by default):
//! a server that is killed and started again must find its ports free, whatever was dialled meanwhile.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, Ipv6Addr, TcpListener, UdpSocket};
use std::sync::Mutex;

use crate::random::Dice;

const LOWEST: u64 = 20_000;
const COUNT: u64 = 12_000;
const TRIES_MAX: usize = 1_000;

/// What this process has given out already; never given twice, since a server may be down for a moment.
static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());

/// A port that is free for TCP and UDP on 127.0.0.1, and for TCP on ::1 where there is IPv6.
pub fn free() -> u16 {
    // A seed of its own: two test runs side by side must not look at the same ports, whatever INGAM_SEED says.
    let mut dice = Dice::new(u64::from(std::process::id()) ^ Dice::new(Dice::seed_of_run()).word());
    for _ in 0..TRIES_MAX {
        let port = u16::try_from(LOWEST + dice.below(COUNT)).expect("the range ends below 65536");
        let mut given = GIVEN.lock().expect("no test panics with the list of ports in hand");
        if !given.contains(&port) && is_free(port) {
            given.insert(port);
            return port;
        }
    }
    panic!("no free port found on loopback between {LOWEST} and {}", LOWEST + COUNT);
}

fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
        && UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
        && (!has_ipv6() || TcpListener::bind((Ipv6Addr::LOCALHOST, port)).is_ok())
}

/// Whether this machine has ::1; some containers do not.
pub fn has_ipv6() -> bool {
    TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok()
}
