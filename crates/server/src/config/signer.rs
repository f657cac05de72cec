//! Where the signer is, and what a process is told that is one and nothing else. Both sides read the same file.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use ingam_protocol::Findings;
use ingam_protocol::operator::Principal;
use ingam_signer::remote::Operation;
use serde::{Deserialize, Serialize};

use super::Config;

/// A signer apart from the CA.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Signer {
    /// Where the CA finds it: `unix:` and the path of its socket, or `https://HOST:PORT`. Without it the keys are in the CA's own
    /// process.
    pub(crate) at: Option<String>,
    /// How long an answer of it may take, in milliseconds.
    pub(crate) timeout_ms: u64,
    /// PEM files of the certificate that the CA shows to it over https, of its key, and of the CAs that its certificate is from.
    pub(crate) client_certificate: Option<PathBuf>,
    pub(crate) client_key: Option<PathBuf>,
    pub(crate) server_ca: Option<PathBuf>,
    /// `--role signer`: the folder of its keys, its hierarchy and its ledger, in place of `state`.
    pub(crate) state: Option<PathBuf>,
    /// `--role signer`: the Unix socket that it listens at.
    pub(crate) socket: Option<PathBuf>,
    /// `--role signer`: where its metrics and health are, over http, in place of `listen.metrics`.
    pub(crate) metrics: Vec<SocketAddr>,
    /// `--role signer`: PEM files of its certificate at `listen.signer`, of its key, and of the CAs whose client certificates are
    /// let in.
    pub(crate) certificate: Option<PathBuf>,
    pub(crate) key: Option<PathBuf>,
    pub(crate) client_ca: Option<PathBuf>,
    /// `--role signer`: who may ask for what: `uid:1000` or `cert:SHA-256`, and of `facts`, `prepare`, `issue`, `ocsp`, `crl` those
    /// that are allowed. Nobody else is answered.
    pub(crate) callers: BTreeMap<String, BTreeSet<Operation>>,
}

impl Default for Signer {
    fn default() -> Self {
        Self {
            at: None,
            timeout_ms: 10_000,
            client_certificate: None,
            client_key: None,
            server_ca: None,
            state: None,
            socket: None,
            metrics: Vec::new(),
            certificate: None,
            key: None,
            client_ca: None,
            callers: BTreeMap::new(),
        }
    }
}

/// The place of a signer that is a process of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SignerAt {
    /// On this machine.
    Unix(PathBuf),
    /// Host and port.
    Https { host: String, port: u16 },
}

impl FromStr for SignerAt {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        if let Some(path) = text.strip_prefix("unix:") {
            return if path.starts_with('/') { Ok(Self::Unix(path.into())) } else { Err(()) };
        }
        let authority = text.strip_prefix("https://").ok_or(())?.trim_end_matches('/');
        let (host, port) = authority.rsplit_once(':').ok_or(())?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        if host.is_empty() || host.contains(['/', '@']) {
            return Err(());
        }
        Ok(Self::Https { host: host.to_owned(), port: port.parse().map_err(drop)? })
    }
}

impl Signer {
    /// The place, where there is one: it was checked.
    pub(crate) fn place(&self) -> Option<SignerAt> {
        self.at.as_deref()?.parse().ok()
    }

    /// Who may ask for what, by those whose names were checked.
    pub(crate) fn permissions(&self) -> BTreeMap<Principal, BTreeSet<Operation>> {
        let named = |(who, operations): (&String, &BTreeSet<Operation>)| {
            Some((who.parse::<Principal>().ok()?, operations.clone()))
        };
        self.callers.iter().filter_map(named).collect()
    }
}

/// What stops the start of a CA.
pub(super) fn check(config: &Config, found: &mut Findings) {
    let signer = &config.signer;
    found.between("signer.timeout_ms", signer.timeout_ms, 100..=120_000);
    let Some(at) = &signer.at else { return };
    let most = ingam_signer::remote::CRL_ENTRIES_MAX;
    found.require(
        config.responder.crl_entries_max <= most,
        "responder.crl_entries_max",
        "is more than what a signer that is a process of its own takes in one message",
        format!("give {most} or fewer, and more crl_shards"),
    );
    let Ok(place) = at.parse::<SignerAt>() else {
        let fix = "give \"unix:/run/ingam-signer/signer.sock\" or \"https://HOST:PORT\"";
        found.error("signer.at", format!("is {at:?}, which is no place of a signer"), fix);
        return;
    };
    if let SignerAt::Https { .. } = place {
        for (key, file) in [
            ("signer.client_certificate", &signer.client_certificate),
            ("signer.client_key", &signer.client_key),
            ("signer.server_ca", &signer.server_ca),
        ] {
            let reason = "is missing: a signer over https is shown a certificate, and shows one";
            found.require(file.is_some(), key, reason, "name a PEM file, as docs/operations/signer.md says");
        }
    }
}

