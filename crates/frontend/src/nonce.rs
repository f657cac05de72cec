//! Nonces (RFC 8555, section 6.5): valid once, without a table of them.
//!
//! A nonce is an authenticated counter: `node 4 | counter 8 | tag 16`, base64url. Node and key are made anew with each
//! process: a nonce of another node, of one that is gone or of this machine's earlier process names another node, is
//! refused like any other that is not good, and the client goes on with the fresh one that comes with the refusal. So no
//! node asks another, and each nonce is good once wherever it is sent.
//!
//! A bitmap over the last [`WINDOW`] counters remembers which were used. What is older is refused. Constant memory, no disk.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use ingam_protocol::bytes::{base64url, from_base64url, hex};
use ingam_protocol::time::{Random, random_array};
use ring::hmac::{HMAC_SHA256, Key, sign};

/// How many nonces may be out at once: 2 MiB of bits. Older ones are refused.
const WINDOW: u64 = 1 << 24;

const NODE_BYTES: usize = 4;
const COUNTER_BYTES: usize = 8;
const TAG_BYTES: usize = 16;

/// The process that made a nonce: of chance, made at its start.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct NodeId([u8; NODE_BYTES]);

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

/// The nonces of one process.
pub struct Nonces {
    node: NodeId,
    key: Key,
    /// Held for a counter and a bit alone: tags are made outside.
    used: Mutex<Used>,
}

struct Used {
    /// The next counter to be given out.
    next: u64,
    /// A bit for each of the last `WINDOW` counters, set once it was used.
    bits: Vec<u64>,
}

impl Nonces {
    /// A node and a key of its own.
    pub fn new(random: &dyn Random) -> Self {
        let key = Key::new(HMAC_SHA256, &random_array::<32>(random));
        let words = usize::try_from(WINDOW / 64).unwrap_or_default();
        let node = NodeId(random_array(random));
        Self { node, key, used: Mutex::new(Used { next: 0, bits: vec![0; words] }) }
    }

    /// Who makes them.
    pub fn node(&self) -> NodeId {
        self.node
    }

    /// A fresh nonce.
    pub fn issue(&self) -> String {
        let counter = {
            let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
            let counter = used.next;
            used.next += 1;
            // The place belonged to the counter that leaves the window now.
            if let Some((word, bit)) = used.place(counter) {
                *word &= !bit;
            }
            counter
        };
        base64url(&self.bytes(counter))
    }

    /// Uses a nonce up. `false` if it was used before, is too old, or was not made by this process.
    pub fn redeem(&self, nonce: &str) -> bool {
        let Some(bytes) = from_base64url(nonce) else { return false };
        let Some((node, rest)) = bytes.split_first_chunk::<NODE_BYTES>() else { return false };
        // Who made it is no secret; no tag is computed for another node's.
        if *node != self.node.0 {
            return false;
        }
        let Some((counter, _)) = rest.split_first_chunk::<COUNTER_BYTES>() else { return false };
        let counter = u64::from_be_bytes(*counter);
        let genuine = self.bytes(counter);
        // The tag is the secret part: its comparison takes the same time wherever the first difference is.
        let differs = genuine.iter().zip(&bytes).fold(0, |differs, (a, b)| differs | (a ^ b));
        if bytes.len() != genuine.len() || differs != 0 {
            return false;
        }
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        if counter >= used.next || used.next - counter > WINDOW {
            return false;
        }
        match used.place(counter) {
            Some((word, bit)) if *word & bit == 0 => {
                *word |= bit;
                true
            }
            _ => false,
        }
    }

    fn bytes(&self, counter: u64) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(NODE_BYTES + COUNTER_BYTES + TAG_BYTES);
        bytes.extend(self.node.0);
        bytes.extend(counter.to_be_bytes());
        let tag = sign(&self.key, &bytes);
        bytes.extend(tag.as_ref().iter().take(TAG_BYTES));
        bytes
    }
}

impl Used {
    fn place(&mut self, counter: u64) -> Option<(&mut u64, u64)> {
        let index = counter % WINDOW;
        let word = self.bits.get_mut(usize::try_from(index / 64).ok()?)?;
        Some((word, 1 << (index % 64)))
    }
}

#[cfg(test)]
mod tests {
    use ingam_protocol::time::SeededRandom;

    use super::*;

    #[test]
    fn a_nonce_is_good_once() {
        let nonces = Nonces::new(&SeededRandom::new(1));
        let (first, second) = (nonces.issue(), nonces.issue());
        assert_ne!(first, second);
        assert!(nonces.redeem(&second));
        assert!(!nonces.redeem(&second));
        assert!(nonces.redeem(&first));
    }

    #[test]
    fn foreign_changed_and_future_ones_are_refused() {
        let nonces = Nonces::new(&SeededRandom::new(1));
        let other = Nonces::new(&SeededRandom::new(2));
        let nonce = nonces.issue();
        assert!(!other.redeem(&nonce));
        assert!(!nonces.redeem(&base64url(&nonces.bytes(7))));
        for bad in ["", "A", "not base64url!", &format!("{nonce}A"), &nonce[..nonce.len() - 2]] {
            assert!(!nonces.redeem(bad), "{bad}");
        }
        assert!(nonces.redeem(&nonce));
    }

    #[test]
    fn a_nonce_names_its_node() {
        let nonces = Nonces::new(&SeededRandom::new(1));
        let bytes = from_base64url(&nonces.issue()).unwrap();
        assert_eq!(hex(&bytes[..NODE_BYTES]), nonces.node().to_string());
        assert!(nonces.node() != Nonces::new(&SeededRandom::new(2)).node());
        // Under another's name, its own tag does not help.
        let mut renamed = bytes.clone();
        renamed[0] ^= 1;
        assert!(!nonces.redeem(&base64url(&renamed)));
        assert!(nonces.redeem(&base64url(&bytes)));
    }

    #[test]
    fn a_flood_takes_no_memory() {
        let nonces = Nonces::new(&SeededRandom::new(1));
        let words = |nonces: &Nonces| nonces.used.lock().unwrap().bits.capacity();
        let before = words(&nonces);
        let first = nonces.issue();
        for _ in 0..1_000_000 {
            nonces.issue();
        }
        assert_eq!(words(&nonces), before);
        // What was out before it is still good, as the window is far larger.
        assert!(nonces.redeem(&first) && !nonces.redeem(&first));
    }

    #[test]
    fn what_left_the_window_is_refused_and_its_place_is_free() {
        let nonces = Nonces::new(&SeededRandom::new(1));
        let old = nonces.issue();
        let kept = nonces.issue();
        assert!(nonces.redeem(&kept));
        nonces.used.lock().unwrap().next = WINDOW;
        // Takes the place of `old`'s counter.
        let fresh = nonces.issue();
        assert!(!nonces.redeem(&old));
        assert!(nonces.redeem(&fresh));
        assert!(!nonces.redeem(&kept));
    }
}
