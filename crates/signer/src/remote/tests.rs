//! Both sides of the wall over a connection in memory: what a caller gets is what the signer gave, and a signer that is not
//! there is told from one that refuses.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use ingam_protocol::crl::{Entry, Scope};
use ingam_protocol::key::PublicKey;
use ingam_protocol::ocsp::{CertStatus, SingleResponse};
use ingam_protocol::profile::{Profile, Transparency};
use ingam_protocol::time::FixedClock;
use ingam_protocol::transparency::{self, LogId, Sct, SctList};
use ingam_protocol::{Reason, Serial};
use rcgen::PublicKeyData;
use tokio::task::AbortHandle;

use super::*;
use crate::testing::{name, now, profile, request, signer};
use crate::{
    CertificateRequest, CrlContents, DelegateKey, Error, FinalRequest, Kind, LocalSigner, OcspAnswer,
    RESPONDERS_MAX, Signer,
};

/// The signer's process: it answers connections in memory, unless it is away.
struct Process {
    service: Arc<Service>,
    /// What the service asks.
    signer: Arc<LocalSigner>,
    is_away: AtomicBool,
    dialled: AtomicUsize,
    connections: Mutex<Vec<AbortHandle>>,
}

#[async_trait]
impl Dial for Process {
    async fn dial(&self) -> io::Result<Box<dyn Stream>> {
        self.dialled.fetch_add(1, Ordering::SeqCst);
        if self.is_away.load(Ordering::SeqCst) {
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        let (ours, theirs) = tokio::io::duplex(64 << 10);
        let service = self.service.clone();
        let answer = service_fn(move |request: Request<Incoming>| {
            let service = service.clone();
            async move {
                let path = request.uri().path().to_owned();
                let body = request.into_body().collect().await.unwrap().to_bytes();
                let Reply { status, body } = service.answer(&path, &body).await;
                let mut response = Response::new(Full::<bytes::Bytes>::from(body));
                *response.status_mut() = StatusCode::from_u16(status).unwrap();
                Ok::<_, std::convert::Infallible>(response)
            }
        });
        let serving = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
        let task = tokio::spawn(async move {
            let _ = serving.serve_connection(TokioIo::new(theirs), answer).await;
        });
        self.connections.lock().unwrap().push(task.abort_handle());
        Ok(Box::new(ours))
    }
}

impl Process {
    fn new(profiles: Vec<Profile>) -> Arc<Self> {
        let clock = Arc::new(FixedClock::new(now()));
        let signer = Arc::new(signer(clock));
        let service = Service::new(signer.clone(), profiles.into_iter().map(Arc::new));
        Arc::new(Self {
            service: Arc::new(service),
            signer,
            is_away: AtomicBool::new(false),
            dialled: AtomicUsize::new(0),
            connections: Mutex::default(),
        })
    }

