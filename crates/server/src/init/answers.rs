//! What a new configuration has to be told: by flags, by answers on a terminal, or refused with all that is missing.

use std::path::{Path, PathBuf};

use ingam_signer::Passphrase;
use ingam_signer::hierarchy::Protection;

use super::{Keys, Settings};
use crate::config::Environment;
use crate::serve::StartError;
use crate::terminal::Terminal;

/// Everything that an operator decides about a new configuration.
#[derive(Clone, Debug)]
pub(super) struct Answers {
    pub(super) environment: Environment,
    pub(super) public_url: String,
    pub(super) publication_url: String,
    pub(super) state: PathBuf,
    /// The names in new CA certificates; none where a CA is taken over.
    pub(super) subject: Option<Subject>,
    /// At least one.
    pub(super) administrators: Vec<String>,
    pub(super) tls_certificate: PathBuf,
    pub(super) tls_key: PathBuf,
}

/// The names in CA certificates.
#[derive(Clone, Debug)]
pub(super) struct Subject {
    pub(super) organization: String,
    pub(super) country: String,
}

/// Something to be known.
struct Question<'a> {
    flag: &'static str,
    text: &'static str,
    default: Default<'a>,
}

/// What counts if nobody says anything.
#[derive(Clone, Copy)]
enum Default<'a> {
    None,
    /// Proposed to a person; a script has to say it.
    Proposed(&'a str),
    /// Good enough for a script too.
    Taken(&'a str),
}

impl Question<'_> {
    const fn new(flag: &'static str, text: &'static str) -> Self {
        Self { flag, text, default: Default::None }
    }
}

const ENVIRONMENT: Question<'_> =
    Question::new("--environment", "What the CA is for: production, staging or development");
const PUBLIC_URL: Question<'_> =
    Question::new("--public-url", "URL of the ACME server, as in https://acme.ca.example");
const PUBLICATION_URL: Question<'_> =
    Question::new("--publication-url", "URL of OCSP and CRLs, as in http://pki.ca.example");
const STATE: Question<'_> = Question {
    default: Default::Taken("/var/lib/ingam"),
    ..Question::new("--state", "Folder of everything that the CA keeps")
};
const ORGANIZATION: Question<'_> = Question::new("--organization", "Organization in the CA certificates");
const COUNTRY: Question<'_> = Question::new("--country", "Country in the CA certificates, two letters");
const TLS_CERTIFICATE: Question<'_> = Question {
    default: Default::Proposed("/etc/ingam/tls.pem"),
    ..Question::new("--tls-certificate", "PEM file of the https certificate, with its chain")
};
const TLS_KEY: Question<'_> = Question {
    default: Default::Proposed("/etc/ingam/tls.key"),
    ..Question::new("--tls-key", "PEM file of the https certificate's key, PKCS #8")
};
const ADMINISTRATOR: Question<'_> =
    Question::new("--administrator", "First administrator (uid:N or cert:SHA-256)");

/// Collects answers, and what is missing or wrong among them.
pub(super) struct Questions {
    terminal: Option<Terminal>,
    complaints: Vec<String>,
}

impl Questions {
    /// Asks on the terminal, if there is one.
    pub(super) fn new() -> Self {
        Self { terminal: Terminal::of_the_process(), complaints: Vec::new() }
    }

