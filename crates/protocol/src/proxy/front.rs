//! What stands in front of a listener: proxies, and by which of their words a client's address is known.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::TrustedProxies;
use super::forwarded::{forwarded, x_forwarded_for};

/// A way to tell a client's address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProxyWord {
    /// Not at all: the peer is the client.
    #[default]
    None,
    /// The header of RFC 7239.
    Forwarded,
    /// The header that most proxies write.
    XForwardedFor,
    /// The PROXY protocol, version 1 or 2: trusted proxies have to speak it.
    ProxyProtocol,
}

/// Nobody, by default: the peer is the client.
#[derive(Clone, Debug, Default)]
pub struct Front {
    /// Whose word counts.
    pub trusted: Arc<TrustedProxies>,
    /// How they tell for whom they came.
    pub word: ProxyWord,
}

/// What is told of a trusted proxy that did not say for whom it came, and had to.
pub const UNSAID: &str = "a trusted proxy did not tell for whom it came, and was not served: let it speak the PROXY protocol, or change \
                          [proxies]";

/// The line of a header as a proxy's word; what is no text is none, and `"?"`.
pub fn line(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap_or("?")
}

impl Front {
    /// Whether a connection of this peer begins with the PROXY protocol.
    ///
    /// A peer that is not trusted is not asked: what it sends of this protocol is taken for what comes after it, which neither TLS nor
    /// HTTP can read.
    pub fn is_announced(&self, peer: IpAddr) -> bool {
        self.word == ProxyWord::ProxyProtocol && self.trusted.contains(peer)
    }

    /// Who sent a request over a connection that `opener` opened. `lines` gives all lines of a header by its name in lower case, each
    /// through [`line`].
    pub fn client<'h>(
        &self,
        opener: SocketAddr,
        lines: impl FnOnce(&'static str) -> Vec<&'h str>,
    ) -> SocketAddr {
        if !self.trusted.contains(opener.ip()) {
            return opener;
        }
        let told = match self.word {
            ProxyWord::Forwarded => forwarded(&lines("forwarded")),
            ProxyWord::XForwardedFor => x_forwarded_for(&lines("x-forwarded-for")),
            ProxyWord::None | ProxyWord::ProxyProtocol => return opener,
        };
        let client = self.trusted.client(opener.ip(), told);
        // Nobody told the port that this client came from.
        if client == opener.ip().to_canonical() { opener } else { SocketAddr::new(client, 0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROXY: &str = "10.0.0.1:99";

    fn client(word: ProxyWord, peer: &str, headers: &[(&str, &'static str)]) -> String {
        let mut trusted = TrustedProxies::none();
        trusted.trust("10.0.0.0/8").unwrap();
        let front = Front { trusted: Arc::new(trusted), word };
        let lines =
            |name: &str| headers.iter().filter(|(own, _)| *own == name).map(|(_, line)| *line).collect();
        front.client(peer.parse().unwrap(), lines).to_string()
    }

    #[test]
    fn only_the_configured_word_of_a_trusted_proxy_counts() {
        let told = [("x-forwarded-for", "198.51.100.9, 192.0.2.1"), ("forwarded", "for=192.0.2.2")];
        assert_eq!(client(ProxyWord::XForwardedFor, PROXY, &told), "192.0.2.1:0");
        assert_eq!(client(ProxyWord::Forwarded, PROXY, &told), "192.0.2.2:0");
        assert_eq!(client(ProxyWord::ProxyProtocol, PROXY, &told), PROXY);
        assert_eq!(client(ProxyWord::None, PROXY, &told), PROXY);
        for word in [ProxyWord::XForwardedFor, ProxyWord::Forwarded] {
            assert_eq!(client(word, "192.0.2.77:5", &told), "192.0.2.77:5");
            assert_eq!(client(word, PROXY, &[]), PROXY);
        }
    }

    #[test]
    fn lines_of_one_header_are_one_list() {
        let lines = [("x-forwarded-for", "198.51.100.9"), ("x-forwarded-for", "192.0.2.1,10.0.0.2")];
        assert_eq!(client(ProxyWord::XForwardedFor, PROXY, &lines), "192.0.2.1:0");
        let spoilt = [("x-forwarded-for", "192.0.2.1"), ("x-forwarded-for", "?")];
        assert_eq!(client(ProxyWord::XForwardedFor, PROXY, &spoilt), PROXY);
    }
}
