//! Foreign programs, each under a time limit, with what they said.

use std::ffi::OsStr;
use std::fmt;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::process::Command;
use tokio::time::timeout;

/// No program that a test starts may run longer than this.
pub const LIMIT: Duration = Duration::from_secs(120);

/// What to do where an ACME client is missing.
pub const INSTALL_CLIENTS: &str = "Run `scripts/test` once, which installs all clients";

/// A program that has ended.
#[derive(Debug)]
pub struct Finished {
    /// The program and its arguments.
    pub line: String,
    /// How it ended.
    pub status: ExitStatus,
    /// All of its standard output.
    pub stdout: Vec<u8>,
    /// Its standard error, as text.
    pub stderr: String,
}

impl Finished {
    /// Standard output as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Everything it said on either stream.
    pub fn said(&self) -> String {
        format!("{}{}", self.text(), self.stderr)
    }

    /// Gives itself back if the program ended with 0, and fails the test otherwise.
    #[track_caller]
    pub fn succeeded(self) -> Self {
        assert!(self.status.success(), "this should have succeeded: {self}");
        self
    }
}

impl fmt::Display for Finished {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "`{}` ended with {}", self.line, self.status)?;
        writeln!(f, "--- standard output\n{}", self.text())?;
        write!(f, "--- standard error\n{}", self.stderr)
    }
}

/// Runs a program to its end, without standard input.
///
/// Fails the test if the program cannot be started (with `install`, a sentence on how to get it) or takes longer
/// than [`LIMIT`].
pub async fn run(command: &mut Command, install: &str) -> Finished {
    let line = line_of(command);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let child = command.spawn().unwrap_or_else(|error| panic!("cannot start `{line}`: {error}. {install}"));
    let output = timeout(LIMIT, child.wait_with_output())
        .await
        .unwrap_or_else(|_| panic!("`{line}` did not end within {LIMIT:?}"))
        .unwrap_or_else(|error| panic!("cannot wait for `{line}`: {error}"));
    Finished {
        line,
        status: output.status,
        stdout: output.stdout,
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

fn line_of(command: &Command) -> String {
    let command = command.as_std();
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(OsStr::to_string_lossy).collect::<Vec<_>>().join(" ")
}

/// The folder of Cargo's profile (`target/debug` or `target/release`) that the running program was built into.
pub fn profile_folder() -> PathBuf {
    let program = std::env::current_exe().expect("the running program has a path");
    let folder = program.parent().expect("a program is in a folder");
    // Test programs are one level deeper, in `deps`.
    if folder.ends_with("deps") { folder.parent().expect("`deps` is in a folder") } else { folder }.to_owned()
}

/// Cargo's target folder.
pub fn target_folder() -> PathBuf {
    profile_folder().parent().expect("a profile's folder is in the target folder").to_owned()
}

/// A program that `scripts/test` puts into `target/clients`.
pub fn installed(name: &str) -> PathBuf {
    let path = target_folder().join("clients").join(name);
    assert!(path.is_file(), "{} is not there. Run `scripts/test` once, which puts it there", path.display());
    path
}

/// Runs a program that must succeed.
pub async fn done(command: &mut Command) -> Finished {
    run(command, INSTALL_CLIENTS).await.succeeded()
}

/// Writes a shell script that a client can run as its hook.
///
/// # Panics
/// If curl, which the scripts call, is not installed.
pub fn write_script(path: &std::path::Path, text: &str) {
    use std::os::unix::fs::PermissionsExt;
    let found = std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join("curl").is_file()));
    assert!(found, "the hooks call curl. Install it, on Debian with `apt-get install curl`");
    std::fs::write(path, format!("#!/bin/sh\nset -eu\n{text}")).expect("a writable folder");
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).expect("a file of one's own");
}
