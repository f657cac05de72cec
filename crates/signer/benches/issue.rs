//! How long a certificate, an OCSP answer and a CRL take on one core: `cargo bench -p ingam-signer`.
//!
//! Each line is the mean of as many calls as fit into a second, one after the other: CPU time of this process (Linux
//! counts it in hundredths of a second), so that whatever else the machine does hardly matters.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a program for people")]

use std::collections::BTreeMap;
use std::io::Read as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ingam_journal::simulated::SimulatedDisk;
use ingam_protocol::crl::{Entry, Scope};
use ingam_protocol::ocsp::{CertStatus, SingleResponse};
use ingam_protocol::profile::{IssuerName, Profile, ProfileName};
use ingam_protocol::time::{FixedClock, SeededRandom};
use ingam_protocol::{Identifier, Random, Reason, Serial, Timestamp};
use ingam_signer::hierarchy::{IssuerPlan, Plan};
use ingam_signer::{
    CertificateRequest, CrlContents, Hierarchy, IssuerUrls, KeyKind, Ledger, LocalSigner, OcspAnswer, Signer,
};

const NOW_S: u64 = 1_795_255_200;

struct SystemRandomness;

impl Random for SystemRandomness {
    fn fill(&self, buffer: &mut [u8]) {
        std::fs::File::open("/dev/urandom").unwrap().read_exact(buffer).unwrap();
    }
}

fn now() -> Timestamp {
    Timestamp::from_unix_s(NOW_S)
}

fn name(text: &str) -> IssuerName {
    IssuerName::try_from(text.to_owned()).unwrap()
}

fn signer() -> LocalSigner {
    let clock = Arc::new(FixedClock::new(now()));
    let plan = Plan {
        is_public: true,
        country: "XX".to_owned(),
        organization: "Ingam Development".to_owned(),
        root: name("root"),
        issuers: vec![
            IssuerPlan { name: name("ecdsa"), key: KeyKind::EcdsaP256 },
            IssuerPlan { name: name("rsa"), key: KeyKind::Rsa2048 },
        ],
    };
    let hierarchy = Hierarchy::create(&plan, clock.as_ref(), &SystemRandomness).unwrap();
    let urls = ["ecdsa", "rsa"].map(|issuer| {
        let urls = IssuerUrls {
            ocsp: "http://localhost:14080/ocsp".to_owned(),
            issuer: format!("http://localhost:14080/issuer/{issuer}"),
            crl: format!("http://localhost:14080/crl/{issuer}"),
        };
        (name(issuer), urls)
    });
    let ledger = Ledger::open(Arc::new(SimulatedDisk::new()), clock.clone()).unwrap();
    let random = Arc::new(SystemRandomness);
    let signer = LocalSigner::new(hierarchy, BTreeMap::from(urls), ledger, clock, random).unwrap();
    tokio::runtime::Runtime::new().unwrap().block_on(signer.renew()).unwrap();
    signer
}

fn request(issuer: &str, names: u32) -> CertificateRequest {
    let profile = Profile {
        order_lifetime: Duration::from_secs(86400),
        pending_authorization_lifetime: Duration::from_secs(86400),
        valid_authorization_lifetime: Duration::from_secs(86400),
        ..Profile::usual(ProfileName::try_from("classic".to_owned()).unwrap(), name(issuer))
    };
    // The generator of P-256, which is as good a public key as any.
    let point = "0459301306072a8648ce3d020106082a8648ce3d030107034200046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0\
        f4a13945d898c2964fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5";
    let mut public_key_info: Vec<u8> = (0..point.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(point.get(at..at + 2).unwrap(), 16).unwrap())
        .collect();
    *public_key_info.first_mut().unwrap() = 0x30;
    CertificateRequest {
        not_before: None,
        not_after: None,
        profile: Arc::new(profile),
        issuer: name(issuer),
        must_staple: false,
        serial: Serial::new(&SeededRandom::new(1)),
        identifiers: (0..names)
            .map(|number| Identifier::parse_dns(&format!("host-{number}.example.org")).unwrap())
            .collect(),
        public_key_info,
        now: now(),
    }
}

/// CPU seconds that this process has used, in and outside of the kernel (proc(5), `utime` and `stime`).
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let (_, fields) = stat.rsplit_once(')').unwrap();
    let ticks: u32 =
        fields.split_whitespace().skip(11).take(2).map(|field| field.parse::<u32>().unwrap()).sum();
    f64::from(ticks) / 100.0
}

fn measure(what: &str, mut call: impl FnMut()) {
    call();
    let (started, before, mut calls) = (Instant::now(), cpu_seconds(), 0_u32);
    while started.elapsed() < Duration::from_secs(1) {
        call();
        calls += 1;
    }
    println!("{what:<44} {:>9.1} µs", (cpu_seconds() - before) * 1e6 / f64::from(calls));
}

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let signer = signer();
    for issuer in ["ecdsa", "rsa"] {
        for names in [1, 100] {
            measure(&format!("{issuer}, {names} names: prepare with lint"), || {
                runtime.block_on(signer.prepare(request(issuer, names))).unwrap();
            });
            measure(&format!("{issuer}, {names} names: prepare and issue"), || {
                let prepared = runtime.block_on(signer.prepare(request(issuer, names))).unwrap();
                runtime.block_on(signer.issue(prepared)).unwrap();
            });
        }
        measure(&format!("{issuer}: OCSP answer"), || {
            let answer = OcspAnswer {
                responses: vec![SingleResponse {
                    cert_id: vec![0x30; 80],
                    status: CertStatus::Good,
                    this_update: now(),
                    next_update: now().plus(Duration::from_secs(86400)),
                }],
                produced_at: now(),
                nonce: None,
            };
            runtime.block_on(signer.sign_ocsp(&name(issuer), answer)).unwrap();
        });
        let entries: Vec<Entry> = (0..100_000)
            .map(|seed| Entry {
                serial: Serial::new(&SeededRandom::new(seed)),
                revoked_at: now(),
                reason: Reason::Superseded,
            })
            .collect();
        measure(&format!("{issuer}: CRL of 100,000 entries"), || {
            let contents = CrlContents {
                scope: Scope::Complete,
                number: 1,
                this_update: now(),
                next_update: now().plus(Duration::from_secs(86400)),
                entries: entries.clone(),
            };
            runtime.block_on(signer.sign_crl(&name(issuer), contents)).unwrap();
        });
    }
}
