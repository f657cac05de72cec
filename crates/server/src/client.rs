//! Commands that run no CA: those that ask a running one, and those that write the manuals.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::{CommandFactory, Subcommand, ValueEnum};
use ingam_operator::command::{self, Acts, Connection, Status};

use crate::CommandLine;
use crate::offline::{BackupKey, Rebuild, Restore};
use crate::serve::StartError;
use crate::system::SystemClock;
use crate::terminal;

/// What asks, and what writes manuals.
#[derive(Debug, Subcommand)]
pub(crate) enum Client {
    /// Talks to the admin API of a running CA
    Admin(Box<Admin>),
    /// Shows how a running CA fares
    Status(Status),
    /// Prints completions for a shell
    #[command(after_help = "\
Examples:
  ingam completions bash > /etc/bash_completion.d/ingam
  ingam completions zsh > /usr/local/share/zsh/site-functions/_ingam
  ingam completions fish > ~/.config/fish/completions/ingam.fish")]
    Completions {
        /// The shell
        #[arg(value_name = "SHELL")]
        shell: Shell,
    },
    /// Writes a manual page for each command into a folder
    #[command(after_help = "Example:\n  ingam man /usr/local/share/man/man1")]
    Man {
        /// The folder
        #[arg(value_name = "DIR")]
        dir: PathBuf,
    },
}

/// The command line of `ingam admin`: what is asked of a running CA, and what is done to one that does not run.
#[derive(Debug, clap::Args)]
#[command(after_help = command::admin_help())]
pub(crate) struct Admin {
    #[command(flatten)]
    connection: Connection,
    #[command(subcommand)]
    act: Act,
}

#[derive(Debug, Subcommand)]
enum Act {
    #[command(flatten)]
    Running(Acts),
    /// Makes the store of a CA that does not run anew, from its journal
    Rebuild(Rebuild),
    /// Makes a state folder of a backup, or tells which revocations one lacks
    Restore(Box<Restore>),
    /// Makes a key that opens backups
    BackupKey(BackupKey),
}

/// Shells with completions.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Shell {
    Bash,
    Zsh,
    Fish,
}

/// Does what was asked for; the exit code is that of `ingam admin`.
pub(crate) async fn run(client: Client) -> Result<ExitCode, StartError> {
    match client {
        Client::Admin(admin) => match admin.act {
            Act::Running(acts) => Ok(Box::pin(acts.run(admin.connection, Arc::new(SystemClock))).await),
            Act::Rebuild(options) => options.run(),
            Act::Restore(options) => options.run().await,
            Act::BackupKey(options) => options.run(),
        },
        Client::Status(status) => Ok(Box::pin(status.run(Arc::new(SystemClock))).await),
        Client::Completions { shell } => {
            terminal::told(std::io::stdout().write_all(&completions(shell)))?;
            Ok(ExitCode::SUCCESS)
        }
        Client::Man { dir } => {
            manual(&dir).map_err(|error| {
                StartError::new(format!("manual pages cannot be written into {}: {error}", dir.display()))
            })?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn completions(shell: Shell) -> Vec<u8> {
    let shell = match shell {
        Shell::Bash => clap_complete::Shell::Bash,
        Shell::Zsh => clap_complete::Shell::Zsh,
        Shell::Fish => clap_complete::Shell::Fish,
    };
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut CommandLine::command(), "ingam", &mut script);
    script
}

fn manual(dir: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(dir)?;
    clap_mangen::generate_to(CommandLine::command(), dir)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_contradicts_itself_nowhere() {
        CommandLine::command().debug_assert();
    }

    #[test]
    fn every_command_has_its_page_and_completions() {
        let dir = tempfile::tempdir().unwrap();
        manual(dir.path()).unwrap();
        for page in [
            "ingam.1",
            "ingam-ceremony.1",
            "ingam-issuer-add.1",
            "ingam-admin.1",
            "ingam-admin-cert-list.1",
            "ingam-admin-revoke.1",
            "ingam-admin-rebuild.1",
            "ingam-admin-restore.1",
            "ingam-status.1",
        ] {
            let text = std::fs::read_to_string(dir.path().join(page)).unwrap();
            assert!(text.contains(".SH NAME"), "{page}");
        }
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let script = String::from_utf8(completions(shell)).unwrap();
            assert!(script.contains("revocation-reason"), "{shell:?}");
        }
    }
}
