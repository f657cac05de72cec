//! Where the admin API is: a Unix socket, or an https address.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls_pki_types::ServerName;

use super::tls::TlsFiles;

/// Where `ingam serve` listens, by the places that a package and a plain folder give it.
const USUAL_SOCKETS: [&str; 2] = ["/run/ingam/admin.sock", "/var/lib/ingam/admin.sock"];

/// What the command line says of the place.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// The path of the Unix socket.
    pub socket: Option<PathBuf>,
    /// The state folder, in which `admin.sock` is.
    pub dir: Option<PathBuf>,
    /// `https://host:port`.
    pub url: Option<String>,
    /// The certificates that the server's is checked against, PEM.
    pub ca: Option<PathBuf>,
    /// The client's certificate with its chain, PEM.
    pub certificate: Option<PathBuf>,
    /// The client's key, PEM.
    pub key: Option<PathBuf>,
}

/// The place of the admin API.
#[derive(Clone)]
pub enum Address {
    /// A Unix socket: the caller is known by its user.
    Socket(PathBuf),
    /// TLS over TCP: the caller is known by its certificate.
    Tls {
        /// Host and port, as in the URL.
        authority: String,
        /// The name or address that the server's certificate has to be for.
        host: ServerName<'static>,
        /// The port.
        port: u16,
        /// What is checked and shown.
        config: Arc<rustls::ClientConfig>,
    },
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket(path) => write!(f, "{}", path.display()),
            Self::Tls { authority, .. } => write!(f, "https://{authority}"),
        }
    }
}

impl Address {
    /// The place that is wanted: what the command line says comes first, then `INGAM_ADMIN_SOCKET` and
    /// `INGAM_ADMIN_URL` (with `INGAM_ADMIN_CA`, `_CERTIFICATE` and `_KEY`), then the usual sockets.
    ///
    /// # Errors
    ///
    /// A sentence, if the places contradict each other or the files of TLS cannot be used.
    pub fn find(wanted: &Wanted, env: &dyn Fn(&str) -> Option<String>) -> Result<Self, String> {
        let set = |name: &str| env(name).filter(|value| !value.is_empty());
        if let Some(path) = &wanted.socket {
            return Ok(Self::Socket(path.clone()));
        }
        if let Some(dir) = &wanted.dir {
            return Ok(Self::Socket(dir.join("admin.sock")));
        }
        let (socket, url) = (set("INGAM_ADMIN_SOCKET"), set("INGAM_ADMIN_URL"));
        let url = match (&wanted.url, socket, url) {
            (Some(url), _, _) => url.clone(),
            (None, Some(_), Some(_)) => {
                return Err(
                    "INGAM_ADMIN_SOCKET and INGAM_ADMIN_URL are both set: unset one, or say --socket or \
                            --url"
                        .to_owned(),
                );
            }
            (None, Some(socket), None) => return Ok(Self::Socket(socket.into())),
            (None, None, Some(url)) => url,
            (None, None, None) => return Ok(Self::Socket(usual_socket())),
        };
        let file = |given: &Option<PathBuf>, option: &str, variable: &str| {
            given.clone().or_else(|| set(variable).map(PathBuf::from)).ok_or_else(|| {
                format!(
                    "--url needs {option} FILE (or {variable}): the admin API over TCP is mutual TLS alone"
                )
            })
        };
        Self::of_url(
            &url,
            &TlsFiles {
                ca: file(&wanted.ca, "--ca", "INGAM_ADMIN_CA")?,
                certificate: file(&wanted.certificate, "--certificate", "INGAM_ADMIN_CERTIFICATE")?,
                key: file(&wanted.key, "--key", "INGAM_ADMIN_KEY")?,
            },
        )
    }

    fn of_url(url: &str, files: &TlsFiles) -> Result<Self, String> {
        let wrong = || format!("\"{url}\" is no address of an admin API: write https://HOST:PORT");
        let uri: http::Uri = url.parse().map_err(|_| wrong())?;
        let authority = uri.authority().filter(|authority| !authority.as_str().contains('@'));
        let (Some("https"), Some(authority), "" | "/", None) =
            (uri.scheme_str(), authority, uri.path(), uri.query())
        else {
            return Err(wrong());
        };
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        Ok(Self::Tls {
            authority: authority.to_string(),
            host: ServerName::try_from(host).map_err(|_| wrong())?,
            port: authority.port_u16().unwrap_or(443),
            config: Arc::new(files.config()?),
        })
    }

    /// What the `Host` field says.
    pub(super) fn host(&self) -> &str {
        match self {
            Self::Socket(_) => "localhost",
            Self::Tls { authority, .. } => authority,
        }
    }
}

/// The usual socket that is there; the first if none is.
fn usual_socket() -> PathBuf {
    let [first, ..] = USUAL_SOCKETS;
    let there = USUAL_SOCKETS.into_iter().map(Path::new).find(|path| path.exists());
    there.unwrap_or(Path::new(first)).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nothing(_: &str) -> Option<String> {
        None
    }

    fn found(wanted: &Wanted, env: &[(&str, &str)]) -> Result<String, String> {
        let env =
            |name: &str| env.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        Address::find(wanted, &env).map(|address| address.to_string())
    }

    #[test]
    fn what_is_said_wins_over_what_is_set() {
        let socket = Wanted { socket: Some("/a.sock".into()), ..Wanted::default() };
        let dir = Wanted { dir: Some("/ca".into()), ..Wanted::default() };
        let url = [("INGAM_ADMIN_URL", "https://ca.example:1")];
        let set = [("INGAM_ADMIN_SOCKET", "/b.sock")];
        assert_eq!(found(&socket, &url).unwrap(), "/a.sock");
        assert_eq!(found(&socket, &set).unwrap(), "/a.sock");
        assert_eq!(found(&dir, &set).unwrap(), "/ca/admin.sock");
        assert_eq!(found(&Wanted::default(), &set).unwrap(), "/b.sock");
        assert_eq!(found(&Wanted::default(), &[("INGAM_ADMIN_SOCKET", "")]).unwrap(), USUAL_SOCKETS[0]);
        assert!(found(&Wanted::default(), &[set[0], url[0]]).unwrap_err().contains("both set"));
    }

    #[test]
    fn tcp_needs_every_file() {
        let url = Wanted { url: Some("https://ca.example:1".to_owned()), ..Wanted::default() };
        assert!(Address::find(&url, &nothing).unwrap_err().contains("--ca FILE (or INGAM_ADMIN_CA)"));
    }

    #[test]
    fn only_bare_https_addresses_are_taken() {
        let files = TlsFiles { ca: "/nowhere".into(), certificate: "/n".into(), key: "/n".into() };
        for wrong in ["http://a:1", "https://a/x", "https://u@a", "a:1", "", "https://a/?x"] {
            assert!(
                Address::of_url(wrong, &files).unwrap_err().contains("write https://HOST:PORT"),
                "{wrong}"
            );
        }
        let error = Address::of_url("https://[::1]:1", &files).unwrap_err();
        assert!(error.contains("/nowhere"), "{error}");
    }
}
