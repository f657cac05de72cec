//! How many answers from memory a thread gives a second, through the whole handler, without a socket.
//!
//! `cargo bench -p ingam-responder`

#![allow(clippy::unwrap_used, reason = "a benchmark that cannot start has nothing better to do")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::Request;
use http_body_util::{Empty, Full};
use ingam_protocol::der::{Writer, tag};
use ingam_protocol::ocsp::{self, CertStatus, ResponseData};
use ingam_protocol::profile::{IssuerName, Profile};
use ingam_protocol::time::FixedClock;
use ingam_protocol::{Serial, Shard, Timestamp, crl};
use ingam_responder::{
    Config, IssuedPage, Responder, ShardsInUse, SigningEvent, Status, StatusChange, StatusError, Statuses,
};
use ingam_signer::{
    CertificateRequest, CrlContents, DelegateCertificate, Error, FinalRequest, Issuer, IssuerUrls, KeyKind,
    OcspAnswer, Prepared, Signer,
};
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use tokio::sync::broadcast;

const CERTIFICATES: u32 = 50_000;
const REQUESTS: u32 = 1_000_000;

fn start() -> Timestamp {
    Timestamp::from_unix_s(1_795_255_200)
}

/// Every certificate is good.
struct AllGood;

#[async_trait]
impl Statuses for AllGood {
    fn status(&self, _: &IssuerName, _: &Serial) -> Result<Option<Status>, StatusError> {
        let not_after = start().plus(Duration::from_secs(90 * 86_400));
        Ok(Some(Status { status: CertStatus::Good, not_after, generation: 1 }))
    }

    fn generation(&self) -> u64 {
        1
    }

    fn changes(&self) -> broadcast::Receiver<StatusChange> {
        broadcast::channel(1).1
    }

    fn issued(&self, _: &IssuerName, _: Option<&Serial>, _: usize) -> Result<IssuedPage, StatusError> {
        Ok(IssuedPage::default())
    }

    fn shards(&self, _: &IssuerName) -> Result<ShardsInUse, StatusError> {
        Ok(ShardsInUse::default())
    }

    fn revoked_generation(&self, _: &IssuerName, _: Option<Shard>) -> Result<u64, StatusError> {
        Ok(0)
    }

    fn revoked(
        &self,
        _: &IssuerName,
        _: crl::Scope,
        _: Option<&Serial>,
        _: Timestamp,
        _: usize,
    ) -> Result<Vec<crl::Entry>, StatusError> {
        Ok(Vec::new())
    }

    async fn crl_number(&self, _: &IssuerName, _: Option<Shard>, _: u64) -> Result<u64, StatusError> {
        Ok(1)
    }

    async fn record_signed(&self, _: Vec<SigningEvent>) -> Result<(), StatusError> {
        Ok(())
    }
}

/// Signs without a key: what is measured is everything else.
struct NoKey([Issuer; 1]);

#[async_trait]
impl Signer for NoKey {
    fn issuers(&self) -> &[Issuer] {
        &self.0
    }

    async fn ready(&self, _: &IssuerName) -> Result<(), Error> {
        Ok(())
    }

    async fn prepare(&self, _: CertificateRequest) -> Result<Prepared, Error> {
        Err(Error::Refused("not here".to_owned()))
    }

    async fn adopt(&self, _: Arc<Profile>, _: Vec<u8>) -> Result<Prepared, Error> {
        Err(Error::Refused("not here".to_owned()))
    }

    async fn finish(&self, _: FinalRequest) -> Result<Prepared, Error> {
        Err(Error::Refused("not here".to_owned()))
    }

    async fn issue(&self, _: Prepared) -> Result<Vec<u8>, Error> {
        Err(Error::Refused("not here".to_owned()))
    }

    async fn renew(&self) -> Result<Vec<DelegateCertificate>, Error> {
        Ok(Vec::new())
    }

    fn delegates_not_after(&self) -> Vec<(IssuerName, Option<Timestamp>)> {
        Vec::new()
    }

    fn ocsp_signer_not_after(&self, _: &IssuerName) -> Result<Timestamp, Error> {
        Ok(start().plus(Duration::from_secs(30 * 86_400)))
    }

    async fn sign_ocsp(&self, _: &IssuerName, answer: OcspAnswer) -> Result<Vec<u8>, Error> {
        let OcspAnswer { responses, produced_at, nonce } = answer;
        let tbs = ResponseData { responder_key_hash: [7; 20], produced_at, responses, nonce }.encode();
        let algorithm = [0x30, 0x0a, 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2];
        Ok(ocsp::successful(&tbs, &algorithm, &[9; 71], None))
    }

