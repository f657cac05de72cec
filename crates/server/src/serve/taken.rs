//! What a process takes for itself before it changes anything: its sockets and its state folder.

use std::fs::File;
use std::io;
use std::path::Path;

use tokio::net::UdpSocket;

use super::StartError;
use crate::admin::AdminSockets;
use crate::config::Config;
use crate::listener::{bind, bind_failure};

/// Every socket of the process, bound and not yet served.
pub(super) struct Sockets {
    pub(super) acme: Vec<tokio::net::TcpListener>,
    pub(super) acme_plain: Vec<tokio::net::TcpListener>,
    pub(super) management: Vec<tokio::net::TcpListener>,
    pub(super) publication: Vec<tokio::net::TcpListener>,
    pub(super) metrics: Vec<tokio::net::TcpListener>,
    pub(super) admin: AdminSockets,
    pub(super) dns_udp: Vec<UdpSocket>,
    pub(super) dns_tcp: Vec<tokio::net::TcpListener>,
    pub(super) dns_management: Vec<tokio::net::TcpListener>,
    pub(super) ct_log: Vec<tokio::net::TcpListener>,
}

impl Sockets {
    pub(super) async fn bind(config: &Config) -> Result<Self, StartError> {
        let listen = &config.listen;
        let mut dns_udp = Vec::with_capacity(listen.dns.len());
        for address in &listen.dns {
            let socket = UdpSocket::bind(address).await;
            dns_udp.push(socket.map_err(|error| StartError(bind_failure("dns", *address, &error)))?);
        }
        Ok(Self {
            acme: bind("acme", &listen.acme).await.map_err(StartError)?,
            acme_plain: bind("acme_plain", &listen.acme_plain).await.map_err(StartError)?,
            management: bind("management", &listen.management).await.map_err(StartError)?,
            publication: bind("publication", &listen.publication).await.map_err(StartError)?,
            metrics: bind("metrics", &listen.metrics).await.map_err(StartError)?,
            admin: AdminSockets::bind(config).await?,
            dns_udp,
            dns_tcp: bind("dns", &listen.dns).await.map_err(StartError)?,
            dns_management: bind("dns_management", &listen.dns_management).await.map_err(StartError)?,
            ct_log: bind("ct_log", &listen.ct_log).await.map_err(StartError)?,
        })
    }
}

/// One process to a state folder: whoever has this has the folder.
pub(crate) struct StateLock {
    _file: File,
}

impl StateLock {
    /// Takes the folder, which is there.
    pub(crate) fn take(state: &Path) -> Result<Self, StartError> {
        let path = state.join("lock");
        let unwritable = |error: io::Error| {
            StartError(format!(
                "the state folder {} cannot be written to: {error}; choose another",
                state.display()
            ))
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
