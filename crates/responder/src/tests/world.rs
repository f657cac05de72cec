//! A CA in memory: statuses that can be changed and broken, a signer that can be held and broken, a clock that stands.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response};
use http_body_util::{BodyExt, Full};
use ingam_protocol::der::{Writer, tag};
use ingam_protocol::ocsp::{self, CertStatus, ErrorStatus, ResponseData};
use ingam_protocol::profile::{IssuerName, Profile};
use ingam_protocol::time::{FixedClock, SeededRandom};
use ingam_protocol::{Reason, Serial, Shard, Timestamp, crl};
use ingam_signer::{
    CertificateRequest, CrlContents, DelegateCertificate, FinalRequest, Issuer, IssuerUrls, KeyKind,
    OcspAnswer, Prepared, Signer,
};
use ring::digest::{Algorithm, SHA1_FOR_LEGACY_USE_ONLY, SHA256, SHA384, digest};
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair, UnparsedPublicKey,
};
use tempfile::TempDir;
use tokio::sync::{Semaphore, broadcast};
use x509_cert::der::{Decode, Encode};

use crate::config::Config;
use crate::http::Responder;
use crate::statuses::{IssuedPage, ShardsInUse, SigningEvent, Status, StatusChange, StatusError, Statuses};

pub(crate) const DAY: Duration = Duration::from_secs(24 * 60 * 60);
pub(crate) const HOUR: Duration = Duration::from_secs(60 * 60);

/// DER of the AlgorithmIdentifier of ecdsa-with-SHA256.
const ECDSA_SHA256: &[u8] = &[0x30, 0x0a, 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2];
/// Contents of the object identifiers of the hashes.
pub(crate) const SHA1_OID: &[u8] = &[0x2b, 0x0e, 0x03, 0x02, 0x1a];
pub(crate) const SHA256_OID: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01];
pub(crate) const SHA384_OID: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x02];
pub(crate) const MD5_OID: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x02, 0x05];

pub(crate) fn start() -> Timestamp {
    Timestamp::from_unix_s(1_795_255_200)
}

pub(crate) fn serial(number: u8) -> Serial {
    Serial::from_be_bytes(&[0x40, 0x11, number]).unwrap()
}

pub(crate) fn issuer_name(name: &str) -> IssuerName {
    IssuerName::try_from(name.to_owned()).unwrap()
}

/// The store of tests.
pub(crate) struct MemoryStatuses {
    rows: Mutex<BTreeMap<(IssuerName, Serial), Status>>,
    generation: AtomicU64,
    crl_numbers: Mutex<HashMap<(IssuerName, Option<Shard>), u64>>,
    last_revoked: Mutex<HashMap<(IssuerName, Option<Shard>), u64>>,
    pub(crate) events: Mutex<Vec<SigningEvent>>,
    pub(crate) batches: Mutex<Vec<usize>>,
    pub(crate) is_broken: AtomicBool,
    pub(crate) reads: AtomicUsize,
    pub(crate) page_reads: AtomicUsize,
    pub(crate) feed: broadcast::Sender<StatusChange>,
}

impl Default for MemoryStatuses {
    fn default() -> Self {
        Self {
            rows: Mutex::default(),
            generation: AtomicU64::default(),
            crl_numbers: Mutex::default(),
            last_revoked: Mutex::default(),
            events: Mutex::default(),
            batches: Mutex::default(),
            is_broken: AtomicBool::default(),
            reads: AtomicUsize::default(),
            page_reads: AtomicUsize::default(),
            feed: broadcast::channel(16).0,
        }
    }
}

impl MemoryStatuses {
    pub(crate) fn set(&self, issuer: &str, serial: &Serial, status: CertStatus, not_after: Timestamp) {
        let generation = self.generation.load(Ordering::SeqCst) + 1;
        let row = Status { status, not_after, generation };
        self.rows.lock().unwrap().insert((issuer_name(issuer), serial.clone()), row);
        if matches!(status, CertStatus::Revoked { .. }) {
            self.last_revoked.lock().unwrap().insert((issuer_name(issuer), serial.shard()), generation);
        }
        self.generation.store(generation, Ordering::SeqCst);
        // Nobody may follow.
        let _ =
            self.feed.send(StatusChange { issuer: issuer_name(issuer), serial: serial.clone(), generation });
    }

    pub(crate) fn issue(&self, number: u8) {
        self.set("e1", &serial(number), CertStatus::Good, start().plus(90 * DAY));
    }

