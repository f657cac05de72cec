//! Proves that what we write is what another implementation (x509-ocsp) writes, and that what we read is what it reads.
//! That ours refuses more than the other one is not a failure; that ours accepts more is.

use proptest::prelude::*;
use x509_cert::der::asn1::OctetString;
use x509_cert::der::{Decode, Encode};
use x509_cert::ext::Extension;
use x509_cert::serial_number::SerialNumber;
use x509_cert::spki::AlgorithmIdentifierOwned;

use super::*;
use crate::der::{Writer, tag};
use crate::serial::Serial;

/// DER of the AlgorithmIdentifier of ecdsa-with-SHA256.
const ECDSA_SHA256: &[u8] = &[0x30, 0x0a, 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2];
const SHA1: &str = "1.3.14.3.2.26";

fn moment() -> Timestamp {
    Timestamp::from_unix_s(1_795_255_200)
}

fn cert_id(serial: &[u8]) -> x509_ocsp::CertId {
    x509_ocsp::CertId {
        hash_algorithm: AlgorithmIdentifierOwned {
            oid: SHA1.parse().unwrap(),
            parameters: Some(x509_cert::der::Any::null()),
        },
        issuer_name_hash: OctetString::new([0x11; 20]).unwrap(),
        issuer_key_hash: OctetString::new([0x22; 20]).unwrap(),
        serial_number: SerialNumber::new(serial).unwrap(),
    }
}

fn single(serial: &[u8], status: CertStatus) -> SingleResponse {
    SingleResponse {
        cert_id: cert_id(serial).to_der().unwrap(),
        status,
        this_update: moment(),
        next_update: Timestamp::from_unix_s(moment().unix_s() + 604_799),
    }
}

fn data(responses: Vec<SingleResponse>, nonce: Option<Vec<u8>>) -> ResponseData {
    ResponseData { responder_key_hash: [0x33; 20], produced_at: moment(), responses, nonce }
}

/// A certificate made by rcgen, to be put into answers.
fn certificate() -> Vec<u8> {
    let key = rcgen::KeyPair::generate().unwrap();
    let parameters = rcgen::CertificateParams::new(vec!["responder.test".to_owned()]).unwrap();
    parameters.self_signed(&key).unwrap().der().to_vec()
}

#[test]
fn answers_are_byte_for_byte_those_of_another_encoder() {
    let revoked = |reason| CertStatus::Revoked { at: moment(), reason };
    let statuses = [
        CertStatus::Good,
        revoked(Reason::Unspecified),
        revoked(Reason::KeyCompromise),
        revoked(Reason::AffiliationChanged),
        revoked(Reason::Superseded),
        revoked(Reason::CessationOfOperation),
        revoked(Reason::PrivilegeWithdrawn),
    ];
    for status in statuses {
        for nonce in [None, Some(vec![7; 1]), Some(vec![7; 128])] {
            let ours = data(vec![single(&[1], status), single(&[0x80; 18], status)], nonce.clone()).encode();
            let theirs = x509_ocsp::ResponseData::from_der(&ours).unwrap();
            assert_eq!(theirs.to_der().unwrap(), ours);
            assert_eq!(theirs.produced_at.0.to_unix_duration().as_secs(), moment().unix_s());
            assert_eq!(theirs.nonce().map(|nonce| nonce.0.as_bytes().to_vec()), nonce);
            assert_eq!(theirs.responses.len(), 2);
            for (response, id) in theirs.responses.iter().zip([cert_id(&[1]), cert_id(&[0x80; 18])]) {
                assert_eq!(response.cert_id, id);
                let next_update = response.next_update.unwrap();
                assert_eq!(next_update.0.to_unix_duration().as_secs(), moment().unix_s() + 604_799);
                assert!(response.single_extensions.is_none());
                match (response.cert_status, status) {
                    (x509_ocsp::CertStatus::Good(_), CertStatus::Good) => {}
                    (x509_ocsp::CertStatus::Revoked(info), CertStatus::Revoked { reason, .. }) => {
                        let number = info.revocation_reason.map_or(0, |reason| reason as u8);
                        assert_eq!(number, reason.number());
                        assert_eq!(info.revocation_reason.is_none(), reason == Reason::Unspecified);
                    }
                    _ => panic!("another status than was written"),
                }
            }
        }
    }
}

#[test]
fn whole_answers_are_byte_for_byte_those_of_another_encoder() {
    let tbs = data(vec![single(&[5], CertStatus::Good)], None).encode();
    let certificate = certificate();
    for certificate in [None, Some(certificate.as_slice())] {
        let ours = successful(&tbs, ECDSA_SHA256, &[0x44; 71], certificate);
        let theirs = x509_ocsp::OcspResponse::from_der(&ours).unwrap();
        assert_eq!(theirs.to_der().unwrap(), ours);
        assert_eq!(theirs.response_status, x509_ocsp::OcspResponseStatus::Successful);
        let bytes = theirs.response_bytes.unwrap();
        let basic = x509_ocsp::BasicOcspResponse::from_der(bytes.response.as_bytes()).unwrap();
        assert_eq!(basic.to_der().unwrap(), bytes.response.as_bytes());
        assert_eq!(basic.tbs_response_data.to_der().unwrap(), tbs);
        assert_eq!(basic.signature.as_bytes(), Some(&[0x44; 71][..]));
        assert_eq!(basic.certs.map(|list| list[0].to_der().unwrap()), certificate.map(<[u8]>::to_vec));
    }
}

