//! What `init` says at its end: what was made, and what to do next, step by step.

use std::fmt;
use std::path::{Path, PathBuf};

use ingam_signer::hierarchy::Protection;

use super::unit::{PASSPHRASE_FILE, SOCKET};
use crate::config::{Config, Environment};

/// What was made.
pub(super) struct Next {
    pub(super) environment: Environment,
    pub(super) configuration: PathBuf,
    pub(super) state: PathBuf,
    /// The root's name.
    pub(super) root: String,
    /// The admin API's socket.
    pub(super) socket: PathBuf,
    pub(super) is_new_configuration: bool,
    pub(super) takes_over: bool,
    pub(super) root_key_is_encrypted: bool,
    pub(super) passphrase: Passphrase,
    pub(super) unit: Option<PathBuf>,
    /// What the unit's sandbox does not let the service see.
    pub(super) hidden: Vec<PathBuf>,
    /// The files of the https listener, its key last.
    pub(super) tls: Vec<PathBuf>,
}

/// Where the service finds the passphrase of its keys.
pub(super) enum Passphrase {
    /// The keys are not encrypted.
    None,
    /// In this file, which the configuration names or systemd reads.
    File(PathBuf),
    /// Nowhere yet: it was typed.
    Typed,
}

impl Passphrase {
    pub(super) fn of(config: &Config, protection: &Protection, file: Option<PathBuf>) -> Self {
        match (&protection.issuers, file.or_else(|| config.hierarchy.passphrase_file.clone())) {
            (None, _) => Self::None,
            (Some(_), Some(file)) => Self::File(file),
            (Some(_), None) => Self::Typed,
        }
    }
}

impl Next {
    fn steps(&self) -> Vec<String> {
        let (config, state) = (self.configuration.display(), self.state.display());
        let mut steps = Vec::with_capacity(8);
        let check = match (&self.passphrase, &self.unit) {
            (Passphrase::File(file), Some(_)) => {
                format!("ingam check --config {config} --issuer-passphrase-file {}", file.display())
            }
            _ => format!("ingam check --config {config}"),
        };
        if self.is_new_configuration {
            steps.push(format!(
                "Read {config}, and change what is not so: above all the resolvers, and which addresses may be connected \
                 to. Then look whether all is well:\n  {check}"
            ));
        } else {
            steps.push(format!("Look whether all is well:\n  {check}"));
        }
        let missing: Vec<String> =
            self.tls.iter().filter(|file| !file.exists()).map(|file| file.display().to_string()).collect();
        if !missing.is_empty() {
            steps.push(format!("Put the https certificate and its key in place: {}", missing.join(", ")));
        }
        steps.extend(self.root_key());
        steps.extend(self.issuer_passphrase());
        match &self.unit {
            None => steps.push(format!(
                "Start it, as the user that {state} belongs to:\n  ingam serve --config {config}"
            )),
            Some(unit) => steps.extend(self.service(&unit.display().to_string())),
        }
        steps.push(format!(
            "Look how it is:\n  ingam status{socket}\nClients trust {state}/roots/{}.pem, which is also at /roots.pem beside OCSP.",
            self.root,
            socket = if self.socket.as_path() == Path::new(SOCKET) {
                String::new()
            } else {
                format!(" --socket {}", self.socket.display())
            },
        ));
        steps.push("Back it up, and try the backup: docs/operations/keys-and-backups.md".to_owned());
        steps
    }

    fn root_key(&self) -> Option<String> {
        let key = format!("{}/keys/{}.pem", self.state.display(), self.root);
        if self.takes_over {
            return None;
        }
        if self.environment != Environment::Production && !self.root_key_is_encrypted {
            return Some(format!(
                "The root's key, {key}, is not needed here: take it away, or leave it if this CA is a trial"
            ));
        }
        let copies =
            ["/media/FIRST", "/media/SECOND"].map(|medium| (medium, format!("{medium}/{}.pem", self.root)));
        let mut step = "Take the root's key offline: copy it to two media that are kept apart, see that each copy opens with \
                        the root's passphrase (no output means that it does), then delete it here:"
            .to_owned();
        for (medium, copy) in copies {
            step.push_str(&format!("\n  cp {key} {medium}/\n  openssl pkey -noout -in {copy}"));
        }
        step.push_str(&format!("\n  shred -u {key}"));
        Some(step)
    }

    fn issuer_passphrase(&self) -> Option<String> {
        match (&self.passphrase, &self.unit) {
            (Passphrase::None, _) => None,
            (Passphrase::File(file), Some(_)) => Some(format!(
                "Leave {0} to root alone; systemd hands it over. Keep a copy of the passphrase apart from all backups:\n  \
                 chown root: {0} && chmod 400 {0}",
                file.display()
            )),
            (Passphrase::File(file), None) => Some(format!(
                "See that {} can be read by the user that runs the CA, and by nobody else (chmod 400). Keep a copy of the \
                 passphrase apart from all backups.",
                file.display()
            )),
            (Passphrase::Typed, Some(_)) => Some(format!(
                "Write the issuers' passphrase into {PASSPHRASE_FILE}, for root alone (chmod 400); systemd hands it over. \
                 Keep a copy of it apart from all backups."
            )),
            (Passphrase::Typed, None) => Some(format!(
                "Write the issuers' passphrase into a file that the user who runs the CA alone can read (chmod 400), and \
                 name it in {} as [hierarchy] passphrase_file. Keep a copy of it apart from all backups.",
                self.configuration.display()
            )),
        }
    }

    fn service(&self, unit: &str) -> Vec<String> {
        let state = self.state.display();
        let mut steps = Vec::with_capacity(2);
        if !self.hidden.is_empty() {
            let hidden: Vec<String> = self.hidden.iter().map(|path| path.display().to_string()).collect();
            steps.push(format!(
                "Move these elsewhere, or loosen {unit}: its sandbox has no home and no temporary folders: {}",
                hidden.join(", ")
            ));
        }
        let link = if unit.starts_with("/etc/systemd/system/") {
            String::new()
        } else {
            format!("\n  systemctl link {unit}")
        };
        let name = self.unit.as_ref().and_then(|unit| unit.file_name()).unwrap_or_default().to_string_lossy();
        let tls_key = self
            .tls
            .last()
            .map_or(String::new(), |key| format!("\n  chown root:ingam {0} && chmod 640 {0}", key.display()));
        steps.push(format!(
            "Make the service's user, give it what it has to read, and start:\n  \
             useradd --system --home-dir {state} --shell /usr/sbin/nologin ingam\n  \
             chown -R ingam: {state}{tls_key}{link}\n  systemctl daemon-reload\n  systemctl enable --now {name}"
        ));
        steps
    }
}

impl fmt::Display for Next {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_new_configuration {
            writeln!(f, "Written: {}, the configuration.", self.configuration.display())?;
        }
        if let Some(unit) = &self.unit {
            writeln!(f, "Written: {}, the systemd unit.", unit.display())?;
        }
        let made = if self.takes_over { "The CA that was taken over" } else { "The hierarchy" };
        writeln!(
            f,
            "{made} is in {0}: {0}/roots/{1}.pem is what clients trust, {0}/keys holds the keys.\n\nWhat to do next:",
            self.state.display(),
            self.root
        )?;
        for (number, step) in self.steps().iter().enumerate() {
            write!(f, "\n{}. {}\n", number + 1, step.replace('\n', "\n   "))?;
        }
        Ok(())
    }
}
