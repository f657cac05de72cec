//! The printed figures.

use crate::cpu::milliseconds;
use crate::ocsp::load::Figures;
use crate::ocsp::target::Target;
use crate::ocsp::{Plan, Scenario};

/// Rows as they come, and whether all was right.
pub struct Report {
    losses: u64,
}

impl Report {
    /// `what` is asked for, whose answers have so many bytes.
    pub fn new(plan: &Plan, what: &str, bytes: usize) -> Self {
        println!(
            "OCSP beside nginx: {what}, answers of {bytes} bytes, {} threads, medians of {} rounds of {:.1} s",
            plan.threads,
            plan.rounds,
            plan.round.as_secs_f64()
        );
        println!("| | CPU µs a request | ratio | aim | requests a second | p50 ms | p99 ms | resident MiB |");
        println!("|---|---|---|---|---|---|---|---|");
        Self { losses: 0 }
    }

    /// Prints a scenario; the first server is the measure of the others.
    pub fn add(&mut self, scenario: &Scenario, targets: &[&dyn Target], rounds: &[Vec<Figures>]) {
        let measure = median(&rounds[0], cpu_us);
        for (target, rounds) in targets.iter().zip(rounds) {
            let cpu = median(rounds, cpu_us);
            // The ratio of each round to nginx's in the same round would be noisier than this.
            let (ratio, aim) = if target.name() == "nginx" {
                (String::new(), String::new())
            } else {
                (format!("{:.2}", cpu / measure), format!("{:.2}", scenario.aim))
            };
            println!(
                "| {}, {} | {cpu:.2} | {ratio} | {aim} | {:.0} | {:.2} | {:.2} | {:.0} |",
                scenario.name,
                target.name(),
                median(rounds, |figures| figures.answers as f64 / figures.elapsed.as_secs_f64()),
                median(rounds, |figures| milliseconds(figures.p50)),
                median(rounds, |figures| milliseconds(figures.p99)),
                median(rounds, |figures| figures.resident_bytes as f64 / f64::from(1 << 20)),
            );
            let losses: u64 = rounds.iter().map(|figures| figures.losses).sum();
            if losses > 0 {
                println!("  {}: {losses} answers were wrong or lost", target.name());
            }
            self.losses += losses;
        }
    }

    /// Prints a scenario in which each answer is signed for its request; `bare_us` is what a signature alone takes.
    pub fn live(&mut self, scenario: &Scenario, bare_us: f64, rounds: &[Figures]) {
        let cpu = median(rounds, cpu_us);
        println!(
            "| {} | {cpu:.2} | {:.2} of {bare_us:.1} µs | {:.2} | {:.0} | {:.2} | {:.2} | {:.0} |",
            scenario.name,
            bare_us / cpu,
            scenario.aim,
            median(rounds, |figures| figures.answers as f64 / figures.elapsed.as_secs_f64()),
            median(rounds, |figures| milliseconds(figures.p50)),
            median(rounds, |figures| milliseconds(figures.p99)),
            median(rounds, |figures| figures.resident_bytes as f64 / f64::from(1 << 20)),
        );
        self.losses += rounds.iter().map(|figures| figures.losses).sum::<u64>();
    }

    /// Whether every answer came and was right.
    pub fn is_sound(&self) -> bool {
        self.losses == 0
    }
}

fn cpu_us(figures: &Figures) -> f64 {
    milliseconds(figures.server_cpu) * 1e3 / figures.answers.max(1) as f64
}

fn median(rounds: &[Figures], of: impl Fn(&Figures) -> f64) -> f64 {
    let mut values: Vec<f64> = rounds.iter().map(of).collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}
