//! The configuration that `init` writes: a template with comments, filled in.

use std::collections::BTreeMap;
use std::path::Path;

use ingam_signer::KeyKind;

use super::answers::Answers;
use crate::config::Environment;

const TEMPLATE: &str = include_str!("template.toml");

/// What the template is filled with.
pub(super) struct Contents<'a> {
    pub(super) answers: &'a Answers,
    /// The issuing CAs, by name; at least one. The first signs what the default profile is for.
    pub(super) issuers: &'a [(String, KeyKind)],
    /// Where the service finds the passphrase of its keys; `None`: among its credentials, or it needs none.
    pub(super) passphrase_file: Option<&'a Path>,
    /// The admin API's socket.
    pub(super) socket: &'a Path,
}

impl Contents<'_> {
    /// The text of the file.
    pub(super) fn fill(&self) -> String {
        let answers = self.answers;
        let private = answers.environment == Environment::Production;
        let values = BTreeMap::from([
            ("environment", quoted(environment(answers.environment))),
            ("state", quoted_path(&answers.state)),
            ("listen_acme", listen(&answers.public_url, 443)),
            ("listen_publication", listen(&answers.publication_url, 80)),
            ("public_url", quoted(&answers.public_url)),
            ("publication_url", quoted(&answers.publication_url)),
            ("tls_certificate", quoted_path(&answers.tls_certificate)),
            ("tls_key", quoted_path(&answers.tls_key)),
            ("subject", self.subject()),
            ("passphrase_file", self.passphrase_file()),
            ("made", if answers.subject.is_some() { "made" } else { "taken over" }.to_owned()),
            ("issuers", self.issuers()),
            ("administrators", list(answers.administrators.iter().map(|one| quoted(one)))),
            ("socket", quoted_path(self.socket)),
            ("default_profile", quoted("classic")),
            ("profiles", self.profiles(!private)),
            ("addresses", quoted(addresses(answers.environment))),
            ("caa_issuer_domains", list(host(&answers.public_url).map(quoted))),
        ]);
        expand(TEMPLATE, &values)
    }

    fn subject(&self) -> String {
        self.answers.subject.as_ref().map_or(String::new(), |subject| {
            format!(
                "# The names in the CA certificates that `ingam init` makes.\ncountry = {}\norganization = {}\n",
                quoted(&subject.country),
                quoted(&subject.organization)
            )
        })
    }

    fn passphrase_file(&self) -> String {
        match self.passphrase_file {
            Some(path) => format!("passphrase_file = {}", quoted_path(path)),
            None => "# passphrase_file = \"/etc/ingam/issuer-passphrase\"".to_owned(),
        }
    }

    fn issuers(&self) -> String {
        let line = |(name, kind): &(String, KeyKind)| format!("{name} = \"{}\"\n", kind.name());
        self.issuers.iter().map(line).collect()
    }

    /// One profile for each issuer; that of the first is the default.
    fn profiles(&self, public: bool) -> String {
        let profile = |(number, (issuer, kind)): (usize, &(String, KeyKind))| {
            let name = if number == 0 { "classic".to_owned() } else { format!("classic-{issuer}") };
            let algorithm = match kind {
                KeyKind::EcdsaP256 | KeyKind::EcdsaP384 => "ECDSA",
                KeyKind::Rsa2048 | KeyKind::Rsa3072 | KeyKind::Rsa4096 => "RSA",
            };
            format!(
                "[profiles.{name}]\n\
                 # What the directory says about it.\n\
                 description = \"90 days, signed with {algorithm}\"\n\
                 # The issuing CA, by its name above.\n\
                 issuer = {issuer}\n\
                 # Validity in seconds, both ends included: 90 days.\n\
                 validity_s = 7776000\n\
                 # How many names go into one certificate.\n\
                 names_max = 100\n\
                 # Whether certificates claim to follow the Baseline Requirements of the public web; false for a private CA.\n\
                 # In production, this version takes no true.\n\
                 public = {public}\n\n",
                issuer = quoted(issuer),
            )
        };
        self.issuers.iter().enumerate().map(profile).collect()
    }
}

fn environment(environment: Environment) -> &'static str {
    match environment {
        Environment::Production => "production",
        Environment::Staging => "staging",
        Environment::Development => "development",
    }
}

/// What this version can be in production is the CA of a private network.
fn addresses(environment: Environment) -> &'static str {
    match environment {
        Environment::Production | Environment::Development => "allow-private",
        Environment::Staging => "public-only",
    }
}

/// All addresses of the machine, at the port that clients see.
fn listen(url: &str, port: u16) -> String {
    let port = url.parse().ok().and_then(|url: http::Uri| url.port_u16()).unwrap_or(port);
    list([format!("\"0.0.0.0:{port}\""), format!("\"[::]:{port}\"")])
}

