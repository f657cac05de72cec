//! Telling systemd how the process is (sd_notify(3)): one datagram with `KEY=VALUE` lines to the socket that
//! `NOTIFY_SOCKET` names. Where nobody asked, nothing is sent.

use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// What there is to tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// It serves: after the start, and after each reload.
    Ready,
    /// It reads its configuration again.
    Reloading,
    /// It ends.
    Stopping,
}

impl State {
    fn message(self) -> &'static [u8] {
        match self {
            Self::Ready => b"READY=1",
            Self::Reloading => b"RELOADING=1",
            Self::Stopping => b"STOPPING=1",
        }
    }
}

/// Tells whoever started the process. That nobody hears it is no reason to end, but one for a line in the log.
pub(crate) fn tell(state: State) {
    let Some(socket) = std::env::var_os("NOTIFY_SOCKET") else { return };
    if let Err(error) = send(&socket, state) {
        tracing::warn!(%error, ?state, "NOTIFY_SOCKET cannot be told");
    }
}

/// `socket` is an absolute path, or `@` and a name in the abstract namespace (unix(7)).
fn send(socket: &OsStr, state: State) -> io::Result<()> {
    let address = match socket.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        [b'/', ..] => SocketAddr::from_pathname(socket)?,
        _ => return Err(io::Error::new(io::ErrorKind::InvalidInput, "neither a path nor an abstract name")),
    };
    let sender = UnixDatagram::unbound()?;
    // A full queue must not keep the process from going on.
    sender.set_nonblocking(true)?;
    sender.send_to_addr(state.message(), &address).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn received(socket: &UnixDatagram) -> Vec<u8> {
        let mut buffer = [0; 64];
        let length = socket.recv(&mut buffer).unwrap();
        buffer[..length].to_vec()
    }

    #[test]
    fn both_forms_of_address_are_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let listener = UnixDatagram::bind(&path).unwrap();
        for (state, wanted) in
            [(State::Ready, "READY=1"), (State::Reloading, "RELOADING=1"), (State::Stopping, "STOPPING=1")]
        {
            send(path.as_os_str(), state).unwrap();
            assert_eq!(received(&listener), wanted.as_bytes());
        }
        let name = format!("ingam-notify-{}", std::process::id());
        let listener = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        send(OsStr::new(&format!("@{name}")), State::Ready).unwrap();
        assert_eq!(received(&listener), b"READY=1");
    }

    #[test]
    fn what_is_no_address_is_an_error() {
        for bad in ["", "relative", "/nowhere/notify", "@nobody-listens-here"] {
            assert!(send(OsStr::new(bad), State::Ready).is_err(), "{bad}");
        }
    }
}
