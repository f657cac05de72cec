//! CPU time of processes, from the kernel's own books.

use std::time::Duration;

/// User and system time that a process has used so far, all its threads together.
pub fn used(pid: u32) -> Duration {
    of(&format!("/proc/{pid}/stat"))
}

fn of(path: &str) -> Duration {
    let stat = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("cannot read {path}: {error}"));
    // The second field is the program's name in brackets and may hold spaces; utime and stime are the 14th and 15th.
    let (_, after) = stat.rsplit_once(')').expect("/proc/PID/stat has a name in brackets");
    let ticks: u64 = after
        .split_whitespace()
        .skip(11)
        .take(2)
        .map(|field| field.parse::<u64>().expect("a number of ticks"))
        .sum();
    let second = rustix::param::clock_ticks_per_second();
    Duration::from_secs_f64(ticks as f64 / second as f64)
}

/// The same of one thread of this process.
pub fn used_by_thread(thread: u32) -> Duration {
    of(&format!("/proc/self/task/{thread}/stat"))
}

/// The CPU time of this process.
pub fn own() -> Duration {
    used(std::process::id())
}

/// Milliseconds, with their fraction.
pub fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

/// The value below which this share of a sorted row lies.
pub fn percentile(sorted: &[Duration], share: f64) -> Duration {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share of a length is an index"
    )]
    let at = (sorted.len() as f64 * share) as usize;
    sorted.get(at.min(sorted.len().saturating_sub(1))).copied().unwrap_or_default()
}