#[test]
fn answers_are_read_back_as_they_were_written() {
    let revoked = |reason| CertStatus::Revoked { at: moment(), reason };
    let certificate = certificate();
    for status in [CertStatus::Good, revoked(Reason::Unspecified), revoked(Reason::KeyCompromise)] {
        for (nonce, certificate) in [(None, None), (Some(vec![7; 16]), Some(certificate.as_slice()))] {
            let responses = vec![single(&[1], status), single(&[0x80; 18], status)];
            let tbs = data(responses.clone(), nonce).encode();
            let der = successful(&tbs, ECDSA_SHA256, &[0x44; 71], certificate);
            let Ok(Response::Answer(read)) = Response::read(&der) else { panic!("{der:02x?}") };
            assert_eq!((read.tbs, read.signature_algorithm), (tbs.as_slice(), ECDSA_SHA256));
            assert_eq!((read.signature, read.certificate), (&[0x44; 71][..], certificate));
            assert_eq!((read.responder_key_hash, read.produced_at), (&[0x33; 20][..], moment()));
            assert_eq!(read.responses, responses);
        }
    }
    for status in [ErrorStatus::MalformedRequest, ErrorStatus::TryLater, ErrorStatus::Unauthorized] {
        assert_eq!(Response::read(&status.encode()), Ok(Response::Error(status)));
    }
    assert!(Response::read(&[0x30, 3, 0x0a, 1, 4]).is_err(), "4 is no status");
}

#[test]
fn requests_are_written_as_another_encoder_writes_them() {
    let (subject, public_key) = (&[0x30, 0][..], &[4; 65][..]);
    let issuer = AskedIssuer { subject, public_key };
    for serial in [&[1][..], &[0x80; 18]] {
        let serial = Serial::from_be_bytes(serial).unwrap();
        for hash in [HashAlgorithm::Sha1, HashAlgorithm::Sha256, HashAlgorithm::Sha384] {
            let ours = encode_request(&encode_cert_id(hash, issuer, &serial), None);
            let theirs = x509_ocsp::OcspRequest::from_der(&ours).unwrap();
            assert_eq!(theirs.to_der().unwrap(), ours);
            let read = parse_request(&ours).unwrap();
            let [cert_id] = read.cert_ids.as_slice() else { panic!("{read:?}") };
            assert_eq!((cert_id.hash, cert_id.serial.as_ref()), (hash, Some(&serial)));
            assert_eq!(cert_id.issuer_name_hash.len(), cert_id.issuer_key_hash.len());
            let parameters = &theirs.tbs_request.request_list[0].req_cert.hash_algorithm.parameters;
            assert!(parameters.as_ref().is_some_and(x509_cert::der::Any::is_null));
        }
    }
}

#[test]
fn errors_are_five_bytes() {
    use x509_ocsp::OcspResponse;
    let pairs = [
        (ErrorStatus::MalformedRequest, OcspResponse::malformed_request()),
        (ErrorStatus::InternalError, OcspResponse::internal_error()),
        (ErrorStatus::TryLater, OcspResponse::try_later()),
        (ErrorStatus::SigRequired, OcspResponse::sig_required()),
        (ErrorStatus::Unauthorized, OcspResponse::unauthorized()),
    ];
    for (ours, theirs) in pairs {
        assert_eq!(ours.encode().to_vec(), theirs.to_der().unwrap());
    }
}

/// A request as x509-ocsp writes it.
fn request(serials: &[Vec<u8>], nonce: Option<&[u8]>) -> x509_ocsp::OcspRequest {
    let request_extensions = nonce.map(|nonce| {
        vec![Extension {
            extn_id: "1.3.6.1.5.5.7.48.1.2".parse().unwrap(),
            critical: false,
            extn_value: OctetString::new(OctetString::new(nonce).unwrap().to_der().unwrap()).unwrap(),
        }]
    });
    let request_list = serials
        .iter()
        .map(|serial| x509_ocsp::Request { req_cert: cert_id(serial), single_request_extensions: None })
        .collect();
    x509_ocsp::OcspRequest {
        tbs_request: x509_ocsp::TbsRequest {
            version: x509_ocsp::Version::V1,
            requestor_name: None,
            request_list,
            request_extensions,
        },
        optional_signature: None,
    }
}

