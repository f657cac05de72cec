//! The systemd unit that `init` writes: config/systemd/ingam.service with this CA's paths.

use std::path::{Path, PathBuf};

const SHIPPED: &str = include_str!("../../../../config/systemd/ingam.service");

/// Folders that a service with `ProtectHome` and `PrivateTmp` does not see.
const HIDDEN: [&str; 5] = ["/home", "/root", "/run/user", "/tmp", "/var/tmp"];

/// Where systemd makes state folders.
const STATE_DIRECTORIES: &str = "/var/lib";

/// The file that the shipped unit takes the passphrase from.
pub(super) const PASSPHRASE_FILE: &str = "/etc/ingam/issuer-passphrase";

/// The admin API's socket, in the folder that the unit makes.
pub(super) const SOCKET: &str = "/run/ingam/admin.sock";

/// This CA's paths, all absolute.
pub(super) struct Unit {
    pub(super) binary: PathBuf,
    pub(super) configuration: PathBuf,
    pub(super) state: PathBuf,
    /// The file that systemd reads as root and hands over as a credential; `None`: there is none.
    pub(super) passphrase_file: Option<PathBuf>,
    /// What else the service reads.
    pub(super) reads: Vec<PathBuf>,
}

impl Unit {
    /// The unit's text. An error is a text for the operator.
    pub(super) fn fill(&self) -> Result<String, String> {
        let start =
            format!("ExecStart={} serve --config {}", escaped(&self.binary)?, escaped(&self.configuration)?);
        let below = self.state.strip_prefix(STATE_DIRECTORIES).ok().filter(|below| below.iter().count() > 0);
        let (state, mode) = match below {
            Some(below) => {
                (format!("StateDirectory={}", escaped(below)?), Some("StateDirectoryMode=0700".to_owned()))
            }
            None => (format!("ReadWritePaths={}", escaped(&self.state)?), None),
        };
        let credential = match &self.passphrase_file {
            Some(path) => Some(format!("LoadCredential=issuer-passphrase:{}", escaped(path)?)),
            None => None,
        };
        let mut text = String::with_capacity(SHIPPED.len() + 256);
        for line in SHIPPED.lines() {
            let line = match line.split_once('=').map(|(key, _)| key) {
                Some("ExecStart") => Some(start.clone()),
                Some("StateDirectory") => Some(state.clone()),
                Some("StateDirectoryMode") => mode.clone(),
                Some("LoadCredential") => credential.clone(),
                _ => Some(line.to_owned()),
            };
            if let Some(line) = line {
                text.push_str(&line);
                text.push('\n');
            }
        }
        Ok(text)
    }

    /// Those of the paths that the service would not see.
    pub(super) fn hidden(&self) -> Vec<&Path> {
        let own = [&self.binary, &self.configuration, &self.state];
        let all = own.into_iter().chain(&self.reads).map(PathBuf::as_path);
        all.filter(|path| HIDDEN.iter().any(|hidden| path.starts_with(hidden))).collect()
    }
}

/// A path as a unit has it (systemd.syntax(7)). What would need quotes is refused rather than quoted.
fn escaped(path: &Path) -> Result<String, String> {
    let text = path.to_str().unwrap_or_default();
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-+,=@%".contains(&byte);
    if text.is_empty() || !text.bytes().all(plain) {
        return Err(format!(
            "{} cannot stand in a unit: choose a path of letters, digits and . _ - + , = @ %",
            path.display()
        ));
    }
    Ok(text.replace('%', "%%"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usual() -> Unit {
        Unit {
            binary: "/usr/bin/ingam".into(),
            configuration: "/etc/ingam/ingam.toml".into(),
            state: "/var/lib/ingam".into(),
            passphrase_file: Some(PASSPHRASE_FILE.into()),
            reads: vec![],
        }
    }

    #[test]
    fn with_the_usual_paths_it_is_the_shipped_one() {
        assert_eq!(usual().fill().unwrap(), SHIPPED);
        assert!(usual().hidden().is_empty());
    }

    #[test]
    fn other_paths_take_their_place() {
        let unit = Unit {
            binary: "/opt/50%/ingam".into(),
            state: "/srv/ca".into(),
            passphrase_file: None,
            reads: vec!["/home/me/tls.key".into()],
            ..usual()
        };
        let text = unit.fill().unwrap();
        assert!(text.contains("\nExecStart=/opt/50%%/ingam serve --config /etc/ingam/ingam.toml\n"));
        assert!(text.contains("\nReadWritePaths=/srv/ca\n") && !text.contains("StateDirectory"));
        assert!(!text.contains("LoadCredential"));
        assert_eq!(unit.hidden(), [Path::new("/home/me/tls.key")]);
        let deeper = Unit { state: "/var/lib/pki/ca".into(), ..usual() };
        assert!(deeper.fill().unwrap().contains("\nStateDirectory=pki/ca\n"));
    }

    #[test]
    fn paths_that_need_quotes_are_refused() {
        for bad in ["/srv/a b", "/srv/a\nUser=root", "/srv/$HOME", "/srv/\"a\""] {
            let unit = Unit { state: bad.into(), ..usual() };
            assert!(unit.fill().unwrap_err().contains("/srv/"), "{bad}");
        }
    }
}