    pub(crate) fn revoke(&self, number: u8, at: Timestamp, reason: Reason) {
        self.revoke_serial(&serial(number), at, reason);
    }

    pub(crate) fn revoke_serial(&self, serial: &Serial, at: Timestamp, reason: Reason) {
        let key = (issuer_name("e1"), serial.clone());
        let not_after = self.rows.lock().unwrap()[&key].not_after;
        self.set("e1", serial, CertStatus::Revoked { at, reason }, not_after);
    }

    fn check(&self) -> Result<(), StatusError> {
        if self.is_broken.load(Ordering::SeqCst) {
            return Err(StatusError::new("reading", "the disk is on fire"));
        }
        Ok(())
    }
}

#[async_trait]
impl Statuses for MemoryStatuses {
    fn status(&self, issuer: &IssuerName, serial: &Serial) -> Result<Option<Status>, StatusError> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        self.check()?;
        Ok(self.rows.lock().unwrap().get(&(issuer.clone(), serial.clone())).copied())
    }

    fn generation(&self) -> u64 {
        self.generation.load(Ordering::SeqCst)
    }

    fn changes(&self) -> broadcast::Receiver<StatusChange> {
        self.feed.subscribe()
    }

    fn issued(
        &self,
        issuer: &IssuerName,
        after: Option<&Serial>,
        limit: usize,
    ) -> Result<IssuedPage, StatusError> {
        self.check()?;
        let rows = self.rows.lock().unwrap();
        let own =
            rows.iter().filter(|((of, serial), _)| of == issuer && after.is_none_or(|after| serial > after));
        let page: Vec<_> = own.take(limit).map(|((_, serial), row)| (serial.clone(), *row)).collect();
        let next = page.last().filter(|_| page.len() == limit).map(|(serial, _)| serial.clone());
        Ok(IssuedPage { certificates: page, next })
    }

    fn shards(&self, issuer: &IssuerName) -> Result<ShardsInUse, StatusError> {
        self.check()?;
        let rows = self.rows.lock().unwrap();
        let serials = rows.keys().filter(|(of, _)| of == issuer).map(|(_, serial)| serial.shard());
        let shards: BTreeSet<Option<Shard>> = serials.collect();
        Ok(ShardsInUse {
            has_unsharded: shards.contains(&None),
            shards: shards.into_iter().flatten().collect(),
        })
    }

    fn revoked_generation(&self, issuer: &IssuerName, shard: Option<Shard>) -> Result<u64, StatusError> {
        self.check()?;
        Ok(self.last_revoked.lock().unwrap().get(&(issuer.clone(), shard)).copied().unwrap_or(0))
    }

    fn revoked(
        &self,
        issuer: &IssuerName,
        scope: crl::Scope,
        after: Option<&Serial>,
        ended_before: Timestamp,
        limit: usize,
    ) -> Result<Vec<crl::Entry>, StatusError> {
        self.page_reads.fetch_add(1, Ordering::SeqCst);
        self.check()?;
        let rows = self.rows.lock().unwrap();
        let revoked = rows.iter().filter(|((of, serial), row)| {
            let is_behind = after.is_none_or(|after| serial > after);
            of == issuer && scope.holds(serial) && is_behind && row.not_after >= ended_before
        });
        let entries = revoked.filter_map(|((_, serial), row)| match row.status {
            CertStatus::Good => None,
            CertStatus::Revoked { at, reason } => {
                Some(crl::Entry { serial: serial.clone(), revoked_at: at, reason })
            }
        });
        Ok(entries.take(limit).collect())
    }

    async fn crl_number(
        &self,
        issuer: &IssuerName,
        shard: Option<Shard>,
        above: u64,
    ) -> Result<u64, StatusError> {
        self.check()?;
        let mut numbers = self.crl_numbers.lock().unwrap();
        let number = numbers.entry((issuer.clone(), shard)).or_insert(0);
        *number = above.max(*number) + 1;
        Ok(*number)
    }

    async fn record_signed(&self, events: Vec<SigningEvent>) -> Result<(), StatusError> {
        self.check()?;
        self.batches.lock().unwrap().push(events.len());
        self.events.lock().unwrap().extend(events);
        Ok(())
    }
}

