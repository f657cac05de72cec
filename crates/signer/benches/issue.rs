//! How long a certificate, an OCSP answer and a CRL take on one core: `cargo bench -p ingam-signer`.
//!
//! Each line is the mean of as many calls as fit into a second, one after the other: CPU time of this process (Linux
//! counts it in hundredths of a second), so that whatever else the machine does hardly matters.
//!
//! First come pairs of precertificate and certificate, sixteen at a time with the ledger on a real disk, as a share of what the
//! bare signatures of `openssl speed` in the same run would allow.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a program for people")]

use std::collections::BTreeMap;
use std::io::Read as _;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ingam_journal::files::Disk;
use ingam_protocol::crl::{Entry, Scope};
use ingam_protocol::ocsp::{CertStatus, SingleResponse};
use ingam_protocol::profile::{IssuerName, Profile, ProfileName, Transparency};
use ingam_protocol::time::{FixedClock, SeededRandom};
use ingam_protocol::transparency::{LogId, Sct, SctList};
use ingam_protocol::{Identifier, Random, Reason, Serial, Timestamp};
use ingam_signer::hierarchy::{IssuerPlan, Plan};
use ingam_signer::{
    CertificateRequest, CrlContents, FinalRequest, Hierarchy, IssuerUrls, KeyKind, Ledger, LocalSigner,
    OcspAnswer, Signer,
};

const NOW_S: u64 = 1_795_255_200;

struct SystemRandomness(std::fs::File);

impl SystemRandomness {
    fn new() -> Self {
        Self(std::fs::File::open("/dev/urandom").unwrap())
    }
}

impl Random for SystemRandomness {
    fn fill(&self, buffer: &mut [u8]) {
        (&self.0).read_exact(buffer).unwrap();
    }
}

fn now() -> Timestamp {
    Timestamp::from_unix_s(NOW_S)
}

fn name(text: &str) -> IssuerName {
    IssuerName::try_from(text.to_owned()).unwrap()
}

fn signer(folder: &std::path::Path) -> LocalSigner {
    let clock = Arc::new(FixedClock::new(now()));
    let plan = Plan {
        is_public: true,
        publication: "http://localhost:14080".to_owned(),
        country: "XX".to_owned(),
        organization: "Ingam Development".to_owned(),
        root: name("root"),
        issuers: vec![
            IssuerPlan { name: name("ecdsa"), key: KeyKind::EcdsaP256 },
            IssuerPlan { name: name("rsa"), key: KeyKind::Rsa2048 },
        ],
    };
    let hierarchy = Hierarchy::create(&plan, clock.as_ref(), &SystemRandomness::new()).unwrap();
    let urls = ["ecdsa", "rsa"].map(|issuer| {
        let urls = IssuerUrls {
            ocsp: "http://localhost:14080/ocsp".to_owned(),
            issuer: format!("http://localhost:14080/issuer/{issuer}"),
            crl: format!("http://localhost:14080/crl/{issuer}"),
        };
        (name(issuer), urls)
    });
    let ledger = Ledger::open(Arc::new(Disk::open(folder).unwrap()), clock.clone()).unwrap();
    let random = Arc::new(SystemRandomness::new());
    let signer = LocalSigner::new(hierarchy, BTreeMap::from(urls), ledger, clock, random).unwrap();
    tokio::runtime::Runtime::new().unwrap().block_on(signer.renew()).unwrap();
    signer
}

fn request(issuer: &str, names: u32, serial: Serial) -> CertificateRequest {
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
        serial,
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

/// What two logs might have promised.
fn scts() -> SctList {
    let sct = |number| Sct {
        log: LogId([number; 32]),
        timestamp: now(),
        extensions: Vec::new(),
        algorithm: [4, 3],
        signature: vec![7; 71],
    };
    SctList::new(vec![sct(1), sct(2)]).unwrap()
}

/// A precertificate and its certificate: prepared, linted, in the ledger, signed, verified, each.
async fn pair(signer: &LocalSigner, wanted: CertificateRequest) {
    let issuer = wanted.issuer.clone();
    let prepared = signer.prepare(wanted).await.unwrap();
    let precertificate = prepared.tbs().to_vec();
    signer.issue(prepared).await.unwrap();
    let finish = FinalRequest { issuer, precertificate, scts: scts() };
    let last = signer.finish(finish).await.unwrap();
    signer.issue(last).await.unwrap();
}

/// Signatures a second on one core, as `openssl speed` counts them.
fn bare_signatures(algorithm: &str) -> f64 {
    let output = Command::new("openssl").args(["speed", "-seconds", "2", "-mr", algorithm]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let line = text.lines().rev().find(|line| line.starts_with("+F2:") || line.starts_with("+F4:")).unwrap();
    // +F2:number:bits:signatures a second:verifications a second (RSA), +F4 likewise (ECDSA).
    line.split(':').nth(3).unwrap().parse().unwrap()
}

fn measure_pairs(runtime: &tokio::runtime::Runtime, signer: &LocalSigner, issuer: &str, algorithm: &str) {
    const AT_ONCE: u64 = 16;
    let random = SystemRandomness::new();
    let logged = || {
        let wanted = request(issuer, 1, Serial::new(&random));
        let mut profile = Profile::clone(&wanted.profile);
        profile.transparency = Transparency::Required;
        CertificateRequest { profile: Arc::new(profile), ..wanted }
    };
    let bare = bare_signatures(algorithm);
    let (started, before, mut pairs) = (Instant::now(), cpu_seconds(), 0_u64);
    while started.elapsed() < Duration::from_secs(5) {
        let all = (0..AT_ONCE).map(|_| pair(signer, logged()));
        runtime.block_on(futures_util::future::join_all(all));
        pairs += AT_ONCE;
    }
    let each = (cpu_seconds() - before) / u32::try_from(pairs).map(f64::from).unwrap();
    let limit = bare / 2.0;
    println!(
        "{issuer}: {:.0} pairs a core-second ({:.1} µs each); two bare signatures: {limit:.0}; share {:.0} %",
        1.0 / each,
        each * 1e6,
        100.0 / each / limit
    );
}

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let signer = signer(folder.path());
    for (issuer, algorithm) in [("ecdsa", "ecdsap256"), ("rsa", "rsa2048")] {
        measure_pairs(&runtime, &signer, issuer, algorithm);
    }
    let random = SystemRandomness::new();
    for issuer in ["ecdsa", "rsa"] {
        for names in [1, 100] {
            measure(&format!("{issuer}, {names} names: prepare with lint"), || {
                runtime.block_on(signer.prepare(request(issuer, names, Serial::new(&random)))).unwrap();
            });
            measure(&format!("{issuer}, {names} names: prepare and issue"), || {
                let wanted = request(issuer, names, Serial::new(&random));
                let prepared = runtime.block_on(signer.prepare(wanted)).unwrap();
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
