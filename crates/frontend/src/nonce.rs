//! Nonces (RFC 8555, section 6.5): valid once, without a table of them.
//!
//! A nonce is an authenticated counter: `node 4 | counter 8 | tag 16`, base64url. The key is made anew with each process,
//! so an earlier process's nonces mean nothing; a bitmap over the last [`WINDOW`] counters remembers which were used. What
//! is older is refused: the client gets a fresh one and tries again. Constant memory, no disk.

use std::sync::{Mutex, PoisonError};

use ingam_protocol::bytes::{base64url, from_base64url};
use ingam_protocol::time::{Random, random_array};
use ring::hmac::{HMAC_SHA256, Key, sign};

/// How many nonces may be out at once: 2 MiB of bits. Older ones are refused.
const WINDOW: u64 = 1 << 24;

const TAG_BYTES: usize = 16;

pub(crate) struct Nonces {
    node: [u8; 4],
    key: Key,
    used: Mutex<Used>,
}

struct Used {
    /// The next counter to be given out.
    next: u64,
    /// A bit for each of the last `WINDOW` counters, set once it was used.
    bits: Vec<u64>,
}

impl Nonces {
    pub(crate) fn new(random: &dyn Random) -> Self {
        let key = Key::new(HMAC_SHA256, &random_array::<32>(random));
        let words = usize::try_from(WINDOW / 64).unwrap_or_default();
        Self { node: random_array(random), key, used: Mutex::new(Used { next: 0, bits: vec![0; words] }) }
    }

    /// A fresh nonce.
    pub(crate) fn issue(&self) -> String {
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
    pub(crate) fn redeem(&self, nonce: &str) -> bool {
        let Some(bytes) = from_base64url(nonce) else { return false };
        let counter = bytes.get(4..12).and_then(|bytes| bytes.try_into().ok()).map(u64::from_be_bytes);
        let Some(counter) = counter else { return false };
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
        let mut bytes = [self.node.as_slice(), &counter.to_be_bytes()].concat();
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
