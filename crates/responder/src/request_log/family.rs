//! Kinds of clients, by what they call themselves: what counts say in the place of user agents.

/// A kind of client. The numbers are on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Family {
    /// It says nothing, as `openssl ocsp` and GnuTLS's `ocsptool` do.
    Silent = 0,
    /// Windows: its certificate chain engine.
    Windows = 1,
    /// macOS, iOS and their kin.
    Apple = 2,
    /// Firefox.
    Firefox = 3,
    /// Another browser.
    Browser = 4,
    /// A Java runtime.
    Java = 5,
    /// OpenSSL, by name.
    Openssl = 6,
    /// GnuTLS, by name.
    Gnutls = 7,
    /// nginx, by name.
    Nginx = 8,
    /// Apache, by name.
    Apache = 9,
    /// HAProxy.
    Haproxy = 10,
    /// curl.
    Curl = 11,
    /// A program in Go.
    Go = 12,
    /// A program in Python.
    Python = 13,
    /// Anything else.
    Other = 255,
}

/// So many bytes of a user agent are looked at.
const LOOKED_AT_BYTES: usize = 256;

/// Each with its name and what its user agents begin with.
const FAMILIES: [(Family, &str, &[&str]); 15] = [
    (Family::Silent, "silent", &[]),
    (Family::Windows, "windows", &["Microsoft-CryptoAPI/", "Microsoft BITS/"]),
    (Family::Apple, "apple", &["com.apple.", "trustd", "ocspd", "securityd"]),
    (Family::Firefox, "firefox", &[]),
    (Family::Browser, "browser", &["Mozilla/", "Opera/"]),
    (Family::Java, "java", &["Java/", "Java1."]),
    (Family::Openssl, "openssl", &["OpenSSL"]),
    (Family::Gnutls, "gnutls", &["GnuTLS", "ocsptool"]),
    (Family::Nginx, "nginx", &["nginx"]),
    (Family::Apache, "apache", &["Apache/", "Apache-HTTPD"]),
    (Family::Haproxy, "haproxy", &["HAProxy"]),
    (Family::Curl, "curl", &["curl/"]),
    (Family::Go, "go", &["Go-http-client/"]),
    (Family::Python, "python", &["python-", "Python/"]),
    (Family::Other, "other", &[]),
];

impl Family {
    /// The kind of client that calls itself so.
    pub fn of(user_agent: &[u8]) -> Self {
        let user_agent = user_agent.get(..LOOKED_AT_BYTES).unwrap_or(user_agent);
        if user_agent.is_empty() {
            return Self::Silent;
        }
        let begins = |beginning: &str| {
            let head = user_agent.get(..beginning.len());
            head.is_some_and(|head| head.eq_ignore_ascii_case(beginning.as_bytes()))
        };
        let known =
            FAMILIES.iter().find(|(_, _, beginnings)| beginnings.iter().any(|beginning| begins(beginning)));
        match known.map_or(Self::Other, |(family, ..)| *family) {
            Self::Browser if user_agent.windows(8).any(|window| window == b"Firefox/") => Self::Firefox,
            family => family,
        }
    }

    /// Its name in counts.
    pub fn name(self) -> &'static str {
        FAMILIES.iter().find(|(family, ..)| *family == self).map_or("other", |(_, name, _)| name)
    }

    pub(super) fn from_number(number: u8) -> Self {
        FAMILIES
            .iter()
            .map(|(family, ..)| *family)
            .find(|family| *family as u8 == number)
            .unwrap_or(Self::Other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_are_known_by_their_names() {
        for (user_agent, family) in [
            ("", Family::Silent),
            ("Microsoft-CryptoAPI/10.0", Family::Windows),
            ("com.apple.trustd/3.0", Family::Apple),
            ("Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0", Family::Firefox),
            ("Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36", Family::Browser),
            ("Java/17.0.12", Family::Java),
            ("haproxy", Family::Haproxy),
            ("Go-http-client/1.1", Family::Go),
            ("curl/8.5.0", Family::Curl),
            ("cur", Family::Other),
            ("\u{e9}", Family::Other),
        ] {
            assert_eq!(Family::of(user_agent.as_bytes()), family, "{user_agent}");
        }
    }

    #[test]
    fn numbers_and_names_are_there_once() {
        for (family, name, _) in FAMILIES {
            assert_eq!(Family::from_number(family as u8), family);
            assert_eq!(FAMILIES.iter().filter(|(_, other, _)| *other == name).count(), 1);
        }
    }
}
