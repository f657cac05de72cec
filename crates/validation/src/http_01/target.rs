//! Where an http-01 request goes: the well-known path of the name or the address itself, then wherever redirects lead,
//! within bounds.

use std::net::IpAddr;

use ingam_protocol::identifier::{DnsName, Host};
use url::{Position, Url};

use crate::config::Config;
use crate::outcome::Failure;
use crate::quote::{printable, quote};

/// The longest redirect target that is followed.
const LOCATION_MAX_BYTES: usize = 2048;

/// The most characters of a URL that are kept or quoted.
const SHOWN_MAX: usize = 256;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scheme {
    Http,
    Https,
}

/// A URL that may be asked for: `http` or `https`, a port that the configuration allows, and a DNS name for a host, but for
/// the first one of an address.
#[derive(Clone, Debug)]
pub(super) struct Target {
    url: Url,
    scheme: Scheme,
    host: Host,
    port: u16,
    host_header: String,
}

impl Target {
    /// The challenge's own URL. Its `Host` is the bare name or address whatever the port (RFC 8555, section 8.3; RFC 8738,
    /// section 4); an IPv6 address has its brackets.
    pub(super) fn first(host: &Host, token: &str, port: u16) -> Result<Self, Failure> {
        let literal = match host {
            Host::Address(IpAddr::V6(address)) => format!("[{address}]"),
            Host::Name(_) | Host::Address(IpAddr::V4(_)) => host.to_string(),
        };
        let text = format!("http://{literal}:{port}/.well-known/acme-challenge/{token}");
        let url = Url::parse(&text)
            .map_err(|_| Failure::connection(format!("HTTP: {host} cannot be part of a URL")))?;
        Ok(Self { url, scheme: Scheme::Http, host: host.clone(), port, host_header: literal })
    }

    /// Where `location`, a `Location` header's value, leads from here; relative ones stay on this host.
    pub(super) fn redirect(&self, location: &[u8], config: &Config) -> Result<Self, Failure> {
        let refuse = |words: &str| {
            Failure::connection(format!("HTTP: {} redirects to {}: {words}", self.shown(), quote(location)))
        };
        let text = std::str::from_utf8(location).ok().filter(|text| text.is_ascii());
        let text = text.ok_or_else(|| refuse("the target is not ASCII"))?;
        if text.len() > LOCATION_MAX_BYTES {
            return Err(refuse("the target is too long"));
        }
        let mut url = self.url.join(text).map_err(|_| refuse("the target is no URL"))?;
        url.set_fragment(None);
        let (scheme, port_usual) = match url.scheme() {
            "http" => (Scheme::Http, config.http_port),
            "https" => (Scheme::Https, config.https_port),
            _ => return Err(refuse("only http and https are followed")),
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(refuse("user names in URLs are not followed"));
        }
        let host = match url.host() {
            Some(url::Host::Domain(name)) => {
                DnsName::parse(name).map_err(|error| refuse(&error.to_string()))?
            }
            _ => return Err(refuse("the host must be a name, not an IP address")),
        };
        let port = url.port().unwrap_or(port_usual);
        if port != config.http_port && port != config.https_port {
            return Err(refuse(&format!(
                "only ports {} and {} are followed",
                config.http_port, config.https_port
            )));
        }
        let host_header = url.port().map_or_else(|| host.to_string(), |port| format!("{host}:{port}"));
        Ok(Self { url, scheme, host: Host::Name(host), port, host_header })
    }

    pub(super) fn scheme(&self) -> Scheme {
        self.scheme
    }

    pub(super) fn host(&self) -> &Host {
        &self.host
    }

    /// The port to dial.
    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// The value of `Host`: the name, with a port only where the URL has an unusual one.
    pub(super) fn host_header(&self) -> &str {
        &self.host_header
    }

    /// The request's target in origin form (RFC 9112, section 3.2.1).
    pub(super) fn path_and_query(&self) -> &str {
        &self.url[Position::BeforePath..Position::AfterQuery]
    }

