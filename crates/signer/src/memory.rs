//! Keys stay in memory: they are kept out of swap and out of core dumps, as far as the system lets this process do that.
//!
//! [`protect`] comes once, before the first key is loaded. Where locked memory is not limited (RLIMIT_MEMLOCK, or the
//! capability CAP_IPC_LOCK), all of the process's memory is locked, now and later; each page as it is first used, so that
//! nothing is taken up that is not needed. Where it is limited, locking all could let a later allocation fail, and so only
//! pages with keys are locked.

use std::fs;
use std::sync::OnceLock;

use rustix::mm::{MlockAllFlags, mlockall};
use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};
use rustix::thread::{CapabilitySet, capabilities};

static PROTECTED: OnceLock<Protected> = OnceLock::new();

/// What the system let this process do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Protected {
    /// What is kept out of swap.
    pub locked: Locked,
    /// Whether no core dump is made of this process, whatever its limits and those of the system say.
    pub undumpable: bool,
}

/// What is kept out of swap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Locked {
    /// All memory.
    All,
    /// The pages with keys on curves, and with keys as they are read. The numbers of an RSA key lie in memory of ring's own,
    /// which nobody else can find.
    Keys,
    /// Nothing: the limit does not even allow a page.
    Nothing,
}

impl Locked {
    /// Its name in the log and in the record of the start.
    pub fn name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Keys => "keys",
            Self::Nothing => "nothing",
        }
    }
}

/// Protects this process's memory; every call but the first only says what that came to.
pub fn protect() -> Protected {
    *PROTECTED.get_or_init(|| {
        // Where limits may not be set, the next line does it alone.
        let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
        let undumpable = set_dumpable_behavior(DumpableBehavior::NotDumpable).is_ok();
        let everything = MlockAllFlags::CURRENT | MlockAllFlags::FUTURE | MlockAllFlags::ONFAULT;
        let locked = if is_unlimited() && mlockall(everything).is_ok() {
            Locked::All
        } else if lock(&[0]) {
            Locked::Keys
        } else {
            Locked::Nothing
        };
        Protected { locked, undumpable }
    })
}

/// What [`protect`] came to; `None` if it was not called.
pub fn protected() -> Option<Protected> {
    PROTECTED.get().copied()
}

/// Whether this process may lock as much as it likes.
fn is_unlimited() -> bool {
    let may = capabilities(None).is_ok_and(|sets| sets.effective.contains(CapabilitySet::IPC_LOCK));
    // Not by prlimit(2), which a sandbox may forbid.
    may || fs::read_to_string("/proc/self/limits").is_ok_and(|limits| soft_limit_is_unlimited(&limits))
}

/// Reads /proc/PID/limits (proc(5)): name, soft limit, hard limit, unit.
fn soft_limit_is_unlimited(limits: &str) -> bool {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max locked memory"));
    line.and_then(|line| line.split_whitespace().next()) == Some("unlimited")
}

/// Locks the pages that a secret lies on, if [`protect`] was called and all memory is not locked anyway. They are never
/// unlocked: another secret may have come to lie on the same page.
pub(crate) fn keep<T>(secrets: &[T]) {
    if matches!(protected(), Some(Protected { locked: Locked::Keys, .. })) {
        // A limit that is reached leaves the rest as it would have been without.
        let _ = lock(secrets);
    }
}

fn lock<T>(secrets: &[T]) -> bool {
    region::lock(secrets.as_ptr(), size_of_val(secrets)).map(std::mem::forget).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_soft_limit_counts() {
        let limits = |soft: &str| {
            format!(
                "Limit                     Soft Limit           Hard Limit           Units     \n\
                 Max core file size        unlimited            unlimited            bytes     \n\
                 Max locked memory         {soft}             unlimited            bytes     \n"
            )
        };
        assert!(soft_limit_is_unlimited(&limits("unlimited")));
        assert!(!soft_limit_is_unlimited(&limits("8388608")));
        assert!(!soft_limit_is_unlimited(""));
        assert!(fs::read_to_string("/proc/self/limits").unwrap().contains("Max locked memory"));
    }
}