/// The signer of tests: signs everything with the issuer's own key.
pub(crate) struct TestSigner {
    issuers: Vec<Issuer>,
    keys: Vec<EcdsaKeyPair>,
    certifiers: Vec<rcgen::Issuer<'static, rcgen::KeyPair>>,
    random: SystemRandom,
    pub(crate) ocsp_ends: Mutex<Timestamp>,
    pub(crate) is_broken: AtomicBool,
    /// Nobody who must not wait may ask it.
    pub(crate) is_slow: AtomicBool,
    /// How many signatures may be made; each takes one. Full unless a test empties it.
    pub(crate) gate: Semaphore,
    pub(crate) asked: AtomicUsize,
    pub(crate) signed: AtomicUsize,
}

#[allow(clippy::disallowed_methods, reason = "tests of other implementations' verification want a real key")]
impl TestSigner {
    fn new(names: &[&str]) -> Self {
        let random = SystemRandom::new();
        let (mut issuers, mut keys, mut certifiers) = (Vec::new(), Vec::new(), Vec::new());
        for name in names {
            let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &random).unwrap();
            let key =
                EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, pkcs8.as_ref(), &random).unwrap();
            let pair = rcgen::KeyPair::try_from(pkcs8.as_ref()).unwrap();
            let mut parameters = rcgen::CertificateParams::default();
            parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
            parameters.key_usages = vec![
                rcgen::KeyUsagePurpose::CrlSign,
                rcgen::KeyUsagePurpose::KeyCertSign,
                rcgen::KeyUsagePurpose::DigitalSignature,
            ];
            parameters.distinguished_name.push(rcgen::DnType::CommonName, *name);
            let certificate = parameters.self_signed(&pair).unwrap().der().to_vec();
            let (_, parsed) = x509_parser::parse_x509_certificate(&certificate).unwrap();
            issuers.push(Issuer {
                key: KeyKind::EcdsaP256,
                name: issuer_name(name),
                subject: parsed.subject().as_raw().to_vec(),
                public_key: parsed.public_key().subject_public_key.data.to_vec(),
                key_identifier: name.as_bytes().to_vec(),
                alternates: Vec::new(),
                chain: vec![certificate.clone()],
                root: certificate.clone(),
                urls: IssuerUrls {
                    ocsp: "http://ca.example/ocsp".to_owned(),
                    issuer: format!("http://ca.example/issuer/{name}.crt"),
                    crl: format!("http://ca.example/crl/{name}.crl"),
                },
                not_after: start().plus(1000 * DAY),
                certificate,
            });
            keys.push(key);
            certifiers.push(rcgen::Issuer::new(parameters, pair));
        }
        Self {
            issuers,
            keys,
            certifiers,
            random,
            ocsp_ends: Mutex::new(start().plus(1000 * DAY)),
            is_broken: AtomicBool::new(false),
            is_slow: AtomicBool::new(false),
            gate: Semaphore::new(1 << 20),
            asked: AtomicUsize::new(0),
            signed: AtomicUsize::new(0),
        }
    }

    fn find(&self, issuer: &IssuerName) -> Result<usize, ingam_signer::Error> {
        let found = self.issuers.iter().position(|known| known.name == *issuer);
        found.ok_or_else(|| ingam_signer::Error::UnknownIssuer(issuer.clone()))
    }

    async fn sign(&self, index: usize, tbs: &[u8]) -> Result<Vec<u8>, ingam_signer::Error> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        self.gate.acquire().await.unwrap().forget();
        if self.is_broken.load(Ordering::SeqCst) {
            return Err(ingam_signer::Error::Unavailable("the key is asleep".to_owned()));
        }
        self.signed.fetch_add(1, Ordering::SeqCst);
        Ok(self.keys[index].sign(&self.random, tbs).unwrap().as_ref().to_vec())
    }
}

#[async_trait]
impl Signer for TestSigner {
    fn issuers(&self) -> &[Issuer] {
        &self.issuers
    }

    async fn ready(&self, _: &IssuerName) -> Result<(), ingam_signer::Error> {
        Ok(())
    }

    async fn prepare(&self, _: CertificateRequest) -> Result<Prepared, ingam_signer::Error> {
        Err(ingam_signer::Error::Refused("not here".to_owned()))
    }

    async fn adopt(&self, _: Arc<Profile>, _: Vec<u8>) -> Result<Prepared, ingam_signer::Error> {
        Err(ingam_signer::Error::Refused("not here".to_owned()))
    }

    async fn finish(&self, _: FinalRequest) -> Result<Prepared, ingam_signer::Error> {
        Err(ingam_signer::Error::Refused("not here".to_owned()))
    }

    async fn issue(&self, _: Prepared) -> Result<Vec<u8>, ingam_signer::Error> {
        Err(ingam_signer::Error::Refused("not here".to_owned()))
    }

