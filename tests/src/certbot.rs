//! certbot, the newest of PyPI, in `target/clients`, where `scripts/test` puts it.

use std::path::{Path, PathBuf};

use tokio::process::Command;

use crate::certificate::Chain;
use crate::command::{Finished, done, installed};
use crate::site::Site;

/// The program.
pub fn program() -> PathBuf {
    installed("bin/certbot")
}

/// certbot with folders of its own, pointed at one server.
#[derive(Debug)]
pub struct Certbot<'a> {
    site: &'a Site,
    folder: PathBuf,
}

impl<'a> Certbot<'a> {
    /// All that it keeps is in this folder, which it makes.
    pub fn new(site: &'a Site, folder: PathBuf) -> Self {
        Self { site, folder }
    }

    /// Where all that it keeps is.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Runs it with these arguments; it must succeed.
    pub async fn run(&self, arguments: &[&str]) -> Finished {
        let mut command = Command::new(program());
        command.args(arguments).args(["--non-interactive", "--server", &self.site.directory]);
        for (flag, name) in [("--config-dir", "config"), ("--work-dir", "work"), ("--logs-dir", "logs")] {
            command.arg(flag).arg(self.folder.join(name));
        }
        command.env("REQUESTS_CA_BUNDLE", &self.site.tls_ca);
        done(&mut command).await
    }

    /// Has a certificate for these names by http-01, which it answers itself.
    pub async fn standalone(&self, lineage: &str, names: &[&str], further: &[&str]) -> Chain {
        let port = self.site.http_port.to_string();
        let mut arguments = vec!["certonly", "--standalone", "--preferred-challenges", "http"];
        arguments.extend(["--http-01-address", "127.0.0.1", "--http-01-port", &port, "--cert-name", lineage]);
        arguments.extend(further);
        for name in names {
            arguments.extend(["-d", name]);
        }
        self.run(&arguments).await;
        self.chain(lineage)
    }

    /// The chain that it keeps.
    pub fn chain(&self, lineage: &str) -> Chain {
        Chain::from_file(&self.file(lineage, "fullchain.pem"))
    }

    /// A file that it keeps.
    pub fn file(&self, lineage: &str, name: &str) -> PathBuf {
        self.folder.join("config/live").join(lineage).join(name)
    }
}
