//! What is allowed, and unwise. A CA for development may be as unwise as it likes.

use std::net::{IpAddr, SocketAddr};

use ingam_protocol::{Findings, Timestamp};
use ingam_responder::{InAdvance, Nonces};
use ingam_validation::{AddressPolicy, Dnssec};

use super::{Config, Environment, checks, host, proxies, public};

/// All of it.
pub(crate) fn check(config: &Config, now: Timestamp, found: &mut Findings) {
    if found.is_silent("environment") {
        return;
    }
    if config.environment == Environment::Development {
        // Whoever tries perspectives wants to know whether they are enough.
        if config.remotes().count > 0 {
            public::check(config, now, found);
        }
        return;
    }
    listeners(config, found);
    proxies::advise(config, found);
    urls(config, found);
    validation(config, found);
    if config.environment == Environment::Production && config.responder.nonces == Nonces::Answer {
        found.warning(
            "responder.nonces",
            "is \"answer\": each such request costs a signature, and its answer cannot be cached",
            "use \"ignore\", unless clients are known to need nonces",
        );
    }
    answers(config, found);
    if config.environment == Environment::Production {
        found.below("privacy", config.privacy.advise());
    }
    checks::advise(config, found);
    public::check(config, now, found);
}

/// Who can read the metrics.
pub(super) fn metrics(config: &Config, found: &mut Findings) {
    let others = elsewhere(&config.listen.metrics, |address| **address);
    if !others.is_empty() {
        found.warning(
            "listen.metrics",
            format!("has {others}: whoever reaches that can read how much is issued and revoked"),
            "listen on 127.0.0.1, and let the collector come over a tunnel or a proxy that knows it",
        );
    }
}

fn listeners(config: &Config, found: &mut Findings) {
    let listen = &config.listen;
    metrics(config, found);
    if config.operator.administrators.is_empty() {
        found.warning(
            "operator.administrators",
            "is empty: nobody may use the admin API of a new CA",
            "name an administrator, as in [\"uid:1000\"]",
        );
    }
    if listen.acme.is_empty() && listen.acme_plain.is_empty() {
        found.warning(
            "listen.acme",
            "is empty: nobody can ask for a certificate",
            "give an address and a port",
        );
    }
    if listen.publication.is_empty() {
        found.warning(
            "listen.publication",
            "is empty: nobody answers at the URLs that certificates point to",
            "give an address and a port",
        );
    }
}

fn urls(config: &Config, found: &mut Findings) {
    for (key, url) in
        [("urls.public_url", &config.urls.public_url), ("urls.publication", &config.urls.publication)]
    {
        let Some(host) = host(url) else { continue };
        let is_here = host == "localhost" || host.parse().is_ok_and(|address: IpAddr| address.is_loopback());
        if is_here {
            let fix = "give the name by which clients reach it";
            found.warning(key, format!("is {url:?}, which means another machine to each client"), fix);
        }
    }
    for (key, url) in [
        ("urls.terms_of_service", &config.urls.terms_of_service),
        ("urls.website", &config.urls.website),
        ("urls.renewal_explanation", &config.urls.renewal_explanation),
    ] {
        if let Some(url) = url.as_deref().filter(|url| !url.starts_with("https://")) {
            found.warning(
                key,
                format!("is {url:?}, which is no https URL"),
                "give one that begins with https://",
            );
        }
    }
}

