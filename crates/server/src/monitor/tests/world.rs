//! A CA in memory that signs what it is told to say.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{MutexGuard, OnceLock};

use async_trait::async_trait;
use ingam_journal::simulated::SimulatedDisk;
use ingam_protocol::certificate::Validity;
use ingam_protocol::crl::{Entry, Scope};
use ingam_protocol::ocsp::{CertStatus, ErrorStatus, SingleResponse, encode_request, parse_request};
use ingam_protocol::renewal::Window;
use ingam_protocol::time::{FixedClock, SeededRandom};
use ingam_signer::{CrlContents, Hierarchy, Ledger, LocalSigner, OcspAnswer, Signer};
use ingam_store::{CertificatePage, IssuedBetween, ShardsInUse};

use super::*;
use crate::config::{Config as File, DEVELOPMENT};
use crate::monitor::sources::{Recorded, Renewal};

pub(super) const SECOND: Duration = Duration::from_secs(1);
pub(super) const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

pub(super) fn now() -> Timestamp {
    Timestamp::from_unix_s(1_795_255_200)
}

/// What is said in place of the truth.
#[derive(Default)]
pub(super) struct Broken {
    pub(super) statuses: BTreeMap<Certificate, Option<CertStatus>>,
    pub(super) refused: Option<ErrorStatus>,
    pub(super) unreachable: bool,
    pub(super) shards_unread: bool,
    pub(super) damaged: bool,
    pub(super) signed_by_another: bool,
    pub(super) about_another: bool,
    pub(super) answered_ago: Option<Duration>,
    pub(super) listed: Option<Vec<Entry>>,
    pub(super) listed_ago: Option<Duration>,
    pub(super) list_unreachable: bool,
    pub(super) list_of_another: bool,
    pub(super) window: Option<Result<Option<Window>, String>>,
    /// The next one that is asked for is revoked at that moment.
    pub(super) revoked_while_asked: bool,
}

#[derive(Default)]
struct Rows {
    recorded: BTreeMap<Certificate, Recorded>,
    /// In the order of their issuance.
    issued: Vec<(Timestamp, Certificate)>,
    /// In the order of their generations, from one on.
    revoked: Vec<Certificate>,
    asked: BTreeSet<Certificate>,
    lists_fetched: usize,
}

/// Both sides, of one memory.
struct Parts {
    clock: Arc<FixedClock>,
    signer: LocalSigner,
    rows: Mutex<Rows>,
    broken: Mutex<Broken>,
}

pub(super) struct World {
    parts: Arc<Parts>,
    pub(super) monitor: Monitor,
}

fn name(issuer: &str) -> IssuerName {
    IssuerName::try_from(issuer.to_owned()).unwrap()
}

/// Two issuing CAs, `rsa` with a delegate and `ecdsa` without.
fn signer(clock: &Arc<FixedClock>) -> LocalSigner {
    let file: File = toml::from_str(DEVELOPMENT).unwrap();
    let random = Arc::new(SeededRandom::new(1));
    // RSA keys take their time.
    static MADE: OnceLock<Hierarchy> = OnceLock::new();
    let make = || Hierarchy::create(&file.plan().unwrap(), clock.as_ref(), random.as_ref()).unwrap();
    let hierarchy = MADE.get_or_init(make).clone();
    let ledger = Ledger::open(Arc::new(SimulatedDisk::new()), clock.clone()).unwrap();
    LocalSigner::new(hierarchy, file.issuer_urls().unwrap(), ledger, clock.clone(), random).unwrap()
}

impl World {
    pub(super) async fn new() -> Self {
        // What was signed long ago was signed by keys that were there.
        let clock = Arc::new(FixedClock::new(now().minus(20 * DAY)));
        let signer = signer(&clock);
        signer.renew().await.unwrap();
        clock.set(now());
        let issuers = signer.issuers().to_vec();
        let parts = Parts { clock: clock.clone(), signer, rows: Mutex::default(), broken: Mutex::default() };
        let parts = Arc::new(parts);
        let config = Config { recent_per_round: 6, ..Config::default() };
        let monitor = Monitor::over(
            parts.clone(),
            &issuers,
            (config, 5 * SECOND),
            clock,
            Arc::new(SeededRandom::new(2)),
        );
        Self { parts, monitor }
    }

    pub(super) fn now(&self) -> Timestamp {
        self.parts.clock.now()
    }

    pub(super) fn advance(&self, by: Duration) {
        self.parts.clock.advance(by);
    }

