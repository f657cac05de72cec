//! The client of transparency logs against logs over HTTP: what sockets can do beyond what `ingam_transparency`'s own tests have.

use ingam_protocol::transparency::{tbs_of, with_scts};
use ingam_transparency::local_log::{Manner, Mood};
use ingam_transparency::{Config, Error, Submission, Transparency, TransparencyService};
use rcgen::{BasicConstraints, CertificateParams, CustomExtension, IsCa, Issuer, KeyPair};

use super::*;
use crate::serve::Sources;

/// Logs that listen, what asks them, and what is submitted to them.
struct World {
    logs: Arc<LocalLogs>,
    service: Arc<TransparencyService>,
    submission: Submission,
    precertificate: Vec<u8>,
    _shutdown: watch::Sender<bool>,
}

async fn world(config: Config) -> World {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let root = params.self_signed(&key).unwrap().der().to_vec();
    let issuer = Issuer::new(params, key);
    let mut params = CertificateParams::new(vec!["a.example".to_owned()]).unwrap();
    let Sources { clock, random } = Sources::of_the_system();
    let now = clock.now();
    params.not_before = now.to_date_time();
    params.not_after = now.plus(Duration::from_secs(90 * 86_400)).to_date_time();
    let mut poison = CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 11129, 2, 4, 3], vec![5, 0]);
    poison.set_criticality(true);
    params.custom_extensions = vec![poison];
    let precertificate = params.signed_by(&KeyPair::generate().unwrap(), &issuer).unwrap().der().to_vec();
    let submission = Submission::new(precertificate.clone(), vec![root.clone()]).unwrap();

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let logs = Arc::new(LocalLogs::three(&url, &[root], &clock).unwrap());
    let (shutdown, stopping) = watch::channel(false);
    tokio::spawn(run(logs.clone(), vec![listener], stopping));
    let service = TransparencyService::with_list(config, logs.list().unwrap(), clock, random).unwrap();
    World { logs, service, submission, precertificate, _shutdown: shutdown }
}

#[tokio::test]
async fn scts_come_over_http() {
    let world = world(Config::default()).await;
    let scts = world.service.scts(&world.submission).await.unwrap();
    assert_eq!(scts.scts().len(), 2);
    assert!(with_scts(tbs_of(&world.precertificate).unwrap(), &scts).is_ok());
}

#[tokio::test]
async fn what_is_no_sct_is_told_as_what_it_is() {
    let world = world(Config { log_timeout_ms: 1000, ..Config::default() }).await;
    for log in world.logs.logs().iter().filter(|log| log.settings().name != "b") {
        log.set_manner(Mood::Refuses.into());
    }
    let late = Manner { mood: Mood::Good, delay_ms: 60_000 };
    for (manner, words) in [
        (Mood::Fails.into(), "answers 500: the log is broken"),
        (Mood::Redirects.into(), "answers 302"),
        (Mood::Closes.into(), "cannot be reached"),
        (Mood::Garbage.into(), "is not the JSON of an SCT"),
        (Mood::Huge.into(), "has more than 16384 bytes"),
        (Mood::WrongSignature.into(), "the signature is not one of this log"),
        (late, "does not answer in time"),
    ] {
        world.logs.log("b").unwrap().set_manner(manner);
        let error = world.service.scts(&world.submission).await.unwrap_err();
        assert!(matches!(error, Error::TooFew { given: 0, .. }), "{error}");
        assert!(error.to_string().contains(words), "{error}");
    }
}

#[tokio::test]
async fn nobody_at_the_address_is_told() {
    let world = world(Config::default()).await;
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let mut list = world.logs.list().unwrap();
    list.logs.iter_mut().for_each(|log| log.url = format!("http://{free}/{}", log.description));
    world.service.replace_list(list);
    let error = world.service.scts(&world.submission).await.unwrap_err().to_string();
    assert!(error.contains("cannot be reached") && !error.contains(&free.port().to_string()), "{error}");
}