/// How this process looks at the network.
pub(super) fn network(config: &Config, found: &mut Findings) {
    let validation = &config.validation;
    // One that a certificate shows to be the one that was meant is the operator's choice, and nobody on the way to it decides.
    let unknown = validation.resolvers.iter().filter(|server| !server.is_authenticated());
    let others = elsewhere(unknown, |server| server.address());
    if !others.is_empty() {
        found.warning(
            "validation.resolvers",
            format!(
                "has {others}: whoever runs it, or stands on the way to it, decides who gets certificates"
            ),
            "run a resolver that validates DNSSEC on this machine, and give 127.0.0.1:53; or speak to it over TLS or HTTPS",
        );
    }
    if !validation.root_hints.is_empty() && validation.dns_port != 53 {
        found.warning(
            "validation.dns_port",
            format!("is {}, where no name server of the Internet is", validation.dns_port),
            "use 53",
        );
    }
    // What the public's rules say of it is told with them.
    let is_any_public = config.profiles.values().any(|profile| profile.public);
    if validation.dnssec == Dnssec::Off && !is_any_public {
        found.warning(
            "validation.dnssec",
            "is \"off\": answers that DNSSEC shows to be forged are used",
            "use \"validate\", or \"when-signed\" in a network whose own root is not signed",
        );
    }
    if !validation.addresses_allowed.is_empty() {
        found.warning(
            "validation.addresses_allowed",
            "lets validations connect to addresses that are not public: guests can have us knock inside the network",
            "remove it, unless this is the CA of a private network",
        );
    }
    if validation.addresses != AddressPolicy::PublicOnly {
        found.warning(
            "validation.addresses",
            "lets validations connect to addresses that are not public: guests can have us knock inside the network",
            "use \"public-only\", unless this is the CA of a private network",
        );
    }
    for (key, port, usual) in [
        ("validation.http_port", validation.http_port, 80),
        ("validation.https_port", validation.https_port, 443),
        ("validation.tls_alpn_port", validation.tls_alpn_port, 443),
    ] {
        if port != usual {
            let why =
                "is no port that only a machine's owner can use (RFC 8555, section 8.3; RFC 8737, section 3)";
            found.warning(key, format!("is {port}, which {why}"), format!("use {usual}"));
        }
    }
}

fn validation(config: &Config, found: &mut Findings) {
    network(config, found);
    if config.validation.caa_issuer_domains.is_empty() {
        found.warning(
            "validation.caa_issuer_domains",
            "is empty: no name with a CAA record gets a certificate (RFC 8659, section 4.2)",
            "give the domain name by which owners let this CA in",
        );
    }
}

/// What is given out for responders apart from the CA.
fn answers(config: &Config, found: &mut Findings) {
    let responder = &config.responder;
    let is_published = responder.publish_key.is_some();
    let lacks = |hash: InAdvance| is_published && !responder.presign.contains(&hash);
    let fix = "set it to [\"sha1\", \"sha256\"]";
    match (lacks(InAdvance::Sha1), lacks(InAdvance::Sha256)) {
        // Without them, delegates are refused for the same reason.
        (true, true) if found.is_sound("responder.delegates") => found.warning(
            "responder.presign",
            "is empty, though there is a publish_key: nothing is signed in advance, so nothing is published",
            format!("{fix}, or leave publish_key out"),
        ),
        (true, false) => found.warning("responder.presign", tries_later("SHA-1"), fix),
        (false, true) => found.warning("responder.presign", tries_later("SHA-256"), fix),
        _ => {}
    }
    let listeners = [&config.listen.publication, &config.listen.publication_tls];
    let others = elsewhere(listeners.into_iter().flatten(), |address| **address);
    let is_any_private = config.profiles.values().any(|profile| !profile.public);
    if responder.publish_over_http && is_any_private && !others.is_empty() {
        found.warning(
            "responder.publish_over_http",
            format!(
                "gives the serial numbers and statuses of all certificates, also by private profiles, to whoever reaches /answers/ at {others}"
            ),
            "let a firewall or a proxy keep /answers/ to your responders; or set it to false and copy the folder answers/ to them",
        );
    }
}

fn tries_later(hash: &str) -> String {
    format!(
        "lacks a hash: responders without a key say tryLater to whoever names the issuer by {hash}, as they have nothing else to give"
    )
}

/// What is not at one of this machine's own addresses, as a text.
fn elsewhere<T: ToString>(all: impl IntoIterator<Item = T>, address: impl Fn(&T) -> SocketAddr) -> String {
    let others = all.into_iter().filter(|one| !address(one).ip().is_loopback());
    others.map(|one| one.to_string()).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests;
