//! The proxies before the listeners, and by which of their words the client's address is known.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use ingam_protocol::Findings;
use ingam_protocol::proxy::{ProxyWord, TrustedProxies};
use serde::{Deserialize, Serialize};

use super::Config;

/// Who stands before the listeners; nobody by default.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Proxies {
    /// Addresses and networks (`10.0.0.0/8`) whose word on a client's address counts; nobody else's does.
    pub(crate) trusted: Vec<String>,
    /// How they tell it at `listen.acme`.
    pub(crate) acme: ProxyWord,
    /// How they tell it at `listen.acme_plain`.
    pub(crate) acme_plain: ProxyWord,
    /// How they tell it at `listen.publication`: the request log wants to know.
    pub(crate) publication: ProxyWord,
    /// How they tell it at `listen.publication_tls`.
    pub(crate) publication_tls: ProxyWord,
}

impl Proxies {
    /// Those that are named as they should be; rules tell of the others.
    pub(crate) fn trusted(&self) -> TrustedProxies {
        let mut trusted = TrustedProxies::none();
        for text in &self.trusted {
            // A bad one was told.
            let _ = trusted.trust(text);
        }
        trusted
    }

    fn words(&self) -> [(&'static str, &'static str, ProxyWord); 4] {
        [
            ("proxies.acme", "listen.acme", self.acme),
            ("proxies.acme_plain", "listen.acme_plain", self.acme_plain),
            ("proxies.publication", "listen.publication", self.publication),
            ("proxies.publication_tls", "listen.publication_tls", self.publication_tls),
        ]
    }
}

/// What stops a start.
pub(super) fn check(config: &Config, found: &mut Findings) {
    let proxies = &config.proxies;
    let mut trusted = TrustedProxies::none();
    for text in &proxies.trusted {
        if let Err(bad) = trusted.trust(text) {
            let fix = "give addresses and networks of your proxies, as in \"192.0.2.7\" or \"10.0.0.0/8\"";
            found.error("proxies.trusted", format!("has {text:?}, {bad}"), fix);
        }
    }
    for (key, _, word) in proxies.words() {
        found.require(
            word == ProxyWord::None || !proxies.trusted.is_empty(),
            "proxies.trusted",
            format!("is empty, though {key} says how proxies tell of clients: nobody is believed"),
            format!("name the proxies, or set {key} = \"none\""),
        );
    }
    // From there it asks the listener, and says nothing that a proxy has to say first.
    let asks_as_proxy = |address: &&SocketAddr| match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => trusted.contains(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        IpAddr::V6(ip) if ip.is_unspecified() => trusted.contains(IpAddr::V6(Ipv6Addr::LOCALHOST)),
        ip => trusted.contains(ip),
    };
    let own = config.listen.publication.first().filter(asks_as_proxy);
    found.require(
        proxies.publication != ProxyWord::ProxyProtocol || config.monitor.interval_s == 0 || own.is_none(),
        "monitor.interval_s",
        "is above 0, and this machine is among proxies.trusted, whose connections listen.publication takes for a proxy's: none of what it \
         asks would be answered",
        "set it to 0, or trust the proxy's own address alone",
    );
    let afar = |address: &&SocketAddr| !address.ip().is_loopback();
    if let Some(address) = config.listen.acme_plain.iter().find(afar) {
        found.require(
            !proxies.trusted.is_empty(),
            "listen.acme_plain",
            format!("has {address}, where other machines could come without TLS"),
            "listen on 127.0.0.1, or name the proxies that may come in proxies.trusted",
        );
    }
}

/// What is unwise, in whatever environment.
pub(super) fn advise(config: &Config, found: &mut Findings) {
    for (key, listener, word) in config.proxies.words() {
        let addresses = match listener {
            "listen.acme" => &config.listen.acme,
            "listen.acme_plain" => &config.listen.acme_plain,
            "listen.publication_tls" => &config.listen.publication_tls,
            _ => &config.listen.publication,
        };
        if word != ProxyWord::None && addresses.is_empty() {
            let reason = format!("is set, and {listener} is empty: nobody tells anything there");
            found.warning(key, reason, format!("remove it, or give {listener} an address"));
        }
    }
    let plain_is_afar = config.listen.acme_plain.iter().any(|address| !address.ip().is_loopback());
    if plain_is_afar && config.proxies.acme_plain == ProxyWord::None {
        found.warning(
            "proxies.acme_plain",
            "is \"none\": all clients of a proxy have the proxy's address in limits and records",
            "say how the proxy tells the client's, as in \"x-forwarded-for\"",
        );
    }
}