    async fn renew(&self) -> Result<Vec<DelegateCertificate>, ingam_signer::Error> {
        Ok(Vec::new())
    }

    fn delegates_not_after(&self) -> Vec<(IssuerName, Option<Timestamp>)> {
        Vec::new()
    }

    fn ocsp_signer_not_after(&self, issuer: &IssuerName) -> Result<Timestamp, ingam_signer::Error> {
        self.find(issuer).map(|_| *self.ocsp_ends.lock().unwrap())
    }

    fn signs_at_once(&self, _: &IssuerName) -> bool {
        !self.is_slow.load(Ordering::SeqCst)
    }

    async fn sign_ocsp(
        &self,
        issuer: &IssuerName,
        answer: OcspAnswer,
    ) -> Result<Vec<u8>, ingam_signer::Error> {
        let index = self.find(issuer)?;
        let key_hash = digest(&SHA1_FOR_LEGACY_USE_ONLY, &self.issuers[index].public_key);
        let data = ResponseData {
            responder_key_hash: key_hash.as_ref().try_into().unwrap(),
            produced_at: answer.produced_at,
            responses: answer.responses,
            nonce: answer.nonce,
        };
        let tbs = data.encode();
        let signature = self.sign(index, &tbs).await?;
        Ok(ocsp::successful(&tbs, ECDSA_SHA256, &signature, None))
    }

    async fn sign_crl(
        &self,
        issuer: &IssuerName,
        contents: CrlContents,
    ) -> Result<Vec<u8>, ingam_signer::Error> {
        let index = self.find(issuer)?;
        let list = crl::RevocationList {
            signature_algorithm: ECDSA_SHA256.to_vec(),
            issuer: self.issuers[index].subject.clone(),
            authority_key_id: vec![7; 20],
            number: contents.number,
            this_update: contents.this_update,
            next_update: contents.next_update,
            distribution_point: (contents.scope != crl::Scope::Complete)
                .then(|| self.issuers[index].urls.crl_of(contents.scope.shard())),
            entries: contents.entries,
        };
        let tbs = list.encode_tbs();
        let signature = self.sign(index, &tbs).await?;
        Ok(crl::certificate_list(tbs, ECDSA_SHA256, &signature))
    }
}

/// What an OCSP answer says, as another implementation reads it.
#[derive(Debug)]
pub(crate) struct Read {
    pub(crate) nonce: Option<Vec<u8>>,
    pub(crate) produced_at: u64,
    pub(crate) single: Vec<ReadSingle>,
}

/// What it says of one certificate; times are seconds since the epoch.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ReadSingle {
    pub(crate) cert_id: Vec<u8>,
    /// When and the number of the reason.
    pub(crate) revoked: Option<(u64, u8)>,
    pub(crate) this_update: u64,
    pub(crate) next_update: u64,
}

/// Everything together.
pub(crate) struct World {
    pub(crate) statuses: Arc<MemoryStatuses>,
    pub(crate) signer: Arc<TestSigner>,
    pub(crate) clock: Arc<FixedClock>,
    pub(crate) responder: Responder,
    /// Of CRLs.
    pub(crate) folder: TempDir,
}

impl World {
    pub(crate) fn new(config: &Config) -> Self {
        let statuses = Arc::new(MemoryStatuses::default());
        let signer = Arc::new(TestSigner::new(&["e1", "e2"]));
        let clock = Arc::new(FixedClock::new(start()));
        let folder = tempfile::tempdir().unwrap();
        let responder = Responder::new(
            config,
            folder.path(),
            Arc::clone(&statuses) as _,
            Arc::clone(&signer) as _,
            Arc::clone(&clock) as _,
        )
        .unwrap();
        Self { statuses, signer, clock, responder, folder }
    }

    /// The same CA, started again with these settings.
    pub(crate) fn restart(self, config: &Config) -> Self {
        let Self { statuses, signer, clock, folder, .. } = self;
        let responder =
            Responder::new(config, folder.path(), statuses.clone(), signer.clone(), clock.clone()).unwrap();
        Self { statuses, signer, clock, responder, folder }
    }

    /// A list of the first issuer that is signed and empty.
    pub(crate) async fn signed_list(&self, scope: crl::Scope, number: u64) -> Vec<u8> {
        let (this_update, next_update) = (start(), start().plus(DAY));
        let contents = CrlContents { scope, number, this_update, next_update, entries: Vec::new() };
        self.signer.sign_crl(&issuer_name("e1"), contents).await.unwrap()
    }

