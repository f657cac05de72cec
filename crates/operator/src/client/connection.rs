//! Opening connections, and saying why one cannot be opened.

use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

use super::{Address, Error};

/// How long it may take until a connection stands, with its TLS handshake.
const CONNECT_MAX: Duration = Duration::from_secs(10);

impl Address {
    /// A new connection.
    pub(super) async fn connect(&self) -> Result<SendRequest<Full<Bytes>>, Error> {
        match tokio::time::timeout(CONNECT_MAX, self.open()).await {
            Ok(opened) => opened,
            Err(_) => Err(Error::Unreachable(format!(
                "{self} does not take a connection within {} seconds: is the address right, and does a firewall let \
                 it through?",
                CONNECT_MAX.as_secs()
            ))),
        }
    }

    async fn open(&self) -> Result<SendRequest<Full<Bytes>>, Error> {
        match self {
            Self::Socket(path) => {
                let stream = UnixStream::connect(path).await.map_err(|error| no_socket(path, &error))?;
                self.speak(stream).await
            }
            Self::Tls { host, port, config, .. } => {
                let stream =
                    TcpStream::connect((host.to_str().as_ref(), *port)).await.map_err(|error| {
                        Error::Unreachable(format!(
                            "nobody listens at {self} ({error}): is `ingam serve` running, with an admin listener \
                             there?"
                        ))
                    })?;
                let connector = tokio_rustls::TlsConnector::from(config.clone());
                let stream = connector.connect(host.clone(), stream).await.map_err(|error| {
                    Error::Unreachable(format!(
                        "{self} and this program do not agree on TLS ({error}): --ca has to be the certificate \
                         behind the server's, --certificate one that the CA lets in"
                    ))
                })?;
                self.speak(stream).await
            }
        }
    }

    async fn speak<S>(&self, stream: S) -> Result<SendRequest<Full<Bytes>>, Error>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (sender, connection) =
            handshake(TokioIo::new(stream)).await.map_err(|error| self.lost(&error))?;
        // It ends with the sender; what goes wrong is told to whoever waits for an answer.
        tokio::spawn(connection);
        Ok(sender)
    }

    /// What an error in the middle of an exchange means.
    pub(super) fn lost(&self, error: &(dyn std::error::Error + 'static)) -> Error {
        let mut words = error.to_string();
        let mut cause = error.source();
        while let Some(inner) = cause {
            words = format!("{words}: {inner}");
            cause = inner.source();
        }
        Error::Unreachable(format!(
            "{self} ended the connection before the answer was whole ({words}); an act that was asked for may have been \
             done: look before it is asked for again"
        ))
    }
}

fn no_socket(path: &Path, error: &std::io::Error) -> Error {
    let path = path.display();
    Error::Unreachable(match error.kind() {
        ErrorKind::NotFound => format!(
            "nobody listens at {path}: there is no such socket. Is `ingam serve` running, and is its admin socket there? \
             Name another with --socket, or the folder of `ingam dev` with --dir"
        ),
        ErrorKind::ConnectionRefused => {
            format!("nobody listens at {path} any more: the CA has ended. Start `ingam serve` again")
        }
        ErrorKind::PermissionDenied => format!(
            "this user may not open {path}: be a member of the socket's group, or use an account that has a role at the \
             CA"
        ),
        _ => format!("{path} cannot be opened: {error}"),
    })
}
