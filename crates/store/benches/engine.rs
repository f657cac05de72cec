//! What a durable commit costs: commits a second and CPU time per commit, by engine, setting and load.
//!
//! `cargo bench -p ingam-store --bench engine [-- DIRECTORY]`; the directory (or the one of temporary files) decides
//! which disk is measured. Prints one line per case. Not a test: nothing here fails for being slow.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ingam_protocol::time::{Random, SeededRandom, random_array};
use ingam_store::engine::redb::{RedbConfig, RedbEngine};
use ingam_store::engine::sled::SledEngine;
use ingam_store::engine::{Batch, Durability, Engine, EngineError, Table};

const TABLES: [Table; 4] =
    [Table::new("order"), Table::new("certificate"), Table::new("status"), Table::new("outbox")];
const SIZES: [usize; 4] = [800, 2000, 500, 1500];

/// Where the keys of a load fall.
#[derive(Clone, Copy, Debug)]
enum Keys {
    /// Each behind the last, as names that begin with the time do.
    Ascending,
    /// Anywhere, as hashes do.
    Scattered,
}

struct Load {
    random: SeededRandom,
    keys: Keys,
    count: u64,
}

impl Load {
    fn key(&mut self) -> [u8; 16] {
        let mut key = random_array::<16>(&self.random);
        if matches!(self.keys, Keys::Ascending) {
            self.count += 1;
            for (target, source) in key.iter_mut().zip(self.count.to_be_bytes()) {
                *target = source;
            }
        }
        key
    }

    /// One step of the CA: a put to each of the first `tables` tables, four in all.
    fn step(&mut self, batch: &mut Batch, tables: usize) {
        for (index, size) in SIZES.into_iter().enumerate() {
            let mut value = vec![0; size];
            self.random.fill(&mut value);
            if let Some(table) = TABLES.get(index % tables) {
                batch.put(*table, self.key(), value);
            }
        }
    }
}

/// CPU time of this thread so far, as the kernel counts it.
fn cpu() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanoseconds = text.split(' ').next().and_then(|first| first.parse().ok()).unwrap_or(0);
    Duration::from_nanos(nanoseconds)
}

fn fill(engine: &dyn Engine, load: &mut Load, megabytes: usize, tables: usize) -> Result<(), EngineError> {
    let steps = megabytes * 1_000_000 / SIZES.iter().sum::<usize>();
    let mut done = 0;
    while done < steps {
        let mut batch = Batch::new();
        for _ in 0..500 {
            load.step(&mut batch, tables);
        }
        done += 500;
        engine.commit(&batch, Durability::Relaxed)?;
    }
    engine.commit(&Batch::new(), Durability::Durable)
}

/// Commits for about two seconds and prints what it took.
fn run(
    name: &str,
    engine: &dyn Engine,
    load: &mut Load,
    grouped: usize,
    tables: usize,
) -> Result<(), EngineError> {
    let mut steps = 0_u32;
    let mut commits = 0_u32;
    let (start, cpu_start) = (Instant::now(), cpu());
    let (mut making, mut longest) = (Duration::ZERO, Duration::ZERO);
    while start.elapsed() < Duration::from_secs(2) {
        let cpu_making = cpu();
        let mut batch = Batch::new();
        for _ in 0..grouped {
            load.step(&mut batch, tables);
        }
        making += cpu().saturating_sub(cpu_making);
        let before = Instant::now();
        engine.commit(&batch, Durability::Durable)?;
        longest = longest.max(before.elapsed());
        steps += u32::try_from(grouped).unwrap_or(0);
        commits += 1;
    }
    let spent = cpu().saturating_sub(cpu_start).saturating_sub(making);
    report(&format!(
        "{name:<28} {:?} tables={tables} grouped={grouped:<2} {:>6.0} commits/s {:>6.0} steps/s {:>5.0} us CPU/commit {:>5.0} us CPU/step, longest {longest:?}",
        load.keys,
        f64::from(commits) / start.elapsed().as_secs_f64(),
        f64::from(steps) / start.elapsed().as_secs_f64(),
        spent.as_secs_f64() * 1e6 / f64::from(commits),
        spent.as_secs_f64() * 1e6 / f64::from(steps),
    ));
    Ok(())
}

#[allow(clippy::print_stdout, reason = "printing is what this program is for")]
fn report(line: &str) {
    println!("{line}");
}

fn redb_case(
    directory: &Path,
    config: RedbConfig,
    keys: Keys,
    megabytes: usize,
    tables: usize,
) -> Result<(), EngineError> {
    let path = directory.join("measured.redb");
    let engine = RedbEngine::open(&path, config)?;
    let mut load = Load { random: SeededRandom::new(1), keys, count: 0 };
    fill(&engine, &mut load, megabytes, tables)?;
    let name = format!("redb log={}kB {megabytes}MB", config.log_bytes_max / 1000);
    for grouped in [1, 16] {
        run(&name, &engine, &mut load, grouped, tables)?;
    }
    // What a crash leaves is the file as it is now, without the tidying up of an orderly end.
    let crashed = directory.join("crashed.redb");
    let copied = std::fs::copy(&path, &crashed).map(|bytes| bytes / 1_000_000).unwrap_or(0);
    let log = |path: &Path| PathBuf::from(format!("{}.log", path.display()));
    let _ = std::fs::copy(log(&path), log(&crashed));
    drop(engine);
    let start = Instant::now();
    let engine = RedbEngine::open(&crashed, config)?;
    let opened = start.elapsed();
    drop(engine);
    report(&format!(
        "{name:<28} opening {copied} MB after a crash: {opened:?}, closing: {:?}",
        start.elapsed().saturating_sub(opened)
    ));
    for path in [path, crashed] {
        let _ = std::fs::remove_file(log(&path));
        let _ = std::fs::remove_file(path);
    }
    Ok(())
}

fn sled_case(directory: &Path, megabytes: usize) -> Result<(), EngineError> {
    let path = directory.join("measured.sled");
    let engine = SledEngine::open(&path)?;
    let mut load = Load { random: SeededRandom::new(1), keys: Keys::Ascending, count: 0 };
    fill(&engine, &mut load, megabytes, 4)?;
    for grouped in [1, 16] {
        run(&format!("sled {megabytes}MB"), &engine, &mut load, grouped, 4)?;
    }
    drop(engine);
    let _ = std::fs::remove_dir_all(path);
    Ok(())
}

fn main() -> Result<(), EngineError> {
    // `cargo bench` adds a flag of its own; anything else is the directory.
    let directory = std::env::args()
        .skip(1)
        .find(|argument| !argument.starts_with("--"))
        .map_or_else(std::env::temp_dir, PathBuf::from)
        .join(format!("ingam-engine-bench-{}", std::process::id()));
    std::fs::create_dir_all(&directory)
        .map_err(|error| EngineError::Io { doing: "making the directory", source: error.into() })?;
    // Without a log redb's own file follows every commit.
    for log_bytes_max in [0, 1 << 20, 4 << 20] {
        let config = RedbConfig { log_bytes_max, ..RedbConfig::default() };
        for (keys, megabytes, tables) in [
            (Keys::Ascending, 1, 4),
            (Keys::Ascending, 100, 4),
            (Keys::Ascending, 100, 1),
            (Keys::Scattered, 100, 4),
        ] {
            redb_case(&directory, config, keys, megabytes, tables)?;
        }
    }
    sled_case(&directory, 20)?;
    let _ = std::fs::remove_dir_all(directory);
    Ok(())
}
