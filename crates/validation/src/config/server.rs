//! Recursive resolvers as an operator writes them.

use std::fmt;
use std::net::{AddrParseError, SocketAddr};
use std::str::FromStr;

use ingam_protocol::identifier::DnsName;
use serde::{Deserialize, Serialize};

/// The longest path of a DNS over HTTPS server.
const PATH_MAX: usize = 128;

/// A recursive resolver, and how it is spoken to.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Server {
    address: SocketAddr,
    transport: Transport,
}

/// How a resolver is spoken to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    /// UDP, and TCP where an answer does not fit or cannot be trusted.
    Datagrams,
    /// TCP always (RFC 7766).
    Tcp,
    /// TLS, with a certificate for the name (RFC 7858; RFC 8310, section 8.1).
    Tls { name: DnsName },
    /// HTTPS, with a certificate for the name (RFC 8484).
    Https { name: DnsName, path: String },
}

/// Why a text is no [`Server`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServerError {
    /// There is no address with a port where one should be.
    Address(AddrParseError),
    /// What stands before `://` is no way to speak to a resolver.
    Scheme,
    /// There is no name before the `@`, by which to know the server's certificate.
    Name,
    /// The path is none.
    Path,
}

impl fmt::Display for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(error) => error.fmt(f),
            Self::Scheme => f.write_str("only tcp://, tls:// and https:// are known; UDP needs none of them"),
            Self::Name => f.write_str(
                "the name in the server's certificate has to stand before its address, as in \
                 tls://dns.example@192.0.2.1:853",
            ),
            Self::Path => {
                f.write_str("the path has to be plain, as in https://dns.example@192.0.2.1:443/dns-query")
            }
        }
    }
}

impl std::error::Error for ServerError {}

impl Server {
    /// Where it is.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whether a certificate shows that it is the one that was meant.
    pub fn is_authenticated(&self) -> bool {
        matches!(self.transport, Transport::Tls { .. } | Transport::Https { .. })
    }

    pub(crate) fn transport(&self) -> &Transport {
        &self.transport
    }
}

impl From<SocketAddr> for Server {
    /// UDP, and TCP where an answer does not fit.
    fn from(address: SocketAddr) -> Self {
        Self { address, transport: Transport::Datagrams }
    }
}

impl FromStr for Server {
    type Err = ServerError;

    fn from_str(text: &str) -> Result<Self, ServerError> {
        let address = |text: &str| text.parse::<SocketAddr>().map_err(ServerError::Address);
        let Some((scheme, rest)) = text.split_once("://") else { return Ok(address(text)?.into()) };
        let named = |rest: &str| {
            let (name, at) = rest.split_once('@').ok_or(ServerError::Name)?;
            let name = DnsName::parse(name).map_err(|_| ServerError::Name)?;
            Ok::<_, ServerError>((name, address(at)?))
        };
        match scheme {
            "tcp" => Ok(Self { address: address(rest)?, transport: Transport::Tcp }),
            "tls" => {
                let (name, address) = named(rest)?;
                Ok(Self { address, transport: Transport::Tls { name } })
            }
            "https" => {
                let at = rest.find('/').ok_or(ServerError::Path)?;
                let (server, path) = rest.split_at_checked(at).ok_or(ServerError::Path)?;
                let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte);
                if path.len() > PATH_MAX || !path.bytes().all(is_plain) {
                    return Err(ServerError::Path);
                }
                let (name, address) = named(server)?;
                Ok(Self { address, transport: Transport::Https { name, path: path.to_owned() } })
            }
            _ => Err(ServerError::Scheme),
        }
    }
}

impl TryFrom<String> for Server {
    type Error = ServerError;

    fn try_from(text: String) -> Result<Self, ServerError> {
        text.parse()
    }
}

impl From<Server> for String {
    fn from(server: Server) -> Self {
        server.to_string()
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let address = self.address;
        match &self.transport {
            Transport::Datagrams => write!(f, "{address}"),
            Transport::Tcp => write!(f, "tcp://{address}"),
            Transport::Tls { name } => write!(f, "tls://{name}@{address}"),
            Transport::Https { name, path } => write!(f, "https://{name}@{address}{path}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_prints_as_itself() {
        for (text, authenticated) in [
            ("127.0.0.1:53", false),
            ("[::1]:53", false),
            ("tcp://192.0.2.1:53", false),
            ("tls://dns.example@192.0.2.1:853", true),
            ("tls://dns.example@[2001:db8::1]:853", true),
            ("https://dns.example@192.0.2.1:443/dns-query", true),
        ] {
            let server: Server = text.parse().unwrap();
            assert_eq!((server.to_string().as_str(), server.is_authenticated()), (text, authenticated));
        }
    }

    #[test]
    fn anything_else_is_refused() {
        let words = |text: &str| text.parse::<Server>().unwrap_err().to_string();
        for text in ["", "localhost:53", "127.0.0.1", "tcp://dns.example:53", "tls://dns.example@192.0.2.1"] {
            assert_eq!(words(text), "invalid socket address syntax", "{text}");
        }
        assert!(words("udp://127.0.0.1:53").contains("only tcp://"));
        for text in ["tls://192.0.2.1:853", "tls://@192.0.2.1:853", "https://a b@192.0.2.1:443/dns-query"] {
            assert!(words(text).contains("name in the server's certificate"), "{text}");
        }
        for text in ["https://dns.example@192.0.2.1:443", "https://dns.example@192.0.2.1:443/dns query{?dns}"]
        {
            assert!(words(text).contains("the path has to be plain"), "{text}");
        }
    }
}
