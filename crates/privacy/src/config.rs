//! What the operator tells about itself: the section `[privacy]`. All of it is on the privacy page.

use std::collections::BTreeSet;

use ingam_protocol::{Findings, Timestamp};
use serde::{Deserialize, Serialize};

/// At most this many companies are entrusted with data.
const PROCESSORS_MAX: usize = 50;
/// At most this many authorities are named.
const AUTHORITIES_MAX: usize = 20;
/// At most this many characters is each text.
const CHARS_MAX: usize = 300;

/// The section `[privacy]`. Nothing is needed; what is missing, the page says is missing.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Who runs the CA, and answers for the data: the name of a company, an authority or a person.
    pub operator: Option<String>,
    /// The same in Korean, where it has another name there.
    pub operator_ko: Option<String>,
    /// Its postal address.
    pub address: Option<String>,
    /// What mail contacts are used for, of `expiry`, `incident`, `account`, `rights`: another purpose asks for fresh consent.
    pub contact_purposes: BTreeSet<ContactPurpose>,
    /// Whom people turn to.
    pub contacts: Contacts,
    /// Companies that are entrusted with data.
    pub processors: Vec<Processor>,
    /// Where people can complain.
    pub authorities: Vec<Authority>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            operator: None,
            operator_ko: None,
            address: None,
            contact_purposes: BTreeSet::from(ContactPurpose::ALL),
            contacts: Contacts::default(),
            processors: Vec::new(),
            authorities: Vec::new(),
        }
    }
}

/// Whom people turn to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Contacts {
    /// Who answers for personal data.
    pub officer: Option<Contact>,
    /// Who is told of holes in the service.
    pub security: Option<Contact>,
}

/// A person or a desk.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Contact {
    /// A name, or that of a department.
    pub name: String,
    /// The same in Korean.
    pub name_ko: Option<String>,
    /// The e-mail address.
    pub email: Option<String>,
    /// The telephone number.
    pub phone: Option<String>,
    /// A page, with https.
    pub url: Option<String>,
}

/// A company that is entrusted with data.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Processor {
    /// Its name.
    pub name: String,
    /// For what it has data.
    pub purpose: String,
    /// The same in Korean.
    pub purpose_ko: Option<String>,
    /// Which data it has.
    pub items: Option<String>,
    /// The same in Korean.
    pub items_ko: Option<String>,
    /// The country in which it has them, where that is another than the operator's.
    pub country: Option<String>,
    /// The last day of it, as 2027-12-31; without it, for as long as the contract lasts.
    pub until: Option<String>,
}

/// An authority that takes complaints.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Authority {
    /// Its name.
    pub name: String,
    /// The same in Korean.
    pub name_ko: Option<String>,
    /// Its page, with https.
    pub url: Option<String>,
    /// Its telephone number.
    pub phone: Option<String>,
}

/// What mail to a contact is for. All of it is service mail: consent to a contact is consent to nothing else (C2 of the
/// privacy promises).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ContactPurpose {
    /// A certificate ends soon.
    Expiry,
    /// Certificates have to be replaced, or were revoked.
    Incident,
    /// Something about the account itself: its key, its limits, its terms.
    Account,
    /// What is known about the person: yearly statements, reports, notices of disclosure.
    Rights,
}

impl ContactPurpose {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Expiry, Self::Incident, Self::Account, Self::Rights];
}

impl Config {
    /// Looks at every setting.
    pub fn check(&self) -> Findings {
        let mut found = Findings::new();
        texts(&mut found, "operator", [&self.operator, &self.operator_ko, &self.address]);
        for (key, contact) in [("officer", &self.contacts.officer), ("security", &self.contacts.security)] {
            if let Some(contact) = contact {
                contact.check(&mut found, &format!("contacts.{key}"));
            }
        }
        found.require(
            self.processors.len() <= PROCESSORS_MAX,
            "processors",
            format!("has {} companies", self.processors.len()),
            format!("name {PROCESSORS_MAX} at most"),
        );
        found.require(
            self.authorities.len() <= AUTHORITIES_MAX,
            "authorities",
            format!("has {} authorities", self.authorities.len()),
            format!("name {AUTHORITIES_MAX} at most"),
        );
        let mut names = BTreeSet::new();
        for (at, processor) in self.processors.iter().take(PROCESSORS_MAX).enumerate() {
            let key = format!("processors.{at}");
            processor.check(&mut found, &key);
            let is_new = names.insert(processor.name.as_str());
            found.require(is_new, key, "has the name of another processor", "give each of them once");
        }
        names.clear();
        for (at, authority) in self.authorities.iter().take(AUTHORITIES_MAX).enumerate() {
            let key = format!("authorities.{at}");
            authority.check(&mut found, &key);
            let is_new = names.insert(authority.name.as_str());
            found.require(is_new, key, "has the name of another authority", "give each of them once");
        }
        found
    }

    /// What is allowed, and unwise for a CA that serves others.
    pub fn advise(&self) -> Findings {
        let mut found = Findings::new();
        if self.operator.is_none() {
            found.warning(
                "operator",
                "is not there: the privacy page cannot say who answers for the data",
                "give the name of the company or person that runs the CA",
            );
        }
        if self.contacts.officer.as_ref().is_none_or(|officer| !officer.can_be_reached()) {
            found.warning(
                "contacts.officer",
                "cannot be reached: the privacy page names nobody to whom people could turn (GDPR, Article 13; PIPA, Article 30)",
                "give a name, and an e-mail address, a telephone number or a page",
            );
        }
        found
    }
}