/// Whether the other parser refuses an object identifier, perhaps only for what its own type cannot hold: a second arc
/// above 39 under the arc 2, or an arc above 32 bits.
fn is_too_narrow(error: x509_cert::der::Error) -> bool {
    matches!(error.kind(), x509_cert::der::ErrorKind::OidMalformed)
}

#[test]
fn repeated_questions_count_once() {
    let der = request(&[vec![1], vec![2], vec![1]], None).to_der().unwrap();
    let parsed = parse_request(&der).unwrap();
    let serials: Vec<_> = parsed.cert_ids.iter().map(|id| id.serial.clone().unwrap()).collect();
    assert_eq!(serials, [Serial::from_be_bytes(&[1]).unwrap(), Serial::from_be_bytes(&[2]).unwrap()]);
}

#[test]
fn length_is_bounded() {
    let der = vec![0x30; REQUEST_BYTES_MAX + 1];
    assert_eq!(parse_request(&der), Err(RequestError::TooLong));
    assert_ne!(parse_request(&der[1..]), Err(RequestError::TooLong));
}

proptest! {
    #[test]
    fn requests_of_another_encoder_are_read(
        serials in proptest::collection::btree_set(proptest::collection::vec(1_u8.., 1..=19), 1..5),
        nonce in proptest::option::of(proptest::collection::vec(any::<u8>(), 1..=128)),
    ) {
        let serials: Vec<_> = serials.into_iter().collect();
        let theirs = request(&serials, nonce.as_deref());
        let parsed = parse_request(&theirs.to_der().unwrap()).unwrap();
        prop_assert_eq!(&parsed.nonce, &nonce);
        prop_assert_eq!(parsed.cert_ids.len(), serials.len());
        let der = theirs.to_der().unwrap();
        let lone = (parsed.nonce.is_none() && serials.len() == 1).then(|| parsed.cert_ids[0].der.as_slice());
        prop_assert_eq!(lone_cert_id(&der), lone);
        for (ours, serial) in parsed.cert_ids.iter().zip(&serials) {
            prop_assert_eq!(ours.hash, HashAlgorithm::Sha1);
            prop_assert_eq!(ours.serial.clone(), Serial::from_be_bytes(serial));
            prop_assert_eq!(&ours.issuer_name_hash, &vec![0x11; 20]);
            prop_assert_eq!(&ours.issuer_key_hash, &vec![0x22; 20]);
            prop_assert_eq!(&ours.der, &cert_id(serial).to_der().unwrap());
        }
    }

    #[test]
    fn whatever_is_accepted_the_other_one_accepts_too(
        nonce in proptest::option::of(proptest::collection::vec(any::<u8>(), 1..=20)),
        changes in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..4),
        cut in proptest::option::of(any::<proptest::sample::Index>()),
    ) {
        let mut der = request(&[vec![1, 2], vec![3]], nonce.as_deref()).to_der().unwrap();
        for (place, value) in changes {
            let place = place.index(der.len());
            der[place] = value;
        }
        if let Some(cut) = cut {
            der.truncate(cut.index(der.len()));
        }
        if let Ok(parsed) = parse_request(&der) {
            if let Some(lone) = lone_cert_id(&der) {
                prop_assert_eq!(lone, &parsed.cert_ids[0].der);
                prop_assert!(parsed.cert_ids.len() == 1 && parsed.nonce.is_none());
            }
            match x509_ocsp::OcspRequest::from_der(&der) {
                Ok(theirs) => {
                    let first = theirs.tbs_request.request_list[0].req_cert.to_der().unwrap();
                    prop_assert_eq!(&first, &parsed.cert_ids[0].der);
                }
                Err(error) => prop_assert!(is_too_narrow(error), "{error:?} {der:02x?}"),
            }
            der.push(0);
            prop_assert!(parse_request(&der).is_err());
        }
    }

    #[test]
    fn damaged_answers_are_an_error_and_never_a_panic(at in any::<proptest::sample::Index>(), with in any::<u8>()) {
        let tbs = data(vec![single(&[5], CertStatus::Good)], None).encode();
        let mut der = successful(&tbs, ECDSA_SHA256, &[0x44; 71], None);
        let at = at.index(der.len());
        der[at] = with;
        let _ = Response::read(&der);
        der.truncate(at);
        prop_assert!(Response::read(&der).is_err());
    }

    #[test]
    fn random_bytes_do_no_harm(der in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = Response::read(&der);
        let _ = parse_request(&der);
    }

    #[test]
    fn random_bytes_in_the_right_place_do_no_harm(inside in proptest::collection::vec(any::<u8>(), 0..100)) {
        let mut writer = Writer::new();
        writer.wrap(tag::SEQUENCE, |request| request.wrap(tag::SEQUENCE, |tbs| tbs.raw(&inside)));
        let der = writer.finish();
        if parse_request(&der).is_ok() {
            let theirs = x509_ocsp::OcspRequest::from_der(&der);
            prop_assert!(theirs.err().is_none_or(is_too_narrow), "{der:02x?}");
        }
    }
}
