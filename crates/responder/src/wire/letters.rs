//! Where the runtime and the process leave word for a thread that answers.

use std::sync::{Mutex, MutexGuard, PoisonError};

use mio::Waker;

use crate::wire::general::Reply;

/// Where other threads leave word for a worker.
pub(super) struct Letterbox {
    letters: Mutex<Letters>,
    waker: Waker,
}

/// What was left for it.
#[derive(Default)]
pub(super) struct Letters {
    /// `None`: there will be no reply.
    pub(super) replies: Vec<(Address, Option<Reply>)>,
    pub(super) is_stopping: bool,
    pub(super) is_abandoned: bool,
}

/// A connection; numbers of the slab are used again, those beside them are not.
#[derive(Clone, Copy)]
pub(super) struct Address {
    pub(super) key: usize,
    pub(super) number: u64,
}

impl Letterbox {
    /// Empty; whoever leaves something in it wakes the thread by this.
    pub(super) fn new(waker: Waker) -> Self {
        Self { letters: Mutex::default(), waker }
    }

    /// What is in it: replies once, the rest for as long as it holds.
    pub(super) fn take(&self) -> Letters {
        let mut letters = self.lock();
        Letters { replies: std::mem::take(&mut letters.replies), ..*letters }
    }

    /// Leaves the reply to what was asked on a connection; `None` if there will be none.
    pub(super) fn reply(&self, address: Address, reply: Option<Reply>) {
        self.leave(|letters| letters.replies.push((address, reply)));
    }

    fn lock(&self) -> MutexGuard<'_, Letters> {
        // Nothing is left half-done in there by a panic.
        self.letters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn leave(&self, change: impl FnOnce(&mut Letters)) {
        let mut letters = self.lock();
        let is_first = letters.replies.is_empty();
        change(&mut letters);
        drop(letters);
        // Otherwise it is on its way already.
        if is_first {
            // Failing means that the thread and its poll are gone.
            let _ = self.waker.wake();
        }
    }

    /// Ends listening, and connections as soon as what was asked on them is answered.
    pub(super) fn stop(&self) {
        self.leave(|letters| letters.is_stopping = true);
    }

    /// Ends the thread.
    pub(super) fn abandon(&self) {
        self.leave(|letters| letters.is_abandoned = true);
    }
}
