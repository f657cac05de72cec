//! Programs of Debian's that scripts/test fetches without installing them, as that would start services.

use std::path::PathBuf;

use tokio::process::Command;

use crate::command::target_folder;

/// The one that scripts/test fetched into `folder` of target/clients, with its libraries, or else the one of the path.
pub fn program(folder: &str, name: &str) -> Command {
    let fetched = target_folder().join("clients").join(folder);
    let path = fetched.join("usr/sbin").join(name);
    if !path.is_file() {
        return Command::new(name);
    }
    let libraries = std::fs::read_dir(fetched.join("usr/lib")).expect("a package has its libraries");
    let folders: Vec<PathBuf> = libraries.map(|entry| entry.expect("a readable folder").path()).collect();
    let mut command = Command::new(path);
    command.env("LD_LIBRARY_PATH", std::env::join_paths(folders).expect("folders without colons"));
    command
}
