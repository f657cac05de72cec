//! What a responder apart from its CA is told, and the rules for a process that is one and nothing else.

use std::path::PathBuf;

use ingam_protocol::Findings;
use ingam_responder::AnswerSource;
use ingam_signer::KeyLocation;
use serde::{Deserialize, Serialize};

use super::{Config, DAY_S, Environment, advice, rules};

/// From where a responder takes the CA's answers (`--role responder`). Where it listens is `listen.publication` and
/// `listen.publication_tls`, which shows the certificate of `[tls]`; it keeps a copy of what it took in `state`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Answers {
    /// Where the CA gives them out, with plain http: `/answers` below its `urls.publication`, or a copy of that.
    pub(crate) url: Option<String>,
    /// In the place of a URL: the folder that somebody copies them to.
    pub(crate) folder: Option<PathBuf>,
    /// PEM file of the Ed25519 public key of the CA's `responder.publish_key`. What another has signed is not believed.
    pub(crate) key: Option<PathBuf>,
    /// This responder's own key on P-256, for answers that the CA did not sign in advance: a PEM file (PKCS #8) that its owner alone may
    /// read, or a PKCS #11 URI. The CA has to know its public half (`responder.delegates` there). Without it, nothing is signed here;
    /// with it, what is signed is on record in `signed/` in the state folder.
    pub(crate) delegate_key: Option<KeyLocation>,
    /// How often newer ones are looked for, in milliseconds.
    pub(crate) poll_ms: u64,
}

impl Default for Answers {
    fn default() -> Self {
        Self { url: None, folder: None, key: None, delegate_key: None, poll_ms: 500 }
    }
}

impl Answers {
    /// Where they are taken from; `None` if nothing says so, or both do.
    pub(crate) fn source(&self) -> Option<AnswerSource> {
        match (&self.url, &self.folder) {
            (Some(url), None) => AnswerSource::url(url),
            (None, Some(folder)) => Some(AnswerSource::Folder(folder.clone())),
            _ => None,
        }
    }
}

/// The tables and keys that such a process has, and the listeners.
const TABLES: [&str; 7] = ["environment", "state", "listen", "tls", "limits", "answers", "responder"];
const LISTENERS: [&str; 3] = ["listen.publication", "listen.publication_tls", "listen.metrics"];
/// What a CA alone has in one of these tables.
const OF_A_CA: [&str; 2] = ["tls.issue", "tls.hsts_max_age_s"];

/// What stops a start as a responder; `keys` are those that the file has.
pub(super) fn check<'a>(config: &Config, keys: impl Iterator<Item = &'a str>, found: &mut Findings) {
    for key in keys {
        let (table, below) = key.split_once('.').unwrap_or((key, ""));
        let is_other = below.is_empty() && !TABLES.contains(&table)
            || table == "listen" && !below.is_empty() && !LISTENERS.contains(&key)
            || OF_A_CA.contains(&key);
        if is_other && !found.is_silent(key) {
            let fix = "remove it, or leave out --role responder";
            found.error(key, "is nothing that a responder apart from its CA goes by", fix);
        }
    }
    let (listen, tls) = (&config.listen, &config.tls);
    let (is_open, is_https) = (!listen.publication.is_empty(), !listen.publication_tls.is_empty());
    let fix = "give an address and a port, as in [\"0.0.0.0:80\"]";
    found.require(is_open || is_https, "listen.publication", "is empty: nobody could ask", fix);
    for (key, file) in [("tls.certificate", &tls.certificate), ("tls.key", &tls.key)] {
        let fix = "name a PEM file, or leave listen.publication_tls empty";
        found.require(!is_https || file.is_some(), key, "is missing: https needs a certificate", fix);
    }
    found.between("tls.look_interval_s", tls.look_interval_s, 1..=DAY_S);
    let answers = &config.answers;
    found.require(
        answers.source().is_some(),
        "answers.url",
        "and answers.folder do not say together from where answers are taken",
        "give one of both: a URL that begins with http://, or a folder",
    );
    let fix = "name the PEM file of the public key that belongs to the CA's responder.publish_key";
    found.require(answers.key.is_some(), "answers.key", "is missing: anybody could hand answers over", fix);
    found.between("answers.poll_ms", answers.poll_ms, 50..=60_000);
    rules::addresses(&config.listen.of_responder(), found);
    rules::connections(config, found);
    found.below("responder", config.responder.check());
    if config.environment != Environment::Development && !found.is_silent("environment") {
        advice::metrics(config, found);
    }
}