impl Contact {
    fn check(&self, found: &mut Findings, key: &str) {
        named(found, key, &self.name);
        texts(found, key, [&self.name_ko, &self.phone]);
        let is_mail = self.email.as_deref().is_none_or(is_address);
        found.require(
            is_mail,
            format!("{key}.email"),
            "is no e-mail address",
            "write it as privacy@ca.example",
        );
        page(found, key, self.url.as_deref());
    }

    fn can_be_reached(&self) -> bool {
        self.email.is_some() || self.phone.is_some() || self.url.is_some()
    }
}

impl Processor {
    fn check(&self, found: &mut Findings, key: &str) {
        named(found, key, &self.name);
        texts(found, key, [&self.purpose_ko, &self.items, &self.items_ko, &self.country]);
        let says = is_text(&self.purpose);
        found.require(
            says,
            format!("{key}.purpose"),
            "says nothing that can be shown",
            "say for what it has data",
        );
        let is_day =
            |day: &String| day.len() == 10 && Timestamp::from_rfc3339(&format!("{day}T00:00:00Z")).is_some();
        let is_sound = self.until.as_ref().is_none_or(is_day);
        found.require(
            is_sound,
            format!("{key}.until"),
            "is no day",
            "write it as 2027-12-31, or leave it out",
        );
    }
}

impl Authority {
    fn check(&self, found: &mut Findings, key: &str) {
        named(found, key, &self.name);
        texts(found, key, [&self.name_ko, &self.phone]);
        page(found, key, self.url.as_deref());
    }
}

fn named(found: &mut Findings, key: &str, name: &str) {
    let fix = format!("give it one of {CHARS_MAX} characters at most, in one line");
    found.require(is_text(name), format!("{key}.name"), "is no name", fix);
}

/// Texts that are there are shown as they are: one line each, and not for ever.
fn texts<const N: usize>(found: &mut Findings, key: &str, texts: [&Option<String>; N]) {
    let is_sound = texts.into_iter().flatten().all(|text| is_text(text));
    let fix = format!("give each text {CHARS_MAX} characters at most, in one line, or leave it out");
    found.require(is_sound, key, "has a text that cannot be shown", fix);
}

fn page(found: &mut Findings, key: &str, url: Option<&str>) {
    let is_page = |url: &str| {
        let host = url.strip_prefix("https://").unwrap_or_default();
        !host.is_empty()
            && !host.starts_with('/')
            && url.len() <= CHARS_MAX
            && url.bytes().all(|byte| byte.is_ascii_graphic())
    };
    let is_sound = url.is_none_or(is_page);
    found.require(is_sound, format!("{key}.url"), "is no page", "give a URL that begins with https://");
}

fn is_text(text: &str) -> bool {
    !text.trim().is_empty() && text.chars().count() <= CHARS_MAX && !text.chars().any(char::is_control)
}

/// What a link can be made of; whether mail arrives there is not looked at.
fn is_address(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_+@".contains(&byte);
    let parts = text.split_once('@');
    parts.is_some_and(|(user, host)| !user.is_empty() && host.contains('.') && !host.contains('@'))
        && text.len() <= 254
        && text.bytes().all(is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(config: &Config) -> Vec<String> {
        config.check().into_iter().map(|finding| finding.key).collect()
    }

    #[test]
    fn nothing_is_needed_and_the_advice_tells_what_is_missing() {
        let config: Config = serde_json::from_str("{}").unwrap();
        assert!(keys(&config).is_empty());
        let advice: Vec<_> = config.advise().into_iter().map(|finding| finding.key).collect();
        assert_eq!(advice, ["operator", "contacts.officer"]);
        let officer =
            Contact { name: "Jane".into(), email: Some("privacy@ca.example".into()), ..Contact::default() };
        let contacts = Contacts { officer: Some(officer), security: None };
        let config = Config { operator: Some("Example CA".into()), contacts, ..config };
        assert!(keys(&config).is_empty());
        assert_eq!(config.advise().into_iter().count(), 0);
    }

    #[test]
    fn what_cannot_be_shown_or_linked_is_refused() {
        let processor = |name: &str, until: &str| Processor {
            name: name.to_owned(),
            purpose: "hosting".to_owned(),
            until: Some(until.to_owned()),
            ..Processor::default()
        };
        let contact = Contact {
            name: " ".into(),
            email: Some("javascript:alert(1)".into()),
            url: Some("http://ca.example".into()),
            ..Contact::default()
        };
        let config = Config {
            operator: Some("two\nlines".into()),
            contacts: Contacts { officer: Some(contact), security: None },
            processors: vec![
                processor("a", "2027-12-31"),
                processor("b", "next year"),
                processor("a", "2027-02-30"),
            ],
            ..Config::default()
        };
        assert_eq!(
            keys(&config),
            [
                "operator",
                "contacts.officer.name",
                "contacts.officer.email",
                "contacts.officer.url",
                "processors.1.until",
                "processors.2.until",
                "processors.2",
            ]
        );
        assert!(serde_json::from_str::<Config>(r#"{"contact_purposes": ["marketing"]}"#).is_err());
    }
}
