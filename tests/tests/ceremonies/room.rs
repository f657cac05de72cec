//! A room for ceremonies: a folder with the files of config/ceremony and two passphrases.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use ingam_tests::command::{Finished, run};
use ingam_tests::server::binary;
use tempfile::TempDir;
use tokio::process::Command;

/// Where the shipped examples are.
fn shipped() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/ceremony")
}

/// Names of all shipped examples.
pub(crate) fn examples() -> Vec<String> {
    let entries = fs::read_dir(shipped()).expect("config/ceremony");
    let mut names: Vec<String> = entries
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("a name in UTF-8"))
        .collect();
    names.sort();
    names
}

pub(crate) struct Room {
    folder: TempDir,
}

impl Room {
    /// With the examples, whose host is one that linters take for real.
    pub(crate) fn new() -> Self {
        let room = Self { folder: TempDir::new().expect("a temporary folder") };
        for name in examples() {
            let text = fs::read_to_string(shipped().join(&name)).expect("an example");
            room.write(&name, &text.replace("pki.ca.example", "pki.example.org"));
        }
        room.write_secret("root.passphrase", "held by people\n");
        room.write_secret("issuer.passphrase", "held by the machine\n");
        room
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn text(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).expect("a readable file")
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).expect("a writable folder");
    }

    pub(crate) fn write_secret(&self, name: &str, text: &str) {
        self.write(name, text);
        fs::set_permissions(self.path(name), Permissions::from_mode(0o600)).expect("a file of one's own");
    }

    /// A copy of a ceremony's file with each of these texts, which it has, in place of another.
    #[track_caller]
    pub(crate) fn change(&self, from: &str, to: &str, changes: &[(&str, &str)]) {
        let text = changes.iter().fold(self.text(from), |text, (old, new)| {
            assert!(text.contains(old), "{old} is not in {from}");
            text.replace(old, new)
        });
        self.write(to, &text);
    }

    /// Names of everything that is here.
    pub(crate) fn files(&self) -> Vec<String> {
        let entries = fs::read_dir(self.folder()).expect("a folder");
        let mut names: Vec<String> =
            entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8")).collect();
        names.sort();
        names
    }

    /// Runs a ceremony to its end, without a terminal.
    pub(crate) async fn run(&self, file: &str, arguments: &[&str]) -> Finished {
        let mut command = Command::new(binary());
        command.arg("ceremony").arg(self.path(file)).args(arguments).current_dir("/");
        command.env_remove("RUST_LOG");
        run(&mut command, "").await
    }

    /// Holds a ceremony, which must succeed.
    pub(crate) async fn hold(&self, file: &str) -> Finished {
        self.run(file, &[]).await.succeeded()
    }

    /// A ceremony that must be refused with all of these, and leave nothing behind.
    pub(crate) async fn refused(&self, file: &str, mentions: &[&str]) {
        let before = self.files();
        let finished = self.run(file, &[]).await;
        assert_eq!(finished.status.code(), Some(2), "{finished}");
        for mention in mentions.iter().chain(&["nothing was written"]) {
            assert!(finished.stderr.contains(mention), "{mention} is named: {finished}");
        }
        assert_eq!(self.files(), before, "nothing is left behind");
    }
}
