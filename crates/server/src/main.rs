//! The binary `ingam`: command line, configuration, construction, process life. No business rules.

mod acme;
mod admin;
mod backup;
mod ceremony;
mod certificate_keeper;
mod check;
mod client;
mod config;
mod delegates;
mod dev;
mod health;
mod hierarchy;
mod init;
mod issuer;
mod journal;
mod keys;
mod listener;
mod management;
mod monitor;
mod notify;
mod observation;
mod offline;
mod own_certificate;
mod perspective;
mod privacy;
mod production;
mod record_log;
mod reload;
mod responder;
mod role;
mod serve;
mod served_certificate;
mod signer;
mod system;
mod telemetry;
mod terminal;
mod test_ct;
mod test_dns;
mod transparency;
mod unread;
mod verify_log;
mod wire;

use std::io::Write;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::serve::StartError;
use crate::telemetry::LogsOf;

/// What a failed start or a wrong command line ends with.
const EXIT_START: u8 = 2;

/// An ACME certificate authority with OCSP responder.
#[derive(Debug, Parser)]
#[command(name = "ingam", version, about = "An ACME certificate authority with OCSP responder")]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs a throwaway CA on this machine, with a DNS server for tests
    Dev(dev::Dev),
    /// Makes a CA: configuration, keys, CA certificates, systemd unit
    Init(Box<init::Init>),
    /// Makes what a key signs that is not at hand every day: roots, CAs below them, cross-certificates, their CRLs
    Ceremony(ceremony::Ceremony),
    /// Takes issuing CAs in and out of a CA that does not run, and adds chains
    Issuer(issuer::Issuer),
    /// Runs the CA of a configuration, or a perspective
    Serve(production::Serve),
    /// Tells everything that would stop or endanger a start, and touches nothing
    Check(check::Check),
    /// Looks at the keys that the CA has certified
    #[command(subcommand)]
    Keys(keys::Keys),
    /// Holds the records of a CA against a checkpoint that was kept elsewhere
    VerifyLog(verify_log::VerifyLog),
    #[command(flatten)]
    Client(client::Client),
}

fn main() -> ExitCode {
    // clap itself ends with 2 on a wrong command line.
    let command = match CommandLine::parse().command {
        Command::Check(options) => return check::run(&options).unwrap_or_else(|error| failed(&error)),
        Command::Keys(command) => return keys::run(&command).unwrap_or_else(|error| failed(&error)),
        Command::VerifyLog(options) => {
            return verify_log::run(&options).unwrap_or_else(|error| failed(&error));
        }
        Command::Ceremony(options) => {
            return ceremony::run(&options).map_or_else(|error| failed(&error), |()| ExitCode::SUCCESS);
        }
        command => command,
    };
    // For reqwest, which asks for the process's default; all else names its provider. It fails if one is set already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let logs = match &command {
        Command::Dev(_) | Command::Serve(_) => LogsOf::Service,
        _ => LogsOf::Command,
    };
    #[cfg(feature = "otel")]
    let traces = match telemetry::Traces::start() {
        Ok(traces) => traces,
        Err(error) => return failed(&StartError::caused("traces cannot be sent", error.as_ref())),
    };
    #[cfg(feature = "otel")]
    telemetry::start_logs(logs, &traces);
    #[cfg(not(feature = "otel"))]
    telemetry::start_logs(logs);
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&StartError::caused("threads cannot be started", &error)),
    };
    let outcome = runtime.block_on(async {
        let metrics = telemetry::start_metrics()
            .map_err(|error| StartError::new(format!("metrics cannot be counted: {error}")))?;
        match command {
            Command::Dev(options) => Box::pin(dev::run(options, metrics)).await,
            Command::Init(options) => init::init(&options).await,
            Command::Issuer(options) => issuer::run(&options).await,
            Command::Serve(options) => Box::pin(production::serve(&options, metrics)).await,
            // They came back above.
            Command::Check(_) | Command::Keys(_) | Command::VerifyLog(_) | Command::Ceremony(_) => Ok(()),
            Command::Client(command) => return client::run(command).await,
        }
        .map(|()| ExitCode::SUCCESS)
    });
    // What still runs has had its time.
    runtime.shutdown_background();
    #[cfg(feature = "otel")]
    traces.end();
    match outcome {
        Ok(code) => code,
        Err(error) => failed(&error),
    }
}

fn failed(error: &StartError) -> ExitCode {
    // With standard error gone there is nobody left to tell.
    for line in error.to_string().lines() {
        let _ = writeln!(std::io::stderr(), "ingam: {line}");
    }
    ExitCode::from(EXIT_START)
}

/// SIGINT and SIGTERM. Made before anybody is told that the process is ready, so that none is missed.
struct End {
    interrupt: Signal,
    terminate: Signal,
}

impl End {
    /// Listens for both from now on.
    fn listen() -> Result<Self, StartError> {
        let failed = |error| StartError::caused("signals cannot be listened for", &error);
        Ok(Self {
            interrupt: signal(SignalKind::interrupt()).map_err(failed)?,
            terminate: signal(SignalKind::terminate()).map_err(failed)?,
        })
    }

    /// Comes back once either has come.
    async fn come(mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
        tracing::info!("ending");
    }
}
