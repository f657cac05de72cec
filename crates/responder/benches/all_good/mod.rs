//! A CA in which every serial number was issued and is good, for measurements.

#![allow(
    clippy::unwrap_used,
    dead_code,
    reason = "a benchmark that cannot start has nothing better to do; each uses a part"
)]

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use ingam_protocol::ocsp::{
    self, AskedIssuer, CertStatus, HashAlgorithm, ResponseData, encode_cert_id, encode_request,
};
use ingam_protocol::profile::{IssuerName, Profile};
use ingam_protocol::proxy::Front;
use ingam_protocol::time::FixedClock;
use ingam_protocol::{Serial, Shard, Timestamp, crl};
use ingam_responder::{
    Config, IssuedPage, Places, Responder, ShardsInUse, SigningEvent, Status, StatusChange, StatusError,
    Statuses, Wire, WireLimits, WireSetup,
};
use ingam_signer::{
    CertificateRequest, CrlContents, DelegateCertificate, Error, FinalRequest, Issuer, IssuerUrls, KeyKind,
    OcspAnswer, Prepared, Signer,
};
use ring::rand::SystemRandom;
use ring::signature::EcdsaKeyPair;
use tokio::sync::{broadcast, mpsc};

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

/// Signs with this key; without one it pretends to, and what is measured is everything else.
struct OneKey([Issuer; 1], Option<(EcdsaKeyPair, SystemRandom)>);

#[async_trait]
impl Signer for OneKey {
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

    fn signs_at_once(&self, _: &IssuerName) -> bool {
        true
    }

    async fn sign_ocsp(&self, _: &IssuerName, answer: OcspAnswer) -> Result<Vec<u8>, Error> {
        let OcspAnswer { responses, produced_at, nonce } = answer;
        let tbs = ResponseData { responder_key_hash: [7; 20], produced_at, responses, nonce }.encode();
        let algorithm = [0x30, 0x0a, 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2];
        Ok(match &self.1 {
            None => ocsp::successful(&tbs, &algorithm, &[9; 71], None),
            Some((key, random)) => {
                let signature =
                    key.sign(random, &tbs).map_err(|_| Error::Refused("no signature".to_owned()))?;
                ocsp::successful(&tbs, &algorithm, signature.as_ref(), None)
            }
        })
    }

    async fn sign_crl(&self, _: &IssuerName, _: CrlContents) -> Result<Vec<u8>, Error> {
        Err(Error::Refused("not here".to_owned()))
    }
}

/// The threads of the real server, which take as many connections as anybody opens here.
pub(crate) fn serve(responder: &Responder, sockets: Vec<Vec<TcpListener>>) -> Wire {
    let limits = WireLimits { idle: Duration::from_secs(60), header: Duration::from_secs(10) };
    let setup = WireSetup {
        places: Places::new("publication", 20_000),
        limits: Arc::new(move || limits),
        front: Front::default(),
        handed: mpsc::channel(1).0,
    };
    Wire::start(responder, sockets, &setup).unwrap()
}

/// DER of a request for one of the certificates, with a nonce or without.
pub(crate) fn request(number: u32, nonce: Option<&[u8]>) -> Vec<u8> {
    request_for(&Serial::from_be_bytes(&[&[0x40; 14][..], &number.to_be_bytes()].concat()).unwrap(), nonce)
}

/// The same for a serial number.
pub(crate) fn request_for(serial: &Serial, nonce: Option<&[u8]>) -> Vec<u8> {
    let issuer = AskedIssuer { subject: b"issuer", public_key: b"issuer" };
    encode_request(&encode_cert_id(HashAlgorithm::Sha1, issuer, serial), nonce)
}

/// The CA's one issuer.
pub(crate) fn issuer(not_after: Timestamp) -> Issuer {
    Issuer {
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
        not_after,
    }
}

/// The responder of such a CA; it signs with this key, if one is given.
pub(crate) fn responder(config: &Config, key: Option<(EcdsaKeyPair, SystemRandom)>) -> Responder {
    let issuer = issuer(start().plus(Duration::from_secs(1000 * 86_400)));
    let clock = Arc::new(FixedClock::new(start()));
    // No CRL is made.
    let folder = std::path::Path::new("crls");
    Responder::new(config, folder, Arc::new(AllGood), Arc::new(OneKey([issuer], key)), clock).unwrap()
}