/// The host of a URL, if it can stand in a CAA record.
fn host(url: &str) -> Option<&str> {
    let (_, rest) = url.split_once("://")?;
    let host = rest.rsplit_once(':').map_or(rest, |(host, _)| host);
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.';
    (!host.is_empty() && host.bytes().all(fits)).then_some(host)
}

fn quoted_path(path: &Path) -> String {
    // Every path came in as text.
    quoted(&path.to_string_lossy())
}

fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

fn list(items: impl IntoIterator<Item = String>) -> String {
    format!("[{}]", items.into_iter().collect::<Vec<_>>().join(", "))
}

/// Puts a value in the place of each `@name@`, once: a value that has such a name in it stays as it is.
fn expand(template: &str, values: &BTreeMap<&str, String>) -> String {
    let pieces = template.split('@').enumerate().map(|(number, piece)| {
        // Every other piece stands between two marks.
        if number % 2 == 0 { piece } else { values.get(piece).map_or("", String::as_str) }
    });
    pieces.collect()
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::super::answers::Subject;
    use super::*;
    use ingam_protocol::Timestamp;

    use crate::config::Reading;

    fn answers(environment: Environment) -> Answers {
        Answers {
            environment,
            public_url: "https://acme.ca.example:14000".to_owned(),
            publication_url: "http://pki.ca.example".to_owned(),
            state: "/srv/a \"quoted\" folder".into(),
            subject: Some(Subject { organization: "Ex@ample@ \"CA\"".to_owned(), country: "KR".to_owned() }),
            administrators: vec!["uid:0".to_owned(), format!("cert:{}", "a".repeat(64))],
            tls_certificate: "/etc/ingam/tls.pem".into(),
            tls_key: "/etc/ingam/tls.key".into(),
        }
    }

    fn issuers() -> [(String, KeyKind); 2] {
        [("rsa".to_owned(), KeyKind::Rsa2048), ("ecdsa".to_owned(), KeyKind::EcdsaP256)]
    }

    #[test]
    fn what_is_written_is_good_in_every_environment() {
        for environment in [Environment::Production, Environment::Staging, Environment::Development] {
            for takes_over in [false, true] {
                let mut answers = answers(environment);
                if takes_over {
                    answers.subject = None;
                }
                let passphrase = PathBuf::from("/etc/ingam/issuer-passphrase");
                let passphrase_file = takes_over.then_some(passphrase.as_path());
                let socket = Path::new("/run/ingam/admin.sock");
                let text =
                    Contents { answers: &answers, issuers: &issuers(), passphrase_file, socket }.fill();
                let now = Timestamp::from_unix_s(1_795_255_200);
                let config = Reading::of_text(toml::Table::new(), &text).checked(now).unwrap();
                assert_eq!(config.environment, environment);
                assert_eq!(config.state, answers.state);
                assert_eq!(config.listen.acme[0].port(), 14000);
                assert_eq!(config.listen.publication[1].port(), 80);
                assert_eq!(config.urls.public_url, answers.public_url);
                assert_eq!(config.hierarchy.issuers, BTreeMap::from(issuers()));
                assert_eq!(config.profiles["classic"].issuer, "rsa");
                assert_eq!(config.hierarchy.passphrase_file.as_deref(), passphrase_file);
                if let Some(subject) = &answers.subject {
                    assert_eq!(config.hierarchy.organization, subject.organization);
                    assert_eq!(config.hierarchy.country, subject.country);
                }
                assert_eq!(config.operator.administrators, answers.administrators);
                assert_eq!(config.operator.socket.as_deref(), Some(socket));
                assert_eq!(config.profiles.len(), 2);
                let public = environment != Environment::Production;
                assert!(config.profiles.values().all(|profile| profile.public == public));
                assert_eq!(config.validation.caa_issuer_domains, ["acme.ca.example"]);
            }
        }
    }

    #[test]
    fn every_key_has_a_comment() {
        let answers = answers(Environment::Production);
        let socket = Path::new("/run/ingam/admin.sock");
        let text = Contents { answers: &answers, issuers: &issuers(), passphrase_file: None, socket }.fill();
        assert!(!text.contains("@environment@") && text.contains("Ex@ample@"));
        // A comment may be for a few keys in a row, as those of tls; a table never begins without one.
        let lines: Vec<&str> = text.lines().collect();
        for pair in lines.windows(2) {
            if pair[0].starts_with('[') {
                assert!(pair[1].starts_with('#'), "{pair:?}");
            }
        }
        assert!(lines.iter().all(|line| line.len() <= 124), "no line is too long to read");
    }

    #[test]
    fn hosts_that_cannot_stand_in_caa_records_are_left_out() {
        assert_eq!(host("https://a.example:1"), Some("a.example"));
        assert_eq!(host("https://localhost"), Some("localhost"));
        assert_eq!(host("https://[::1]:14000"), None);
    }
}
