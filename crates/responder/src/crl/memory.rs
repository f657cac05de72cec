//! Bytes of lists in memory, up to a limit that holds at every moment: lists are large, so what is too much goes at once.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The lists that were asked for last, by file.
pub(super) struct Memory {
    bytes_max: u64,
    bytes: u64,
    /// Rises with each use.
    uses: u64,
    kept: HashMap<PathBuf, Kept>,
}

struct Kept {
    body: Arc<Vec<u8>>,
    used: u64,
}

impl Memory {
    pub(super) fn new(bytes_max: u64) -> Self {
        Self { bytes_max, bytes: 0, uses: 0, kept: HashMap::new() }
    }

    /// Keeps the bytes of this file, in place of any others of it, as those that were asked for last.
    pub(super) fn keep(&mut self, file: &Path, body: &Arc<Vec<u8>>) {
        self.uses += 1;
        let used = self.uses;
        if let Some(kept) = self.kept.get_mut(file).filter(|kept| Arc::ptr_eq(&kept.body, body)) {
            kept.used = used;
            return;
        }
        self.forget(file);
        if size(body) > self.bytes_max {
            return;
        }
        self.bytes += size(body);
        self.kept.insert(file.to_owned(), Kept { body: Arc::clone(body), used });
        while self.bytes > self.bytes_max
            && let Some(oldest) = self.kept.iter().min_by_key(|(_, kept)| kept.used)
        {
            let oldest = oldest.0.clone();
            self.forget(&oldest);
        }
    }

    fn forget(&mut self, file: &Path) {
        if let Some(kept) = self.kept.remove(file) {
            self.bytes -= size(&kept.body);
        }
    }
}

fn size(body: &Arc<Vec<u8>>) -> u64 {
    u64::try_from(body.capacity()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_asked_for_last_stays_and_no_more_than_allowed() {
        let body = |bytes| Arc::new(vec![0; bytes]);
        let [a, b, c] = [body(40), body(40), body(40)];
        let mut memory = Memory::new(100);
        let holders = |body: &Arc<Vec<u8>>| Arc::strong_count(body);
        memory.keep(Path::new("a"), &a);
        memory.keep(Path::new("b"), &b);
        memory.keep(Path::new("a"), &a);
        memory.keep(Path::new("c"), &c);
        assert_eq!([&a, &b, &c].map(holders), [2, 1, 2]);
        // Another list in the same file takes the place of the one before.
        memory.keep(Path::new("a"), &b);
        assert_eq!([&a, &b, &c].map(holders), [1, 2, 2]);
        memory.keep(Path::new("c"), &body(101));
        assert_eq!([&a, &b, &c].map(holders), [1, 2, 1]);
        assert_eq!(memory.bytes, 40);
    }
}