/// What stops the start of a process that is the signer and nothing else.
pub(super) fn check_process(config: &Config, found: &mut Findings) {
    let signer = &config.signer;
    let fix = "name a folder of its own, as \"/var/lib/ingam-signer\"";
    found.require(signer.state.is_some(), "signer.state", "is missing: the signer keeps its keys there", fix);
    found.require(
        signer.state.as_ref() != Some(&config.state),
        "signer.state",
        "is the CA's own state folder",
        fix,
    );
    found.require(
        signer.socket.is_some() || !config.listen.signer.is_empty(),
        "signer.socket",
        "is missing, and so is listen.signer: nobody could ask",
        "give the path of a socket, as \"/run/ingam-signer/signer.sock\"",
    );
    if !config.listen.signer.is_empty() {
        for (key, file) in [
            ("signer.certificate", &signer.certificate),
            ("signer.key", &signer.key),
            ("signer.client_ca", &signer.client_ca),
        ] {
            let reason = "is missing: whoever asks at listen.signer shows a certificate, and is shown one";
            found.require(file.is_some(), key, reason, "name a PEM file, as docs/operations/signer.md says");
        }
    }
    let fix =
        "give each caller a line, as \"uid:998\" = [\"facts\", \"prepare\", \"issue\", \"ocsp\", \"crl\"]";
    found.require(!signer.callers.is_empty(), "signer.callers", "is empty: nobody would be answered", fix);
    for who in signer.callers.keys() {
        if let Err(bad) = who.parse::<Principal>() {
            found.error("signer.callers", bad.to_string(), fix);
        }
    }
    for operation in [Operation::Prepare, Operation::Issue] {
        if !signer.callers.values().any(|allowed| allowed.contains(&operation)) {
            let name = operation.name();
            let reason = format!("lets nobody {name}: no certificate can be issued with this signer");
            found.warning(
                "signer.callers",
                reason,
                format!("give the CA {name:?} too, unless that is meant"),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read_and_others_refused() {
        assert_eq!("unix:/run/a.sock".parse(), Ok(SignerAt::Unix("/run/a.sock".into())));
        let https = |host: &str| Ok(SignerAt::Https { host: host.to_owned(), port: 8444 });
        assert_eq!("https://signer.example:8444".parse(), https("signer.example"));
        assert_eq!("https://[::1]:8444/".parse(), https("::1"));
        for bad in
            ["", "unix:", "unix:a.sock", "http://a:1", "https://a", "https://a:70000", "https://:1", "a:1"]
        {
            assert_eq!(bad.parse::<SignerAt>(), Err(()), "{bad}");
        }
    }

    fn keys(check: fn(&Config, &mut Findings), change: impl FnOnce(&mut Config)) -> Vec<String> {
        let mut config = Config::default();
        change(&mut config);
        let mut found = Findings::new();
        check(&config, &mut found);
        found.into_iter().map(|finding| finding.key).collect()
    }

    #[test]
    fn a_ca_needs_a_place_that_is_one_and_what_https_asks_for() {
        let at = |place: &str| {
            let place = place.to_owned();
            keys(check, |config| config.signer.at = Some(place))
        };
        assert_eq!(keys(check, |_| ()), Vec::<String>::new());
        assert_eq!(at("unix:/run/a.sock"), Vec::<String>::new());
        assert_eq!(at("tcp:1"), ["signer.at"]);
        let https = ["signer.client_certificate", "signer.client_key", "signer.server_ca"];
        assert_eq!(at("https://a:1"), https);
    }

    #[test]
    fn a_signer_needs_a_folder_a_door_and_callers() {
        assert_eq!(keys(check_process, |_| ()), ["signer.state", "signer.socket", "signer.callers"]);
        let complete = |config: &mut Config| {
            config.signer.state = Some("/var/lib/ingam-signer".into());
            config.signer.socket = Some("/run/a.sock".into());
            config.signer.callers =
                [("uid:1".to_owned(), [Operation::Facts, Operation::Prepare, Operation::Issue].into())]
                    .into();
        };
        assert_eq!(keys(check_process, complete), Vec::<String>::new());
        let useless = |config: &mut Config| {
            complete(config);
            config.signer.callers =
                [("uid:1".to_owned(), [Operation::Facts, Operation::Prepare].into())].into();
        };
        assert_eq!(keys(check_process, useless), ["signer.callers"]);
        let listening = |config: &mut Config| {
            complete(config);
            config.listen.signer = vec!["127.0.0.1:1".parse().unwrap()];
            config.signer.callers.insert("ann".to_owned(), BTreeSet::new());
        };
        let missing = ["signer.certificate", "signer.key", "signer.client_ca", "signer.callers"];
        assert_eq!(keys(check_process, listening), missing);
    }
}
