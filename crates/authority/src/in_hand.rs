//! Work that a clean end of the process waits for.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

/// How much is in hand.
#[derive(Debug, Default)]
pub(crate) struct InHand {
    count: AtomicUsize,
    ended: Notify,
}

/// One piece of work, until it is dropped.
#[derive(Debug)]
pub(crate) struct Held(Arc<InHand>);

impl InHand {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self::default())
    }

    pub(crate) fn hold(self: &Arc<Self>) -> Held {
        self.count.fetch_add(1, Ordering::AcqRel);
        Held(self.clone())
    }

    /// Comes back once nothing is in hand.
    pub(crate) async fn ended(&self) {
        loop {
            // Made before the look: `notify_waiters` reaches those that were made, awaited or not.
            let ended = self.ended.notified();
            if self.count.load(Ordering::Acquire) == 0 {
                return;
            }
            ended.await;
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if self.0.count.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.ended.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_end_comes_with_the_last() {
        let in_hand = InHand::new();
        in_hand.ended().await;
        let (first, second) = (in_hand.hold(), in_hand.hold());
        let waiting = tokio::spawn({
            let in_hand = in_hand.clone();
            async move { in_hand.ended().await }
        });
        drop(first);
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        drop(second);
        waiting.await.unwrap();
    }
}