/// What stops the start of a CA: this is for processes of their own.
pub(super) fn check_absent(config: &Config, found: &mut Findings) {
    let fix = "remove it, or start this with --role responder";
    let reason = "is for a process that is a responder and nothing else";
    found.require(config.answers == Answers::default(), "answers", reason, fix);
}

#[cfg(test)]
mod tests {
    use ingam_protocol::{Finding, Timestamp};
    use toml::Table;

    use super::super::{Reading, Role};

    const SHIPPED: &str = include_str!("../../../../config/responder.toml");

    fn findings(text: &str) -> Vec<Finding> {
        let mut reading = Reading::of_text(Table::new(), text).for_role(Role::Responder);
        reading.examine(Timestamp::from_rfc3339("2026-11-28T00:00:00Z").unwrap());
        reading.into_findings()
    }

    #[test]
    fn https_needs_files_and_nothing_of_a_ca() {
        let asked = "publication_tls = [\"0.0.0.0:443\"]";
        let https = SHIPPED.replace("publication_tls = []", asked).replace("# certificate", "certificate");
        let https = https.replace("# key", "key");
        assert_eq!(findings(&https), []);
        let alone = https.replace("publication = [\"0.0.0.0:80\", \"[::]:80\"]", "publication = []");
        assert_eq!(findings(&alone), []);
        for (from, to, keys) in [
            ("certificate = \"/etc", "# certificate = \"/etc", &["tls.certificate"][..]),
            ("key = \"/etc/ingam/tls.key\"", "", &["tls.key"]),
            ("look_interval_s = 60", "look_interval_s = 0", &["tls.look_interval_s"]),
            ("look_interval_s = 60", "hsts_max_age_s = 60", &["tls.hsts_max_age_s"]),
            ("look_interval_s = 60", "issue.profile = \"classic\"", &["tls.issue"]),
            ("0.0.0.0:443", "0.0.0.0:80", &["listen.publication_tls"]),
        ] {
            let text = https.replace(from, to);
            assert_ne!(text, https, "{from}");
            let told: Vec<String> = findings(&text).into_iter().map(|finding| finding.key).collect();
            assert_eq!(told, keys, "{from}");
        }
    }

    #[test]
    fn the_file_that_comes_with_it_says_what_holds_without_it() {
        let shipped = Reading::of_text(Table::new(), SHIPPED).config;
        let without = Reading::of_text(Table::new(), "").config;
        assert_eq!(shipped.responder, without.responder);
        assert_eq!(format!("{:?}", shipped.limits), format!("{:?}", without.limits));
    }

    #[test]
    fn the_file_that_comes_with_it_is_right_and_others_are_told_what_is_wrong() {
        assert_eq!(findings(SHIPPED), []);
        for (from, to, key) in [
            ("url = ", "# url = ", "answers.url"),
            ("url = \"http://", "url = \"https://", "answers.url"),
            ("url = ", "folder = \"/srv/answers\"\nurl = ", "answers.url"),
            ("key = ", "# key = ", "answers.key"),
            ("poll_ms = 500", "poll_ms = 1", "answers.poll_ms"),
            ("publication = [\"0.0.0.0:80\", \"[::]:80\"]", "publication = []", "listen.publication"),
            ("[answers]", "[hierarchy]\nroot = \"root\"\n[answers]", "hierarchy"),
        ] {
            let text = SHIPPED.replace(from, to);
            assert_ne!(text, SHIPPED, "{from}");
            let keys: Vec<String> = findings(&text).into_iter().map(|finding| finding.key).collect();
            assert!(keys.iter().any(|found| found.starts_with(key)), "{key}: {keys:?}");
        }
    }
}