    pub(super) fn issue(&self, number: u8, issuer: &str) -> Certificate {
        let serial = Serial::from_be_bytes(&[0x40, 0x11, number]).unwrap();
        let certificate = Certificate { issuer: name(issuer), serial };
        let validity = Validity { not_before: self.now(), not_after: self.now().plus(90 * DAY) };
        let recorded = Recorded {
            status: Some(CertStatus::Good),
            not_after: validity.not_after,
            renewal: Some(Renewal { validity, ends_early: false }),
        };
        let mut rows = self.parts.rows();
        rows.recorded.insert(certificate.clone(), recorded);
        rows.issued.push((self.now(), certificate.clone()));
        certificate
    }

    pub(super) fn revoke(&self, certificate: &Certificate, status: CertStatus) {
        self.parts.rows().revoke(certificate, status);
    }

    /// Has it looked at in the next round.
    pub(super) fn touch(&self, certificate: &Certificate) {
        self.parts.rows().revoked.push(certificate.clone());
    }

    /// Makes it one that was only set aside.
    pub(super) fn set_aside(&self, certificate: &Certificate) {
        let mut rows = self.parts.rows();
        let recorded = rows.recorded.get_mut(certificate).unwrap();
        (recorded.status, recorded.renewal) = (None, None);
    }

    pub(super) fn answer_as(&self, certificate: &Certificate, status: Option<CertStatus>) {
        self.broken().statuses.insert(certificate.clone(), status);
    }

    pub(super) fn broken(&self) -> MutexGuard<'_, Broken> {
        self.parts.broken.lock().unwrap()
    }

    pub(super) fn mend(&self) {
        *self.broken() = Broken::default();
    }

    /// Those that were asked for since the last call.
    pub(super) fn asked(&self) -> BTreeSet<Certificate> {
        std::mem::take(&mut self.parts.rows().asked)
    }

    pub(super) fn lists_fetched(&self) -> usize {
        self.parts.rows().lists_fetched
    }
}

impl Rows {
    fn revoke(&mut self, certificate: &Certificate, status: CertStatus) {
        let recorded = self.recorded.get_mut(certificate).unwrap();
        recorded.status = Some(status);
        if let Some(renewal) = &mut recorded.renewal {
            renewal.ends_early = true;
        }
        self.revoked.push(certificate.clone());
    }
}

impl Parts {
    fn rows(&self) -> MutexGuard<'_, Rows> {
        self.rows.lock().unwrap()
    }

    fn other(&self, issuer: &IssuerName) -> IssuerName {
        name(if issuer.as_str() == "rsa" { "ecdsa" } else { "rsa" })
    }

    /// The certificate that a request asks for, and its CertID.
    fn asked(&self, request: &[u8]) -> (Certificate, Vec<u8>) {
        let request = parse_request(request).unwrap();
        let [cert_id] = request.cert_ids.as_slice() else { panic!("{request:?}") };
        let key = &cert_id.issuer_key_hash;
        let digest = |issuer: &Issuer| match key.len() {
            20 => ring::digest::digest(&ring::digest::SHA1_FOR_LEGACY_USE_ONLY, &issuer.public_key),
            _ => ring::digest::digest(&ring::digest::SHA256, &issuer.public_key),
        };
        let issuer = self.signer.issuers().iter().find(|issuer| digest(issuer).as_ref() == key).unwrap();
        let serial = cert_id.serial.clone().unwrap();
        (Certificate { issuer: issuer.name.clone(), serial }, cert_id.der.clone())
    }
}

#[async_trait]
impl Sources for Parts {
    fn generation(&self) -> u64 {
        u64::try_from(self.rows().revoked.len()).unwrap()
    }

    fn revoked_since(&self, generation: u64, limit: usize) -> Result<Vec<(u64, Certificate)>, String> {
        let all = (1..).zip(self.rows().revoked.clone());
        Ok(all.filter(|(at, _)| *at > generation).take(limit).collect())
    }

