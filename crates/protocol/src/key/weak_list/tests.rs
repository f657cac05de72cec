use super::*;
use crate::bytes::hex;

fn ecdsa() -> PublicKey {
    let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    PublicKey::from_spki(&rcgen::PublicKeyData::subject_public_key_info(&pair)).unwrap()
}

/// The example of RFC 7638, section 3.1.
fn rsa() -> PublicKey {
    const N: &str = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw";
    let jwk = serde_json::json!({ "kty": "RSA", "e": "AQAB", "n": N });
    PublicKey::from_jwk(jwk.as_object().unwrap()).unwrap()
}

fn read(list: impl AsRef<[u8]>) -> Result<WeakKeys, BadList> {
    WeakKeys::read([((), list.as_ref().to_vec())]).map_err(|((), bad)| bad)
}

fn flaw(list: impl AsRef<[u8]>, key: &PublicKey) -> Option<KeyFlaw> {
    read(list).unwrap().check(key).err().map(|bad| bad.flaw())
}

/// The entry is what `openssl rsa -noout -modulus | sha1sum` says of this modulus, without its first 20 digits.
#[test]
fn an_entry_of_openssl_blacklist_is_found() {
    let list = "# RSA-2048\n00000000000000000000\nd83f6debdf5762444bd1\n".to_owned();
    assert_eq!(flaw(&list, &rsa()), Some(KeyFlaw::DebianWeak));
    assert_eq!(flaw(list.to_uppercase(), &rsa()), Some(KeyFlaw::DebianWeak));
    assert_eq!(flaw(list, &ecdsa()), None);
}

#[test]
fn a_sha_256_is_of_the_whole_key_or_of_its_number() {
    for key in [rsa(), ecdsa()] {
        let number = match &key.0 {
            Kind::Rsa { modulus, .. } => modulus.clone(),
            Kind::Ec { x, .. } => crate::key::without_zeros(x).to_vec(),
            Kind::Ed25519 { .. } | Kind::MlDsa { .. } => unreachable!(),
        };
        let (of_key, of_number) = (hex(&key.spki_hash()), hex(&sha256(&number)));
        assert_eq!(flaw(format!("{of_key}\n"), &key), Some(KeyFlaw::Listed));
        assert_eq!(flaw(format!("# numbers\r\n\r\n{of_number}"), &key), Some(KeyFlaw::Listed));
        assert_eq!(flaw(hex(&[7; 32]), &key), None);
        // As badkeys keeps it, among others.
        let mut entries = vec![[0x01; 16], [0xfe; 16]];
        let mut entry = [3; 16];
        entry[..15].copy_from_slice(&sha256(&number)[..15]);
        entries.push(entry);
        entries.sort_unstable();
        assert_eq!(flaw(entries.concat(), &key), Some(KeyFlaw::Listed));
    }
}

#[test]
fn what_is_no_list_is_refused_with_its_line() {
    assert_eq!(read("# a comment\n\n00112233445566778899\nnot hexadecimal\n"), Err(BadList::Line(4)));
    assert_eq!(read("0011223344556677889900112233445566778899\n"), Err(BadList::Line(1)));
    assert_eq!(read("00:11:22\n"), Err(BadList::Line(1)));
    assert_eq!(read("# nothing\n"), Err(BadList::Empty));
    assert_eq!(read(""), Err(BadList::Empty));
    assert_eq!(read([0xff; 17]), Err(BadList::NoText));
    assert_eq!(read([[0xff; 16], [0xfe; 16]].concat()), Err(BadList::NoText));
    let named = WeakKeys::read([("good", b"00112233445566778899".to_vec()), ("bad", b"x".to_vec())]);
    assert_eq!(named, Err(("bad", BadList::Line(1))));
}

proptest::proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(list: Vec<u8>) {
        if let Ok(keys) = read(&list) {
            assert!(!keys.is_empty() && keys.len() <= list.len());
        }
    }
}

#[test]
fn no_list_refuses_nothing() {
    let none = WeakKeys::read(Vec::<((), Vec<u8>)>::new()).unwrap();
    assert!(none.is_empty());
    assert_eq!(none.check(&rsa()), Ok(()));
}
