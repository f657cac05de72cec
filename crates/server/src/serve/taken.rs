//! What a process takes for itself before it changes anything: its sockets and its state folder.

use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::path::Path;

use ingam_journal::folders::FileSystem;
use ingam_store::backup::refuse_half_restored;
use tokio::net::UdpSocket;

use super::StartError;
use crate::config::Config;
use crate::listener::{bind, bind_failure, bind_shared};

/// Every socket of the process with a port, bound and not yet served.
pub(crate) struct Ports {
    pub(super) acme: Vec<tokio::net::TcpListener>,
    pub(super) acme_plain: Vec<tokio::net::TcpListener>,
    pub(super) management: Vec<tokio::net::TcpListener>,
    /// Those of each thread that answers.
    pub(super) publication: Vec<Vec<std::net::TcpListener>>,
    pub(super) publication_tls: Vec<tokio::net::TcpListener>,
    pub(super) metrics: Vec<tokio::net::TcpListener>,
    pub(super) admin: Vec<tokio::net::TcpListener>,
    pub(super) dns_udp: Vec<UdpSocket>,
    pub(super) dns_tcp: Vec<tokio::net::TcpListener>,
    pub(super) dns_management: Vec<tokio::net::TcpListener>,
    pub(super) ct_log: Vec<tokio::net::TcpListener>,
}

impl Ports {
    /// Binds them all, before anything is changed.
    ///
    /// # Errors
    /// [`StartError`] has a line for each address that cannot be listened on.
    pub(crate) async fn bind(config: &Config) -> Result<Self, StartError> {
        let listen = &config.listen;
        let mut failures = Vec::new();
        let mut dns_udp = Vec::with_capacity(listen.dns.len());
        for address in &listen.dns {
            match UdpSocket::bind(address).await {
                Ok(socket) => dns_udp.push(socket),
                Err(error) => failures.push(bind_failure("dns", *address, &error)),
            }
        }
        let publication = bind_shared("publication", &listen.publication, config.responder.threads());
        let publication = publication.map_err(|why| failures.push(why)).unwrap_or_default();
        let mut bound = |key, addresses: &[SocketAddr]| {
            bind(key, addresses).unwrap_or_else(|why| {
                failures.push(why);
                Vec::new()
            })
        };
        let ports = Self {
            acme: bound("acme", &listen.acme),
            acme_plain: bound("acme_plain", &listen.acme_plain),
            management: bound("management", &listen.management),
            publication,
            publication_tls: bound("publication_tls", &listen.publication_tls),
            metrics: bound("metrics", &listen.metrics),
            admin: bound("admin", &listen.admin),
            dns_udp,
            dns_tcp: bound("dns", &listen.dns),
            dns_management: bound("dns_management", &listen.dns_management),
            ct_log: bound("ct_log", &listen.ct_log),
        };
        // UDP and TCP of one address are one sentence.
        let mut lines: Vec<&str> = Vec::new();
        for line in failures.iter().flat_map(|failure| failure.lines()) {
            if !lines.contains(&line) {
                lines.push(line);
            }
        }
        if lines.is_empty() { Ok(ports) } else { Err(StartError(lines.join("\n"))) }
    }
}

impl Ports {
    /// Where OCSP and CRLs are listened for, as it was bound; `None` where there is no such listener.
    pub(super) fn publication_address(&self) -> Option<SocketAddr> {
        self.publication.first()?.first()?.local_addr().ok()
    }
}

/// One process to a state folder: whoever has this has the folder.
pub(crate) struct StateLock {
    _file: File,
}

impl StateLock {
    /// Takes the folder, which is there, and holds nothing by half.
    pub(crate) fn take(state: &Path) -> Result<Self, StartError> {
        let lock = Self::take_as_it_is(state)?;
        refuse_half_restored(&FileSystem, state).map_err(|error| StartError(error.to_string()))?;
        Ok(lock)
    }

    /// Takes the folder, which is there, whatever a restore has left in it.
    pub(crate) fn take_as_it_is(state: &Path) -> Result<Self, StartError> {
        let path = state.join("lock");
        let unwritable = |error: io::Error| {
            let folder = state.display();
            StartError(match error.kind() {
                io::ErrorKind::NotFound => {
                    format!("the state folder {folder} is not there: give the one that the CA has")
                }
                _ => format!("the state folder {folder} cannot be written to: {error}; choose another"),
            })
        };
        let file = File::options().create(true).truncate(false).write(true).open(path).map_err(unwritable)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(std::fs::TryLockError::WouldBlock) => Err(StartError(format!(
                "the state folder {} is in use by another ingam: stop that one, or choose another folder",
                state.display()
            ))),
            Err(std::fs::TryLockError::Error(error)) => Err(unwritable(error)),
        }
    }
}
