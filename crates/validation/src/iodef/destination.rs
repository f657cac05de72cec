//! Where an `iodef` property sends reports (RFC 8659, section 4.4): `https:` or `mailto:`, read strictly.

use std::fmt;

use ingam_protocol::identifier::DnsName;
use lettre::message::Mailbox;
use url::{Host, Url};

use crate::quote::printable;

/// The longest value that is read.
const VALUE_MAX_BYTES: usize = 512;

/// The most characters of a destination that are shown.
const SHOWN_MAX: usize = 128;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Destination {
    /// A URL of a name, without user and password.
    Https(Url),
    /// One address.
    Mail(Mailbox),
}

impl Destination {
    /// Reads a property's value; `None` for what reports do not go to: `http`, addresses for hosts, several mail addresses.
    pub(crate) fn parse(value: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(value).ok().filter(|text| text.is_ascii())?;
        if text.len() > VALUE_MAX_BYTES {
            return None;
        }
        let url = Url::parse(text).ok()?;
        match url.scheme() {
            "https" => {
                let has_name = matches!(url.host(), Some(Host::Domain(name)) if DnsName::parse(name).is_ok());
                let is_plain = url.username().is_empty() && url.password().is_none();
                (has_name && is_plain).then_some(Self::Https(url))
            }
            "mailto" => {
                let address: lettre::Address = url.path().parse().ok()?;
                DnsName::parse(address.domain()).ok()?;
                Some(Self::Mail(Mailbox::new(None, address)))
            }
            _ => None,
        }
    }

    /// The domain that receives.
    pub(super) fn domain(&self) -> String {
        match self {
            Self::Https(url) => url.host_str().unwrap_or_default().to_ascii_lowercase(),
            Self::Mail(mailbox) => mailbox.email.domain().to_ascii_lowercase(),
        }
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::Https(url) => url.to_string(),
            Self::Mail(mailbox) => format!("mailto:{}", mailbox.email),
        };
        f.write_str(&printable(text.as_bytes(), SHOWN_MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(value: &str) -> Option<String> {
        Destination::parse(value.as_bytes()).map(|destination| destination.to_string())
    }

    #[test]
    fn urls_and_addresses_are_read() {
        for value in [
            "https://iodef.example.com/caa?to=me",
            "https://iodef.example.com:8443/",
            "mailto:security@example.com",
            "mailto:caa+reports@example.com",
        ] {
            assert_eq!(read(value).as_deref(), Some(value));
        }
        assert_eq!(
            read("mailto:a@example.com?subject=x&bcc=b@example.org").as_deref(),
            Some("mailto:a@example.com")
        );
    }

    #[test]
    fn reports_go_nowhere_else() {
        for value in [
            "",
            "http://example.com/",
            "https://127.0.0.1/",
            "https://[::1]/",
            "https://user:password@example.com/",
            "https://localhost/",
            "ftp://example.com/",
            "security@example.com",
            "mailto:",
            "mailto:security",
            "mailto:a@example.com,b@example.com",
            "mailto:a@[127.0.0.1]",
            "mailto:a@localhost",
            "mailto:a%0d%0aBcc:b@example.com",
            "mailto:\u{e4}@example.com",
        ] {
            assert_eq!(read(value), None, "{value}");
        }
        assert_eq!(read(&format!("https://example.com/{}", "a".repeat(600))), None);
        assert_eq!(Destination::parse(b"https://example.com/\xff"), None);
    }
}
