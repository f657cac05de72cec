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

/// The same of a process and its children, in nanoseconds: the time on a CPU of each thread that they have now.
pub fn used_by_family(pid: u32) -> Duration {
    family(pid).into_iter().flat_map(threads).map(|path| on_cpu(&path)).sum()
}

/// The same of one thread of this process.
pub fn on_cpu_of_thread(thread: u32) -> Duration {
    on_cpu(std::path::Path::new(&format!("/proc/self/task/{thread}/schedstat")))
}

/// How much memory a process and its children have, what they share counted with each.
pub fn resident_bytes(pid: u32) -> u64 {
    let pages = |pid: u32| {
        let text = std::fs::read_to_string(format!("/proc/{pid}/statm")).unwrap_or_default();
        text.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0)
    };
    family(pid).into_iter().map(pages).sum::<u64>() * rustix::param::page_size() as u64
}

fn family(pid: u32) -> Vec<u32> {
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    let children = children.split_whitespace().filter_map(|child| child.parse().ok());
    std::iter::once(pid).chain(children).collect()
}

fn threads(pid: u32) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten();
    entries.filter_map(|entry| Some(entry.ok()?.path().join("schedstat"))).collect()
}

/// The first figure of `schedstat`.
fn on_cpu(path: &std::path::Path) -> Duration {
    // A thread may be over by now.
    let text = std::fs::read_to_string(path).unwrap_or_default();
    Duration::from_nanos(text.split(' ').next().and_then(|nanoseconds| nanoseconds.parse().ok()).unwrap_or(0))
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