    /// The URL for a record or a message, cut to 256 characters.
    pub(super) fn shown(&self) -> String {
        printable(self.url.as_str().as_bytes(), SHOWN_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first() -> Target {
        Target::first(&"example.org".parse().unwrap(), "tok_en-1", 80).unwrap()
    }

    fn go(location: &str) -> Result<Target, String> {
        first().redirect(location.as_bytes(), &Config::default()).map_err(|failure| failure.detail)
    }

    #[test]
    fn the_first_target_is_the_well_known_path() {
        let target = first();
        assert_eq!(target.shown(), "http://example.org/.well-known/acme-challenge/tok_en-1");
        assert_eq!(target.path_and_query(), "/.well-known/acme-challenge/tok_en-1");
        assert_eq!((target.port(), target.host_header()), (80, "example.org"));
        let elsewhere = Target::first(target.host(), "t", 5002).unwrap();
        assert_eq!((elsewhere.port(), elsewhere.host_header()), (5002, "example.org"));
    }

    #[test]
    fn addresses_are_literals_and_ipv6_has_brackets() {
        for (address, literal) in [("192.0.2.7", "192.0.2.7"), ("2001:db8::7", "[2001:db8::7]")] {
            let target = Target::first(&address.parse().unwrap(), "t", 80).unwrap();
            assert_eq!(target.shown(), format!("http://{literal}/.well-known/acme-challenge/t"));
            assert_eq!((target.port(), target.host_header()), (80, literal));
            assert_eq!(target.host().to_string(), address);
            for location in ["/elsewhere", "https://192.0.2.7/", "http://[2001:db8::7]/"] {
                assert!(target.redirect(location.as_bytes(), &Config::default()).is_err(), "{location}");
            }
            let away = target.redirect(b"http://example.org/x", &Config::default()).unwrap();
            assert_eq!(away.host_header(), "example.org");
        }
    }

    #[test]
    fn redirects_lead_to_usual_ports_of_names() {
        for (location, host, port, header, path) in [
            ("https://www.example.org/a?b=c#d", "www.example.org", 443, "www.example.org", "/a?b=c"),
            ("http://WWW.example.org:80", "www.example.org", 80, "www.example.org", "/"),
            ("https://example.org:80/x", "example.org", 80, "example.org:80", "/x"),
            ("http://example.org:443/x", "example.org", 443, "example.org:443", "/x"),
            ("/elsewhere", "example.org", 80, "example.org", "/elsewhere"),
            ("other", "example.org", 80, "example.org", "/.well-known/acme-challenge/other"),
            ("//third.example/../x", "third.example", 80, "third.example", "/x"),
        ] {
            let target = go(location).unwrap();
            assert_eq!(target.host().to_string(), host, "{location}");
            assert_eq!(target.port(), port, "{location}");
            assert_eq!(target.host_header(), header, "{location}");
            assert_eq!(target.path_and_query(), path, "{location}");
        }
    }

    #[test]
    fn redirects_lead_nowhere_else() {
        let long = format!("http://example.org/{}", "a".repeat(3000));
        for location in [
            "ftp://example.org/",
            "file:///etc/passwd",
            "javascript:alert(1)",
            "gopher://example.org/",
            "http://127.0.0.1/",
            "http://[::1]/",
            "http://2130706433/",
            "http://0x7f.1/",
            "http://127.1/",
            "http://0177.0.0.1/",
            "http://%31%32%37.0.0.1/",
            "http://localhost/",
            "http://example.org./",
            "http://example.org:22/",
            "https://example.org:8443/",
            "http://user@example.org/",
            "http://user:pw@example.org/",
            "http://:pw@example.org/",
            "http:///",
            "http://",
            "http://exa mple.org/",
            "http://under_score.example.org/",
            "http://example.org:99999/",
            "\u{202e}",
            "http://ex\u{e4}mple.org/",
            long.as_str(),
        ] {
            assert!(go(location).is_err(), "{location}");
        }
        assert!(first().redirect(b"http://\xff/", &Config::default()).is_err());
    }
}