    /// DER of a CertID of a certificate of `e1`.
    pub(crate) fn cert_id(&self, serial: &Serial) -> Vec<u8> {
        self.cert_id_of(0, SHA1_OID, true, serial)
    }

    pub(crate) fn cert_id_of(&self, issuer: usize, hash: &[u8], with_null: bool, serial: &Serial) -> Vec<u8> {
        let function: &'static Algorithm = match hash {
            SHA256_OID => &SHA256,
            SHA384_OID => &SHA384,
            _ => &SHA1_FOR_LEGACY_USE_ONLY,
        };
        let issuer = &self.signer.issuers[issuer];
        let (name, key) = (digest(function, &issuer.subject), digest(function, &issuer.public_key));
        cert_id(hash, with_null, name.as_ref(), key.as_ref(), serial)
    }

    pub(crate) async fn send(
        &self,
        method: Method,
        target: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Response<Full<Bytes>> {
        let mut request = Request::builder().method(method).uri(target);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.responder.handle(request.body(Full::new(Bytes::copy_from_slice(body))).unwrap()).await
    }

    pub(crate) async fn get(&self, target: &str) -> (HeaderMap, Bytes) {
        let reply = self.send(Method::GET, target, &[], b"").await;
        assert_eq!(reply.status(), 200, "{target}");
        take(reply).await
    }

    /// GET of an OCSP request.
    pub(crate) async fn ask(&self, request: &[u8]) -> (HeaderMap, Bytes) {
        self.get(&format!("/ocsp/{}", STANDARD.encode(request))).await
    }

    pub(crate) async fn post(&self, request: &[u8]) -> (HeaderMap, Bytes) {
        let reply = self.send(Method::POST, "/ocsp", &[], request).await;
        assert_eq!(reply.status(), 200);
        take(reply).await
    }

    /// Asks for one certificate of `e1` and reads the answer.
    pub(crate) async fn status_of(&self, number: u8) -> Result<ReadSingle, ErrorStatus> {
        let (_, body) = self.ask(&request(&[self.cert_id(&serial(number))], None)).await;
        self.read(&body).map(|mut read| read.single.remove(0))
    }

    /// Reads an answer of `e1`, and verifies its signature.
    pub(crate) fn read(&self, body: &[u8]) -> Result<Read, ErrorStatus> {
        self.read_of(0, body)
    }

    /// Reads an answer of an issuer: it says that this one's key signed it, and that is so.
    pub(crate) fn read_of(&self, issuer: usize, body: &[u8]) -> Result<Read, ErrorStatus> {
        read_by(self.signer.keys[issuer].public_key().as_ref(), body)
    }

    /// PEM of the first issuer's certificate.
    pub(crate) fn issuer_der(&self, index: usize) -> &[u8] {
        &self.signer.issuers[index].certificate
    }

    /// DER of what an issuer certifies of a key for these purposes: valid from an hour ago until then.
    pub(crate) fn certify(
        &self,
        issuer: usize,
        key: &rcgen::KeyPair,
        purposes: &[rcgen::ExtendedKeyUsagePurpose],
        not_after: Timestamp,
    ) -> Vec<u8> {
        let moment = |moment: Timestamp| {
            let seconds = i64::try_from(moment.unix_s()).unwrap();
            x509_parser::time::ASN1Time::from_timestamp(seconds).unwrap().to_datetime()
        };
        let mut parameters = rcgen::CertificateParams::default();
        parameters.not_before = moment(start().minus(HOUR));
        parameters.not_after = moment(not_after);
        parameters.extended_key_usages = purposes.to_vec();
        parameters.signed_by(key, &self.signer.certifiers[issuer]).unwrap().der().to_vec()
    }

    pub(crate) fn signed(&self) -> usize {
        self.signer.signed.load(Ordering::SeqCst)
    }

    /// Waits until the signer was asked so many times; it may be holding all of them.
    pub(crate) async fn until_asked(&self, times: usize) {
        while self.signer.asked.load(Ordering::SeqCst) < times {
            tokio::task::yield_now().await;
        }
    }

    /// Lets no signature through until permits are added.
    pub(crate) fn close_gate(&self) {
        self.signer.gate.forget_permits(usize::MAX >> 4);
    }
}