    /// One answer: what the flag says, or what a person answers, or the default.
    fn answer<T>(
        &mut self,
        question: &Question<'_>,
        given: Option<&str>,
        read: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Option<T>, StartError> {
        let Question { flag, text, default } = question;
        let known = match (given, &mut self.terminal, *default) {
            (Some(given), _, _) => given,
            (None, Some(terminal), Default::None) => return terminal.ask(text, None, read).map(Some),
            (None, Some(terminal), Default::Proposed(default) | Default::Taken(default)) => {
                return terminal.ask(text, Some(default), read).map(Some);
            }
            (None, None, Default::Taken(default)) => default,
            (None, None, Default::None | Default::Proposed(_)) => {
                self.complaints.push(format!("{flag} is missing"));
                return Ok(None);
            }
        };
        match read(known) {
            Ok(answer) => Ok(Some(answer)),
            Err(why) => {
                self.complaints.push(format!("{flag}: {why}"));
                Ok(None)
            }
        }
    }

    fn path(
        &mut self,
        question: &Question<'_>,
        given: Option<&PathBuf>,
    ) -> Result<Option<PathBuf>, StartError> {
        let text = given.map(|path| {
            let text = path.to_str();
            text.ok_or_else(|| StartError::new(format!("{}: {} is not UTF-8", question.flag, path.display())))
        });
        self.answer(question, text.transpose()?, read_path)
    }

    /// The answers of a new configuration, and the environment by itself; `None` if anything is missing or wrong, which
    /// [`Questions::finish`] then says.
    pub(super) fn settings(
        &mut self,
        given: &Settings,
        takes_over: bool,
    ) -> Result<(Option<Environment>, Option<Answers>), StartError> {
        let environment = self.answer(&ENVIRONMENT, given.environment.as_deref(), read_environment)?;
        let public_url =
            self.answer(&PUBLIC_URL, given.public_url.as_deref(), |text| read_url(text, "https://"))?;
        let publication_url = self
            .answer(&PUBLICATION_URL, given.publication_url.as_deref(), |text| read_url(text, "http://"))?;
        let state = self.path(&STATE, given.state.as_ref())?;
        let subject = if takes_over { Some(None) } else { self.subject(given)?.map(Some) };
        let tls_certificate = self.path(&TLS_CERTIFICATE, given.tls_certificate.as_ref())?;
        let tls_key = self.path(&TLS_KEY, given.tls_key.as_ref())?;
        let administrators = self.administrators(given)?;
        let answers = || {
            Some(Answers {
                environment: environment?,
                public_url: public_url?,
                publication_url: publication_url?,
                state: state?,
                subject: subject?,
                administrators: administrators?,
                tls_certificate: tls_certificate?,
                tls_key: tls_key?,
            })
        };
        Ok((environment, answers()))
    }

    fn subject(&mut self, given: &Settings) -> Result<Option<Subject>, StartError> {
        let organization = self.answer(&ORGANIZATION, given.organization.as_deref(), read_organization)?;
        let country = self.answer(&COUNTRY, given.country.as_deref(), read_country)?;
        Ok(organization.zip(country).map(|(organization, country)| Subject { organization, country }))
    }

    fn administrators(&mut self, given: &Settings) -> Result<Option<Vec<String>>, StartError> {
        let own = format!("uid:{}", rustix::process::getuid().as_raw());
        let question = Question { default: Default::Taken(&own), ..ADMINISTRATOR };
        if given.administrator.is_empty() {
            let first = self.answer(&question, None, read_administrator)?;
            return Ok(first.map(|first| vec![first]));
        }
        let mut administrators = Vec::with_capacity(given.administrator.len());
        for given in &given.administrator {
            administrators.extend(self.answer(&question, Some(given), read_administrator)?);
        }
        Ok(Some(administrators).filter(|read| read.len() == given.administrator.len()))
    }

    /// The passphrases that keys are written under. In production they have to be there; elsewhere they may be.
    pub(super) fn protection(
        &mut self,
        keys: &Keys,
        environment: Option<Environment>,
        takes_over: bool,
    ) -> Result<Protection, StartError> {
        let needed = environment == Some(Environment::Production);
        let file = keys.issuer_passphrase_file.as_deref();
        let issuers = self.passphrase(
            "--issuer-passphrase-file",
            file,
            "the issuing CAs' keys",
            needed && keys.write_issuers(),
        )?;
        // A root that is taken over keeps its key where it is.
        let file = keys.root_passphrase_file.as_deref();
        let root =
            self.passphrase("--root-passphrase-file", file, "the root's key", needed && !takes_over)?;
        if root.is_some() && root == issuers {
            self.complaints.push(
                "the root's passphrase is the issuers' too: choose another, as this machine has that one at hand"
                    .to_owned(),
            );
        }
        Ok(Protection { root, issuers })
    }

    fn passphrase(
        &mut self,
        flag: &str,
        file: Option<&Path>,
        of: &str,
        needed: bool,
    ) -> Result<Option<Passphrase>, StartError> {
        match (file, &mut self.terminal) {
            (Some(file), _) => match Passphrase::from_file(file) {
                Ok(passphrase) => Ok(Some(passphrase)),
                Err(error) => {
                    self.complaints.push(StartError::caused(flag, &error).to_string());
                    Ok(None)
                }
            },
            (None, _) if !needed => Ok(None),
            (None, Some(terminal)) => terminal.ask_passphrase(of).map(Some),
            (None, None) => {
                self.complaints.push(format!("{flag} is missing"));
                Ok(None)
            }
        }
    }

    /// Says everything that is missing or wrong, if anything is.
    pub(super) fn finish(self) -> Result<(), StartError> {
        if self.complaints.is_empty() {
            return Ok(());
        }
        Err(StartError::new(format!(
            "this is not enough to make a CA, and nothing was made: {} (`ingam init --help` explains each)",
            self.complaints.join("; ")
        )))
    }
}

fn read_environment(text: &str) -> Result<Environment, String> {
    match text {
        "production" => Ok(Environment::Production),
        "staging" => Ok(Environment::Staging),
        "development" => Ok(Environment::Development),
        other => Err(format!("\"{other}\" is none of production, staging, development")),
    }
}

/// Scheme, host and port alone.
fn read_url(text: &str, scheme: &str) -> Result<String, String> {
    let text = text.trim_end_matches('/');
    let wrong = || format!("\"{text}\" is not scheme, host and port alone, as in {scheme}ca.example");
    let url: http::Uri = text.parse().map_err(|_| wrong())?;
    // A port that is none is left out without a word.
    let has_host = url.host().is_some_and(|host| {
        !host.is_empty() && (url.port_u16().is_some() || url.authority().is_some_and(|all| all == host))
    });
    let is_alone = !text.get(scheme.len()..).is_none_or(|rest| rest.contains(['/', '?', '#', '@']));
    if text.starts_with(scheme) && has_host && is_alone { Ok(text.to_owned()) } else { Err(wrong()) }
}

/// Made absolute: a service starts in another folder.
fn read_path(text: &str) -> Result<PathBuf, String> {
    std::path::absolute(text).map_err(|error| format!("\"{text}\" is no path ({error})"))
}

fn read_organization(text: &str) -> Result<String, String> {
    match text.chars().count() {
        1..=64 => Ok(text.to_owned()),
        _ => Err("it needs 1 to 64 characters".to_owned()),
    }
}

fn read_country(text: &str) -> Result<String, String> {
    if ingam_signer::is_country(text) {
        Ok(text.to_owned())
    } else {
        Err(format!(
            "\"{text}\" is not two upper-case letters that ISO 3166-1 assigns to a country, as in KR"
        ))
    }
}

/// `uid:` and a number, or `cert:` and 64 hexadecimal digits.
fn read_administrator(text: &str) -> Result<String, String> {
    let is_good = match text.split_once(':') {
        Some(("uid", number)) => {
            number.bytes().all(|byte| byte.is_ascii_digit()) && number.parse::<u32>().is_ok()
        }
        Some(("cert", digest)) => digest.len() == 64 && digest.bytes().all(|byte| byte.is_ascii_hexdigit()),
        _ => false,
    };
    if is_good {
        Ok(text.to_ascii_lowercase())
    } else {
        Err(format!(
            "\"{text}\" is neither uid:1000 (a user of this machine) nor cert: and the SHA-256 of a client certificate, \
             64 hexadecimal digits"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_scheme_host_and_port() {
        for good in
            ["https://a.example", "https://a.example/", "https://a.example:14000", "https://[::1]:14000"]
        {
            assert_eq!(read_url(good, "https://").unwrap(), good.trim_end_matches('/'));
        }
        for bad in [
            "",
            "a.example",
            "http://a.example",
            "https://",
            "https://a.example/dir",
            "https://a.example?x",
            "https://u@a.example",
            "https://a.example:99999",
        ] {
            assert!(read_url(bad, "https://").is_err(), "{bad}");
        }
    }

    #[test]
    fn administrators_are_users_or_certificates() {
        let certificate = format!("cert:{}", "0aF".repeat(21) + "0");
        assert_eq!(read_administrator(&certificate).unwrap(), certificate.to_lowercase());
        assert!(read_administrator("uid:0").is_ok());
        for bad in ["", "uid:", "uid:-1", "uid:+1", "uid:99999999999", "cert:00", "root", "gid:1"] {
            assert!(read_administrator(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn names_in_certificates_are_as_certificates_want_them() {
        assert!(read_country("KR").is_ok() && read_country("kr").is_err() && read_country("KOR").is_err());
        assert!(read_country("KO").is_err() && read_country("XX").is_err());
        assert!(read_organization("Example").is_ok() && read_organization("").is_err());
        assert!(read_organization(&"x".repeat(65)).is_err());
    }
}