    /// It ends, with every connection.
    fn leave(&self) {
        self.is_away.store(true, Ordering::SeqCst);
        self.connections.lock().unwrap().drain(..).for_each(|connection| connection.abort());
    }
}

fn logged() -> Profile {
    Profile { transparency: Transparency::Required, ..profile("ecdsa") }
}

async fn caller(process: &Arc<Process>) -> RemoteSigner {
    RemoteSigner::connect(process.clone(), Duration::from_secs(10)).await.unwrap()
}

#[tokio::test]
async fn a_certificate_goes_through_the_wall_as_it_would_without() {
    let process = Process::new(vec![logged()]);
    let remote = caller(&process).await;
    let wanted = CertificateRequest { profile: Arc::new(logged()), ..request("ecdsa", &["a.example"]) };
    let serial = wanted.serial.clone();
    remote.ready(&name("ecdsa")).await.unwrap();
    let prepared = remote.prepare(wanted).await.unwrap();
    assert_eq!((prepared.kind(), prepared.serial()), (Kind::Precertificate, &serial));
    let tbs = prepared.tbs().to_vec();
    let again = remote.adopt(Arc::new(logged()), tbs.clone()).await.unwrap();
    assert_eq!(again.id(), prepared.id());
    let precertificate = remote.issue(prepared).await.unwrap();
    assert_eq!(transparency::tbs_of(&precertificate).unwrap(), tbs);
    let refused = remote.issue(again).await.unwrap_err();
    assert!(matches!(&refused, Error::Refused(why) if why.contains("never signed again")), "{refused}");
    let sct = |number| Sct {
        log: LogId([number; 32]),
        timestamp: now(),
        extensions: Vec::new(),
        algorithm: [4, 3],
        signature: vec![7; 70],
    };
    let scts = SctList::new(vec![sct(1), sct(2)]).unwrap();
    let issuer = name("ecdsa");
    let finish = FinalRequest { issuer, precertificate: tbs.clone(), scts: scts.clone() };
    let last = remote.finish(finish).await.unwrap();
    assert_eq!(last.kind(), Kind::Certificate);
    let certificate = remote.issue(last).await.unwrap();
    assert_eq!(transparency::scts_of(transparency::tbs_of(&certificate).unwrap()).unwrap(), scts);
    assert_eq!(process.dialled.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn the_certificates_of_responders_apart_come_through() {
    let process = Process::new(Vec::new());
    let pair = rcgen::KeyPair::generate().unwrap();
    let public = PublicKey::from_spki(&pair.subject_public_key_info()).unwrap();
    let tokyo = DelegateKey::new("tokyo".to_owned(), public).unwrap();
    process.signer.delegate_to(std::slice::from_ref(&tokyo)).unwrap();
    process.service.renew().await;
    let remote = caller(&process).await;
    let listed = remote.delegates_apart();
    assert_eq!(listed, process.signer.delegates_apart());
    assert!(listed.iter().all(|listed| tokyo.is_certified_by(&listed.certificate)));
    // All of them belong on record, beside the signer's own.
    let made = remote.renew().await.unwrap();
    assert_eq!((listed.len(), made.len()), (2, 3));
    assert!(listed.iter().all(|listed| made.contains(listed)));
    // What is taken out there is known here with the next look.
    process.signer.delegate_to(&[]).unwrap();
    remote.renew().await.unwrap();
    assert_eq!(remote.delegates_apart(), []);
}

#[tokio::test]
async fn what_is_in_force_is_told_whenever_a_caller_comes() {
    let process = Process::new(Vec::new());
    let key = |number: usize| {
        let public = rcgen::KeyPair::generate().unwrap().subject_public_key_info();
        DelegateKey::new(format!("r{number}"), PublicKey::from_spki(&public).unwrap()).unwrap()
    };
    let keys: Vec<DelegateKey> = (0..RESPONDERS_MAX).map(key).collect();
    process.signer.delegate_to(&keys).unwrap();
    process.service.renew().await;
    // One responder is given another key again and again, and nobody asks meanwhile.
    let rounds = 500;
    let mut listed = keys;
    for _ in 0..rounds {
        listed[0] = key(0);
        process.signer.delegate_to(&listed).unwrap();
        process.service.renew().await;
    }
    let remote = caller(&process).await;
    let made = remote.renew().await.unwrap();
    assert_eq!(made.len(), 1 + 2 * (RESPONDERS_MAX + rounds), "all that was signed belongs on record");
    let apart = remote.delegates_apart();
    assert_eq!(apart.len(), 2 * RESPONDERS_MAX);
    assert!(apart.iter().all(|apart| made.contains(apart)));
    // What was told and is in force no more goes at last; who comes later is told of the rest.
    process.service.renew().await;
    let later = caller(&process).await.renew().await.unwrap();
    assert!(later.len() < made.len(), "{}", later.len());
    assert!(apart.iter().all(|apart| later.contains(apart)));
    assert!(later.iter().any(|delegate| delegate.responder.is_none()));
}

#[tokio::test]
async fn answers_lists_and_delegates_come_through() {
    let process = Process::new(Vec::new());
    process.service.renew().await;
    let remote = caller(&process).await;
    let names: Vec<_> = remote.issuers().iter().map(|issuer| issuer.name.clone()).collect();
    assert_eq!(names, [name("ecdsa"), name("rsa")]);
    let [delegate] = remote.renew().await.unwrap().try_into().unwrap();
    assert_eq!(delegate.issuer, name("rsa"));
    assert_eq!(remote.renew().await.unwrap(), [], "each is given once");
    assert_eq!(remote.delegates_not_after(), [(name("rsa"), Some(delegate.not_after))]);
    assert_eq!(remote.ocsp_signer_not_after(&name("rsa")).unwrap(), delegate.not_after);
    let answer = OcspAnswer {
        responses: vec![SingleResponse {
            cert_id: vec![0x30, 0x00],
            status: CertStatus::Revoked { at: now(), reason: Reason::KeyCompromise },
            this_update: now(),
            next_update: now().plus(Duration::from_secs(3600)),
        }],
        produced_at: now(),
        nonce: Some(vec![4, 1, 9]),
    };
    let signed = remote.sign_ocsp(&name("rsa"), answer).await.unwrap();
    assert!(signed.windows(delegate.certificate.len()).any(|window| window == delegate.certificate));
    let serial = Serial::from_be_bytes(&[0x41; 18]).unwrap();
    let contents = CrlContents {
        number: 7,
        this_update: now(),
        next_update: now().plus(Duration::from_secs(3600)),
        scope: Scope::Unsharded,
        entries: vec![Entry { serial: serial.clone(), revoked_at: now(), reason: Reason::Superseded }],
    };
    let list = remote.sign_crl(&name("ecdsa"), contents).await.unwrap();
    assert!(list.windows(18).any(|window| window == serial.as_bytes()));
}

#[tokio::test]
async fn a_signer_that_is_away_is_told_from_one_that_refuses() {
    let process = Process::new(vec![profile("ecdsa")]);
    let remote = caller(&process).await;
    let prepared = remote.prepare(request("ecdsa", &["a.example"])).await.unwrap();
    process.leave();
    tokio::task::yield_now().await;
    assert!(matches!(remote.ready(&name("ecdsa")).await, Err(Error::Away(_))));
    assert!(matches!(remote.prepare(request("ecdsa", &["a.example"])).await, Err(Error::Away(_))));
    assert!(matches!(remote.issue(prepared).await, Err(Error::Away(_))), "nothing was sent");
    assert!(
        process.dialled.load(Ordering::SeqCst) <= 3,
        "those who wait behind one that waited in vain need not"
    );
    let late = RemoteSigner::connect(process.clone(), Duration::from_secs(1)).await;
    assert!(matches!(late.map(drop), Err(Error::Away(_))));

    process.is_away.store(false, Ordering::SeqCst);
    let remote = caller(&process).await;
    remote.ready(&name("ecdsa")).await.unwrap();
    let unknown = remote.ready(&name("none")).await;
    assert!(matches!(unknown, Err(Error::UnknownIssuer(issuer)) if issuer == name("none")));
}

#[tokio::test]
async fn the_signer_goes_by_its_own_profiles() {
    let process = Process::new(vec![profile("ecdsa")]);
    let remote = caller(&process).await;
    let longer = Profile { validity: Duration::from_secs(1_000_000), ..profile("ecdsa") };
    let unknown = Profile { name: "other".to_owned().try_into().unwrap(), ..profile("ecdsa") };
    for (theirs, complaint) in [(longer.clone(), "something else"), (unknown, "has no profile")] {
        let wanted = CertificateRequest { profile: Arc::new(theirs), ..request("ecdsa", &["a.example"]) };
        let refused = remote.prepare(wanted).await.unwrap_err().to_string();
        assert!(refused.contains(complaint) && refused.contains("reload both"), "{refused}");
    }
    process.service.replace_profiles([Arc::new(longer.clone())]);
    let wanted = CertificateRequest { profile: Arc::new(longer), ..request("ecdsa", &["a.example"]) };
    remote.prepare(wanted).await.unwrap();
}

#[tokio::test]
async fn bytes_that_were_not_prepared_are_not_signed() {
    let process = Process::new(vec![profile("ecdsa")]);
    let remote = caller(&process).await;
    // Of one serial number the bytes count that were prepared last.
    let other = remote.prepare(request("ecdsa", &["b.example"])).await.unwrap();
    let prepared = remote.prepare(request("ecdsa", &["a.example"])).await.unwrap();
    let told = serde_json::to_value(wire::PreparedMessage::from(prepared)).unwrap();
    let changes = [
        ("tbs", serde_json::to_value(ingam_protocol::Bytes::from(other.tbs())).unwrap()),
        ("tbs", "AAAA".into()),
        ("id", "AAAA".into()),
        ("issuer", "rsa".into()),
        ("is_precertificate", true.into()),
    ];
    for (key, value) in changes {
        let mut message = told.clone();
        message[key] = value;
        let reply = process.service.answer("/v1/issue", message.to_string().as_bytes()).await;
        assert_eq!(reply.status, 422, "{key}: {}", String::from_utf8_lossy(&reply.body));
    }
    let reply = process.service.answer("/v1/issue", told.to_string().as_bytes()).await;
    assert_eq!(reply.status, 200);
}

#[tokio::test]
async fn what_is_no_message_is_refused() {
    let process = Process::new(vec![profile("ecdsa")]);
    let paths = ["/v1/ready", "/v1/prepare", "/v1/adopt", "/v1/finish", "/v1/issue", "/v1/ocsp", "/v1/crl"];
    for path in paths {
        assert!(Operation::of_path(path).is_some(), "{path}");
        for body in ["", "{}", "[]", "{\"issuer\":7}", "\u{0}"] {
            assert_eq!(process.service.answer(path, body.as_bytes()).await.status, 422, "{path} {body}");
        }
    }
    assert_eq!(Operation::of_path("/v1/other"), None);
    assert_eq!(process.service.answer("/v1/other", b"{}").await.status, 422);
}
