//! A look at something that may block: on a thread that may, one at a time, and given up on after a while.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

/// For how long whoever asks waits.
const WAIT: Duration = Duration::from_secs(1);

/// What came of a look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Seen<T> {
    /// What there is to see.
    This(T),
    /// Why it could not be seen.
    Failed(String),
    /// It has been looked for as long as this, and no end is seen.
    Slow(Duration),
}

impl<T> Seen<T> {
    /// What was seen, if it was.
    pub(super) fn value(&self) -> Option<&T> {
        match self {
            Self::This(value) => Some(value),
            Self::Failed(_) | Self::Slow(_) => None,
        }
    }
}

type Outcome<T> = Result<T, String>;

/// Something to look at now and again. A look that hangs is not joined by a second one.
pub(super) struct Look<T> {
    work: Arc<dyn Fn() -> Outcome<T> + Send + Sync>,
    /// For how long a look that succeeded is good.
    every: Duration,
    state: Mutex<State<T>>,
}

struct State<T> {
    last: Option<(Instant, T)>,
    under_way: Option<(Instant, JoinHandle<Outcome<T>>)>,
}

impl<T: Clone + Send + 'static> Look<T> {
    /// Looks by `work`, which may block, and not again within `every`.
    pub(super) fn new(every: Duration, work: impl Fn() -> Outcome<T> + Send + Sync + 'static) -> Self {
        let state = Mutex::new(State { last: None, under_way: None });
        Self { work: Arc::new(work), every, state }
    }

    /// Looks, or says what a look not long ago has seen. Comes back within about a second.
    pub(super) async fn see(&self) -> Seen<T> {
        let mut state = self.state.lock().await;
        if let Some((at, seen)) = &state.last
            && at.elapsed() < self.every
        {
            return Seen::This(seen.clone());
        }
        // It stays in its place while it is waited for: whoever asks may hang up meanwhile.
        let (begun, looking) = state.under_way.get_or_insert_with(|| {
            let work = self.work.clone();
            (Instant::now(), tokio::task::spawn_blocking(move || work()))
        });
        let Ok(outcome) = timeout(WAIT, looking).await else { return Seen::Slow(begun.elapsed()) };
        state.under_way = None;
        match outcome {
            Ok(Ok(seen)) => {
                state.last = Some((Instant::now(), seen.clone()));
                Seen::This(seen)
            }
            Ok(Err(why)) => Seen::Failed(why),
            Err(_) => Seen::Failed("it was broken off".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn what_was_seen_is_good_for_a_while() {
        let looks = Arc::new(AtomicUsize::new(0));
        let counted = looks.clone();
        let look = Look::new(Duration::from_secs(3600), move || Ok(counted.fetch_add(1, Ordering::SeqCst)));
        assert_eq!(look.see().await, Seen::This(0));
        assert_eq!(look.see().await, Seen::This(0));
        let failing = Look::<u8>::new(Duration::from_secs(3600), || Err("no disk".to_owned()));
        assert_eq!(failing.see().await, Seen::Failed("no disk".to_owned()));
        assert_eq!(failing.see().await.value(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_look_that_hangs_is_waited_for_once_and_never_doubled() {
        let (sender, receiver) = mpsc::channel::<u8>();
        let receiver = std::sync::Mutex::new(receiver);
        let looks = Arc::new(AtomicUsize::new(0));
        let counted = looks.clone();
        let look = Look::new(Duration::ZERO, move || {
            counted.fetch_add(1, Ordering::SeqCst);
            receiver.lock().unwrap().recv().map_err(|error| error.to_string())
        });
        // Paused time moves on by itself only when no blocking task runs, so it is moved here.
        let (first, ()) = tokio::join!(look.see(), tokio::time::advance(WAIT * 2));
        assert!(matches!(first, Seen::Slow(waited) if waited >= WAIT), "{first:?}");
        // Somebody hangs up.
        tokio::select! {
            biased;
            seen = look.see() => panic!("{seen:?}"),
            () = std::future::ready(()) => {}
        }
        let (second, ()) = tokio::join!(look.see(), tokio::time::advance(WAIT * 2));
        assert!(matches!(second, Seen::Slow(waited) if waited >= 3 * WAIT), "{second:?}");
        sender.send(7).unwrap();
        assert_eq!(look.see().await, Seen::This(7));
        assert_eq!(looks.load(Ordering::SeqCst), 1);
    }
}