    async fn sign_crl(&self, _: &IssuerName, _: CrlContents) -> Result<Vec<u8>, Error> {
        Err(Error::Refused("not here".to_owned()))
    }
}

fn request(number: u32) -> Vec<u8> {
    let hash = digest(&SHA1_FOR_LEGACY_USE_ONLY, b"issuer");
    let mut writer = Writer::new();
    writer.wrap(tag::SEQUENCE, |request| {
        request.wrap(tag::SEQUENCE, |tbs| {
            tbs.wrap(tag::SEQUENCE, |list| {
                list.wrap(tag::SEQUENCE, |single| {
                    single.wrap(tag::SEQUENCE, |id| {
                        id.unsigned_integer(&[&[0x40; 14][..], &number.to_be_bytes()].concat());
                        id.octet_string(hash.as_ref());
                        id.octet_string(hash.as_ref());
                        id.wrap(tag::SEQUENCE, |algorithm| {
                            algorithm.null();
                            algorithm.object_identifier(&[0x2b, 0x0e, 0x03, 0x02, 0x1a]);
                        });
                    });
                });
            });
        });
    });
    writer.finish()
}

fn main() {
    let issuer = Issuer {
        key: KeyKind::EcdsaP256,
        name: IssuerName::try_from("e1".to_owned()).unwrap(),
        certificate: Vec::new(),
        alternates: Vec::new(),
        chain: Vec::new(),
        root: Vec::new(),
        subject: b"issuer".to_vec(),
        public_key: b"issuer".to_vec(),
        key_identifier: b"issuer".to_vec(),
        urls: IssuerUrls { ocsp: String::new(), issuer: String::new(), crl: String::new() },
        not_after: start().plus(Duration::from_secs(1000 * 86_400)),
    };
    let clock = Arc::new(FixedClock::new(start()));
    // No CRL is made.
    let folder = std::path::Path::new("crls");
    let (statuses, signer) = (Arc::new(AllGood), Arc::new(NoKey([issuer])));
    let responder = Responder::new(&Config::default(), folder, statuses, signer, clock).unwrap();
    let ders: Vec<_> = (0..CERTIFICATES).map(request).collect();
    let targets: Vec<http::Uri> =
        ders.iter().map(|der| format!("/ocsp/{}", STANDARD.encode(der)).parse().unwrap()).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let get = async |times: u32| {
            for target in targets.iter().cycle().take(times as usize) {
                let mut request = Request::new(Empty::<Bytes>::new());
                *request.uri_mut() = target.clone();
                assert_eq!(responder.handle(request).await.status(), 200);
            }
        };
        let post = async |times: u32| {
            for der in ders.iter().cycle().take(times as usize) {
                let body = Full::new(Bytes::copy_from_slice(der));
                assert_eq!(responder.handle(Request::post("/ocsp").body(body).unwrap()).await.status(), 200);
            }
        };
        let resident_before = resident_bytes();
        let since = Instant::now();
        get(CERTIFICATES).await;
        report("GET, encoded and put into memory", CERTIFICATES, since);
        report_memory(resident_before);
        let since = Instant::now();
        get(REQUESTS).await;
        report("GET from memory", REQUESTS, since);
        let since = Instant::now();
        post(REQUESTS).await;
        report("POST from memory", REQUESTS, since);
    });
}

#[allow(clippy::print_stdout, reason = "a benchmark tells its result")]
fn report(what: &str, times: u32, since: Instant) {
    let elapsed = since.elapsed();
    println!(
        "{what}: {:.0}/s, {} ns each",
        f64::from(times) / elapsed.as_secs_f64(),
        elapsed.as_nanos() / u128::from(times)
    );
}

#[allow(clippy::print_stdout, reason = "a benchmark tells its result")]
fn report_memory(before: Option<u64>) {
    if let (Some(before), Some(after)) = (before, resident_bytes()) {
        println!("memory for each answer: {} bytes", after.saturating_sub(before) / u64::from(CERTIFICATES));
    }
}

/// How much memory this process has, where the system tells (Linux), in pages of 4096 bytes.
fn resident_bytes() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/statm").ok()?;
    text.split(' ').nth(1)?.parse::<u64>().ok().map(|pages| pages * 4096)
}