    fn issued(
        &self,
        between: IssuedBetween,
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<CertificatePage, String> {
        let from = after.map_or(0, |after| usize::from_be_bytes(after.try_into().unwrap()));
        let rows = self.rows();
        let all = rows.issued.iter().enumerate().filter(|(at, (time, _))| {
            *at >= from && Some(*time) >= between.from && between.until.is_none_or(|until| *time < until)
        });
        let found: Vec<(usize, Certificate)> =
            all.take(limit).map(|(at, (_, certificate))| (at, certificate.clone())).collect();
        let is_full = found.len() == limit;
        let next = found.last().filter(|_| is_full).map(|(at, _)| (at + 1).to_be_bytes().to_vec());
        Ok(CertificatePage {
            found: found.into_iter().map(|(_, one)| (one.issuer, one.serial)).collect(),
            next,
        })
    }

    fn shards(&self, issuer: &IssuerName) -> Result<ShardsInUse, String> {
        if self.broken.lock().unwrap().shards_unread {
            return Err("the disk is on fire".to_owned());
        }
        let has_unsharded = self.rows().recorded.keys().any(|one| one.issuer == *issuer);
        Ok(ShardsInUse { has_unsharded, shards: Vec::new() })
    }

    fn serial_from(
        &self,
        issuer: &IssuerName,
        _scope: Scope,
        from: &Serial,
    ) -> Result<Option<Serial>, String> {
        let rows = self.rows();
        let own = || rows.recorded.keys().filter(|one| one.issuer == *issuer).map(|one| &one.serial);
        Ok(own().find(|serial| *serial >= from).or_else(|| own().next()).cloned())
    }

    fn recorded(&self, certificate: &Certificate) -> Result<Option<Recorded>, String> {
        Ok(self.rows().recorded.get(certificate).copied())
    }

    fn window(&self, id: &CertificateId) -> Result<Option<Window>, String> {
        if let Some(told) = self.broken.lock().unwrap().window.clone() {
            return told;
        }
        let rows = self.rows();
        let (_, recorded) = rows.recorded.iter().find(|(one, _)| one.serial == id.serial).unwrap();
        Ok(recorded.renewal.map(|renewal| match renewal.ends_early {
            true => Window::pulled_forward(self.clock.now()),
            false => Window::of(renewal.validity, None, id),
        }))
    }

    async fn answer(&self, cert_id: &[u8], _way: Way) -> Result<Vec<u8>, String> {
        let (certificate, mut cert_id) = self.asked(&encode_request(cert_id, None));
        let (mut signs, mut at) = (certificate.issuer.clone(), self.clock.now().whole_second());
        let status = {
            let mut rows = self.rows();
            rows.asked.insert(certificate.clone());
            let mut broken = self.broken.lock().unwrap();
            if std::mem::take(&mut broken.revoked_while_asked) {
                rows.revoke(&certificate, revoked());
            }
            if broken.unreachable {
                return Err("connection refused".to_owned());
            }
            if let Some(status) = broken.refused {
                return Ok(status.encode().to_vec());
            }
            if broken.signed_by_another {
                signs = self.other(&signs);
            }
            if broken.about_another {
                *cert_id.last_mut().unwrap() ^= 1;
            }
            at = at.minus(broken.answered_ago.unwrap_or_default());
            broken.statuses.get(&certificate).copied().unwrap_or(rows.recorded[&certificate].status)
        };
        let Some(status) = status else { return Ok(ErrorStatus::Unauthorized.encode().to_vec()) };
        let single =
            SingleResponse { cert_id, status, this_update: at, next_update: at.plus(7 * DAY - SECOND) };
        let answer = OcspAnswer { responses: vec![single], produced_at: at, nonce: None };
        let mut der = self.signer.sign_ocsp(&signs, answer).await.map_err(|error| error.to_string())?;
        if self.broken.lock().unwrap().damaged {
            der.pop();
        }
        Ok(der)
    }

    async fn list(&self, issuer: &IssuerName, _shard: Option<Shard>) -> Result<Vec<u8>, String> {
        let (mut signs, mut at) = (issuer.clone(), self.clock.now().whole_second());
        let entries = {
            let mut rows = self.rows();
            rows.lists_fetched += 1;
            let broken = self.broken.lock().unwrap();
            if broken.list_unreachable {
                return Err("connection refused".to_owned());
            }
            if broken.list_of_another {
                signs = self.other(&signs);
            }
            at = at.minus(broken.listed_ago.unwrap_or_default());
            let own = rows.recorded.iter().filter(|(one, _)| one.issuer == *issuer);
            let entry = |(one, recorded): (&Certificate, &Recorded)| match recorded.status {
                Some(CertStatus::Revoked { at, reason }) => {
                    Some(Entry { serial: one.serial.clone(), revoked_at: at, reason })
                }
                _ => None,
            };
            broken.listed.clone().unwrap_or_else(|| own.filter_map(entry).collect())
        };
        let (this_update, next_update) = (at, at.plus(7 * DAY));
        let contents = CrlContents { scope: Scope::Complete, number: 1, this_update, next_update, entries };
        self.signer.sign_crl(&signs, contents).await.map_err(|error| error.to_string())
    }
}
