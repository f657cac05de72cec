//! A small CA, three logs, and a service that asks them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ingam_protocol::Timestamp;
use ingam_protocol::der::{Writer, tag};
use ingam_protocol::time::{Clock, FixedClock, Random};
use ingam_protocol::transparency::{SctList, tbs_of, with_scts};
use ingam_transparency::list::Kind;
use ingam_transparency::local_log::{LocalLogs, LogSettings, Mood};
use ingam_transparency::{Config, Submission, TransparencyService};
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DnType, IsCa, Issuer, KeyPair, SigningKey,
};

/// 2026-11-21T10:00:00Z.
pub(crate) const NOW: Timestamp = Timestamp::from_unix_s(1_795_255_200);

pub(crate) const URL: &str = "http://127.0.0.1:8056";

/// ecdsa-with-SHA256 as AlgorithmIdentifier.
const ECDSA_SHA256: [u8; 12] = [0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02];

/// Bytes that differ from call to call, and from seed to seed.
pub(crate) struct Seeded(AtomicU64);

impl Seeded {
    pub(crate) fn new(seed: u64) -> Self {
        Self(AtomicU64::new(seed))
    }
}

impl Random for Seeded {
    fn fill(&self, buffer: &mut [u8]) {
        for byte in buffer {
            // Knuth's constants for a linear congruence.
            let step = |state: u64| {
                Some(state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407))
            };
            let state = self.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, step).unwrap();
            *byte = state.to_be_bytes()[0];
        }
    }
}

/// Root, issuer and the keys that certificates have.
pub(crate) struct Ca {
    pub(crate) root: Vec<u8>,
    pub(crate) issuer: Vec<u8>,
    issuer_params: CertificateParams,
    issuer_key: KeyPair,
    pub(crate) leaf_key: KeyPair,
}

fn authority(name: &str) -> CertificateParams {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    (params.not_before, params.not_after) = (
        Timestamp::from_unix_s(1_700_000_000).to_date_time(),
        Timestamp::from_unix_s(2_500_000_000).to_date_time(),
    );
    params
}

impl Ca {
    pub(crate) fn new() -> Self {
        let (root_key, issuer_key) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
        let (root_params, issuer_params) = (authority("Root"), authority("Issuer"));
        let root = root_params.self_signed(&root_key).unwrap().der().to_vec();
        let above = Issuer::new(root_params, root_key);
        let issuer = issuer_params.signed_by(&issuer_key, &above).unwrap().der().to_vec();
        Self { root, issuer, issuer_params, issuer_key, leaf_key: KeyPair::generate().unwrap() }
    }

    pub(crate) fn chain(&self) -> Vec<Vec<u8>> {
        vec![self.issuer.clone(), self.root.clone()]
    }

    /// A certificate for `days`, with these extensions besides its names.
    pub(crate) fn certificate(&self, name: &str, days: u64, extensions: Vec<CustomExtension>) -> Vec<u8> {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.not_before = NOW.to_date_time();
        params.not_after = Timestamp::from_unix_s(NOW.unix_s() + days * 86_400 - 1).to_date_time();
        params.custom_extensions = extensions;
        let issuer = Issuer::from_params(&self.issuer_params, &self.issuer_key);
        params.signed_by(&self.leaf_key, &issuer).unwrap().der().to_vec()
    }

    pub(crate) fn precertificate(&self, name: &str, days: u64) -> Vec<u8> {
        let mut poison = CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 11129, 2, 4, 3], vec![5, 0]);
        poison.set_criticality(true);
        self.certificate(name, days, vec![poison])
    }

    pub(crate) fn submission(&self, name: &str, days: u64) -> Submission {
        Submission::new(self.precertificate(name, days), self.chain()).unwrap()
    }

    /// The certificate of a precertificate.
    pub(crate) fn finished(&self, precertificate: &[u8], scts: &SctList) -> Vec<u8> {
        let tbs = with_scts(tbs_of(precertificate).unwrap(), scts).unwrap();
        let signature = self.issuer_key.sign(&tbs).unwrap();
        let mut writer = Writer::new();
        writer.wrap(tag::SEQUENCE, |whole| {
            whole.bit_string(&signature);
            whole.raw(&ECDSA_SHA256);
            whole.raw(&tbs);
        });
        writer.finish()
    }
}

/// Everything together.
pub(crate) struct World {
    pub(crate) ca: Ca,
    pub(crate) clock: Arc<FixedClock>,
    pub(crate) logs: Arc<LocalLogs>,
    pub(crate) service: Arc<TransparencyService>,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(Config::default(), &[("a", "Aaron"), ("b", "Berta"), ("c", "Aaron")])
    }

    /// Logs by name and operator; those whose name is c or f are of static-ct-api.
    pub(crate) fn with(config: Config, logs: &[(&str, &str)]) -> Self {
        Self::at(NOW, config, logs)
    }

    pub(crate) fn at(now: Timestamp, config: Config, logs: &[(&str, &str)]) -> Self {
        let ca = Ca::new();
        let clock = Arc::new(FixedClock::new(now));
        let shared: Arc<dyn Clock> = clock.clone();
        let settings = logs.iter().map(|(name, operator)| LogSettings {
            name: (*name).to_owned(),
            operator: (*operator).to_owned(),
            kind: if matches!(*name, "c" | "f") { Kind::Static } else { Kind::Rfc6962 },
            interval: [Timestamp::from_unix_s(1_700_000_000), Timestamp::from_unix_s(2_400_000_000)],
        });
        let logs = LocalLogs::new(URL, settings.collect(), std::slice::from_ref(&ca.root), &shared).unwrap();
        let logs = Arc::new(logs);
        let service = TransparencyService::with_network(
            config,
            logs.list().unwrap(),
            logs.clone(),
            shared,
            Arc::new(Seeded::new(7)),
        );
        Self { ca, clock, logs, service }
    }

    pub(crate) fn set(&self, log: &str, mood: Mood) {
        self.logs.log(log).unwrap().set_manner(mood.into());
    }

    pub(crate) fn delay(&self, log: &str, delay_ms: u64) {
        self.logs
            .log(log)
            .unwrap()
            .set_manner(ingam_transparency::local_log::Manner { mood: Mood::Good, delay_ms });
    }

    /// Names of the logs that gave these.
    pub(crate) fn givers(&self, scts: &SctList) -> Vec<&str> {
        let name = |sct: &ingam_protocol::transparency::Sct| {
            let log = self.logs.logs().iter().find(|log| log.key().id() == sct.log).unwrap();
            log.settings().name.as_str()
        };
        let mut names: Vec<&str> = scts.scts().iter().map(name).collect();
        names.sort_unstable();
        names
    }
}