/// Reads an answer: it says that the key with this public half signed it, and that is so.
pub(crate) fn read_by(public_key: &[u8], body: &[u8]) -> Result<Read, ErrorStatus> {
    let response = x509_ocsp::OcspResponse::from_der(body).unwrap();
    assert_eq!(response.to_der().unwrap(), body);
    let Some(bytes) = response.response_bytes else {
        assert_eq!(body.len(), 5);
        return Err(error_of(body));
    };
    assert_eq!(bytes.response_type.to_string(), "1.3.6.1.5.5.7.48.1.1");
    let basic = x509_ocsp::BasicOcspResponse::from_der(bytes.response.as_bytes()).unwrap();
    let tbs = basic.tbs_response_data.to_der().unwrap();
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, public_key)
        .verify(&tbs, basic.signature.as_bytes().unwrap())
        .unwrap();
    let data = &basic.tbs_response_data;
    let key_hash = digest(&SHA1_FOR_LEGACY_USE_ONLY, public_key);
    assert!(
        matches!(&data.responder_id, x509_ocsp::ResponderId::ByKey(id) if id.as_bytes() == key_hash.as_ref())
    );
    assert_eq!(data.version, x509_ocsp::Version::V1);
    // A nonce is all that is ever said beside what was asked for; a reason is nowhere but in `revoked`.
    assert_eq!(data.response_extensions.is_some(), data.nonce().is_some());
    assert!(data.responses.iter().all(|single| single.single_extensions.is_none()));
    let seconds = |time: &x509_ocsp::OcspGeneralizedTime| time.0.to_unix_duration().as_secs();
    let single = data.responses.iter().map(|single| ReadSingle {
        cert_id: single.cert_id.to_der().unwrap(),
        revoked: match &single.cert_status {
            x509_ocsp::CertStatus::Good(_) => None,
            x509_ocsp::CertStatus::Revoked(info) => Some((
                seconds(&info.revocation_time),
                info.revocation_reason.map_or(0, |reason| reason as u8),
            )),
            x509_ocsp::CertStatus::Unknown(_) => panic!("this CA never says unknown"),
        },
        this_update: seconds(&single.this_update),
        next_update: seconds(single.next_update.as_ref().unwrap()),
    });
    Ok(Read {
        nonce: data.nonce().map(|nonce| nonce.0.as_bytes().to_vec()),
        produced_at: seconds(&data.produced_at),
        single: single.collect(),
    })
}

fn error_of(body: &[u8]) -> ErrorStatus {
    [
        ErrorStatus::MalformedRequest,
        ErrorStatus::InternalError,
        ErrorStatus::TryLater,
        ErrorStatus::SigRequired,
        ErrorStatus::Unauthorized,
    ]
    .into_iter()
    .find(|error| error.encode() == *body)
    .unwrap()
}

pub(crate) async fn take(reply: Response<Full<Bytes>>) -> (HeaderMap, Bytes) {
    let (head, body) = reply.into_parts();
    let body: Result<_, Infallible> = body.collect().await;
    (head.headers, body.unwrap().to_bytes())
}

/// DER of a CertID.
pub(crate) fn cert_id(hash: &[u8], with_null: bool, name: &[u8], key: &[u8], serial: &Serial) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.wrap(tag::SEQUENCE, |id| {
        id.unsigned_integer(serial.as_bytes());
        id.octet_string(key);
        id.octet_string(name);
        id.wrap(tag::SEQUENCE, |algorithm| {
            if with_null {
                algorithm.null();
            }
            algorithm.object_identifier(hash);
        });
    });
    writer.finish()
}

/// DER of a request.
pub(crate) fn request(cert_ids: &[Vec<u8>], nonce: Option<&[u8]>) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.wrap(tag::SEQUENCE, |request| {
        request.wrap(tag::SEQUENCE, |tbs| {
            if let Some(nonce) = nonce {
                tbs.wrap(tag::context(2), |explicit| {
                    explicit.wrap(tag::SEQUENCE, |extensions| {
                        let identifier = [0x2b, 6, 1, 5, 5, 7, 0x30, 1, 2];
                        extensions.extension(&identifier, |value| value.octet_string(nonce));
                    });
                });
            }
            tbs.wrap(tag::SEQUENCE, |list| {
                for cert_id in cert_ids.iter().rev() {
                    list.wrap(tag::SEQUENCE, |single| single.raw(cert_id));
                }
            });
        });
    });
    writer.finish()
}

/// Predictable bytes.
pub(crate) fn noise(seed: u64) -> [u8; 64] {
    ingam_protocol::time::random_array(&SeededRandom::new(seed))
}

pub(crate) fn header<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).map_or("", |value| value.to_str().unwrap())
}
