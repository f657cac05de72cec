//! The printed figures of the issuances.

use crate::Plan;
use crate::cpu::{milliseconds, percentile};
use crate::issuance::Issued;

/// CPU milliseconds a certificate of all server processes, on one machine of two cores; for scale.
pub const SCALE: &str = "\
For scale, server CPU a certificate on a machine of two cores: Boulder 72 to 78 ms, Pebble (memory only) 4 to 6 ms,
the unavoidable cryptography, parsing and syncing about 1 ms.";

/// A table with a column for each CA.
pub struct Table {
    columns: Vec<Column>,
}

struct Column {
    name: String,
    certificates: usize,
    per_second: f64,
    server_ms: f64,
    client_ms: f64,
    requests: f64,
    latencies_ms: [f64; 3],
    failures: Vec<String>,
}

impl Table {
    /// An empty one.
    pub fn new() -> Self {
        Self { columns: Vec::new() }
    }

    /// Adds the figures of one CA.
    pub fn column(&mut self, name: &str, issued: &Issued) {
        let count = issued.chains.len() as f64;
        self.columns.push(Column {
            name: name.to_owned(),
            certificates: issued.chains.len(),
            per_second: count / issued.elapsed.as_secs_f64(),
            server_ms: milliseconds(issued.server_cpu) / count,
            client_ms: milliseconds(issued.client_cpu) / count,
            requests: issued.requests as f64 / count,
            latencies_ms: [0.5, 0.9, 0.99].map(|share| milliseconds(percentile(&issued.latencies, share))),
            failures: issued.failures.clone(),
        });
    }

    /// Prints all of it.
    pub fn print(&self, plan: &Plan) {
        let challenge = if plan.by_dns { "dns-01" } else { "http-01" };
        let issuer = if plan.is_rsa { ", profile classic-rsa" } else { "" };
        println!("Issuance: {} clients at once, {challenge}{issuer}, keys made beforehand", plan.clients);
        self.row("", |column| column.name.clone());
        self.row("certificates", |column| column.certificates.to_string());
        self.row("certificates/s", |column| format!("{:.1}", column.per_second));
        self.row("server CPU, ms/certificate", |column| format!("{:.2}", column.server_ms));
        self.row("client CPU, ms/certificate", |column| format!("{:.2}", column.client_ms));
        self.row("signed requests/certificate", |column| format!("{:.1}", column.requests));
        for (at, label) in ["p50", "p90", "p99"].iter().enumerate() {
            self.row(&format!("order to certificate {label}, ms"), |column| {
                format!("{:.1}", column.latencies_ms[at])
            });
        }
        for Column { name, failures, .. } in &self.columns {
            if let Some(failure) = failures.first() {
                println!(
                    "{name}: {} clients gave up before their last certificate; one saw {failure}",
                    failures.len()
                );
            }
        }
        if let [first, second] = &self.columns[..] {
            println!(
                "{} uses {:.2} times the CPU of {} and issues {:.2} times as many a second.",
                first.name,
                first.server_ms / second.server_ms,
                second.name,
                first.per_second / second.per_second,
            );
        }
        println!("{SCALE}\n");
    }

    fn row(&self, label: &str, cell: impl Fn(&Column) -> String) {
        let cells: String = self.columns.iter().map(|column| format!("{:>12}", cell(column))).collect();
        println!("  {label:<32}{cells}");
    }
}
