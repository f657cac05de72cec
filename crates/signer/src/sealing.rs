//! Private keys under a passphrase: the EncryptedPrivateKeyInfo of PKCS #8 (RFC 5958, section 3) by PBES2 (RFC 8018,
//! section 6.2), written with scrypt (RFC 7914) and AES-256-CBC, read also with PBKDF2, which is what openssl writes.

use ingam_protocol::Random;
use ingam_protocol::time::random_array;
use pkcs8::der::Encode as _;
use pkcs8::pkcs5::pbes2::{self, Kdf, ScryptParams};
use pkcs8::pkcs5::{self, EncryptionScheme};
use pkcs8::{EncryptedPrivateKeyInfo, PrivateKeyInfo};

use crate::{Error, Passphrase, PrivateKey};

/// What guessing a passphrase costs. Memory is 128 · n · r bytes, time goes with n · r · p.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cost {
    n: u64,
    r: u16,
    p: u16,
}

impl Cost {
    /// About half a second for each key. openssl gives scrypt no more than 32 MiB, and must be able to read the keys
    /// when this program is not at hand: so n stays at 2^14, with 16 MiB, and the time goes into p.
    pub(crate) const FULL: Self = Self { n: 1 << 14, r: 8, p: 16 };
    /// Next to nothing, for tests.
    #[cfg(test)]
    pub(crate) const NONE: Self = Self { n: 2, r: 1, p: 1 };
}

/// Bounds of what a file may ask for before its passphrase is tried: 1 GiB of memory, and some seconds.
const MEMORY_MAX: u64 = 1 << 30;
const WORK_MAX: u64 = 1 << 26;
const ITERATIONS_MAX: u32 = 20_000_000;

/// Why a key cannot be had.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The passphrase is another.
    Passphrase,
    /// It is encrypted in a way that is not read here; what was found.
    Form(String),
}

/// Encrypts a key, and gives DER of the EncryptedPrivateKeyInfo.
///
/// # Errors
/// [`Error::Unavailable`] if that is not possible, as when there is no memory for it.
pub(crate) fn seal(
    key: &PrivateKey,
    passphrase: &Passphrase,
    cost: Cost,
    random: &dyn Random,
) -> Result<Vec<u8>, Error> {
    let (salt, iv) = (random_array::<16>(random), random_array::<16>(random));
    let Cost { n, r, p } = cost;
    let kdf =
        ScryptParams { salt: &salt, cost_parameter: n, block_size: r, parallelization: p, key_length: None };
    let parameters = pbes2::Parameters {
        kdf: Kdf::Scrypt(kdf),
        encryption: pbes2::EncryptionScheme::Aes256Cbc { iv: &iv },
    };
    let failed =
        |what: &dyn std::fmt::Display| Error::Unavailable(format!("a key could not be encrypted ({what})"));
    let encrypted = parameters.encrypt(passphrase.bytes(), key.pkcs8()).map_err(|error| failed(&error))?;
    EncryptedPrivateKeyInfo { encryption_algorithm: parameters.into(), encrypted_data: &encrypted }
        .to_der()
        .map_err(|error| failed(&error))
}

/// Decrypts an EncryptedPrivateKeyInfo.
pub(crate) fn open(sealed: &[u8], passphrase: &Passphrase) -> Result<PrivateKey, Failure> {
    let info = EncryptedPrivateKeyInfo::try_from(sealed)
        .map_err(|error| Failure::Form(format!("it is no encrypted PKCS #8 key ({error})")))?;
    check_cost(&info)?;
    let opened = info.decrypt(passphrase.bytes()).map_err(|error| match error {
        pkcs8::Error::EncryptedPrivateKey(
            unreadable @ (pkcs5::Error::UnsupportedAlgorithm { .. }
            | pkcs5::Error::AlgorithmParametersInvalid { .. }
            | pkcs5::Error::NoPbes1CryptSupport),
        ) => Failure::Form(unreadable.to_string()),
        _ => Failure::Passphrase,
    })?;
    // A wrong passphrase can give a right padding by chance, and then nonsense.
    match PrivateKeyInfo::try_from(opened.as_bytes()) {
        Ok(_) => Ok(PrivateKey::from_pkcs8(opened.as_bytes().to_vec())),
        Err(_) => Err(Failure::Passphrase),
    }
}

/// A damaged file must not take all memory, or minutes, before anybody is told.
fn check_cost(info: &EncryptedPrivateKeyInfo<'_>) -> Result<(), Failure> {
    let EncryptionScheme::Pbes2(parameters) = &info.encryption_algorithm else {
        return Err(Failure::Form("it is encrypted by PBES1, which can be broken".to_owned()));
    };
    let bearable = match &parameters.kdf {
        Kdf::Pbkdf2(pbkdf2) => (1..=ITERATIONS_MAX).contains(&pbkdf2.iteration_count),
        Kdf::Scrypt(scrypt) => {
            let block = scrypt.cost_parameter.saturating_mul(u64::from(scrypt.block_size));
            let work = block.saturating_mul(u64::from(scrypt.parallelization));
            // One is below every cost that scrypt knows, and zero beyond what its library expects.
            scrypt.cost_parameter > 1 && work <= WORK_MAX && block.saturating_mul(128) <= MEMORY_MAX
        }
        _ => return Err(Failure::Form("its key derivation is neither scrypt nor PBKDF2".to_owned())),
    };
    if bearable {
        Ok(())
    } else {
        Err(Failure::Form(
            "its key derivation would take more memory or time than any that is in use".to_owned(),
        ))
    }
}

#[cfg(test)]
mod tests {
    use ingam_protocol::time::SeededRandom;

    use super::*;
    use crate::KeyKind;
    use crate::key::Key;

    fn passphrase(text: &str) -> Passphrase {
        Passphrase::new(text.as_bytes().to_vec()).unwrap()
    }

    #[test]
    fn every_kind_of_key_comes_back() {
        let random = SeededRandom::new(1);
        let keys = [
            PrivateKey::generate(KeyKind::EcdsaP256, &random).unwrap(),
            PrivateKey::generate(KeyKind::Rsa2048, &random).unwrap(),
            PrivateKey::generate(KeyKind::EcdsaP384, &random).unwrap(),
        ];
        for key in keys {
            let sealed = seal(&key, &passphrase("right"), Cost::NONE, &random).unwrap();
            assert!(!sealed.windows(16).any(|part| key.pkcs8().windows(16).any(|secret| secret == part)));
            let opened = open(&sealed, &passphrase("right")).unwrap();
            assert!(opened == key);
            Key::load(&opened).unwrap();
            assert_ne!(sealed, seal(&key, &passphrase("right"), Cost::NONE, &random).unwrap(), "salted");
        }
    }

    #[test]
    fn a_wrong_passphrase_is_told_from_a_wrong_file() {
        let random = SeededRandom::new(2);
        let key = PrivateKey::generate(KeyKind::EcdsaP256, &random).unwrap();
        let sealed = seal(&key, &passphrase("right"), Cost::NONE, &random).unwrap();
        // Some of these hit a right padding by chance.
        for number in 0..1000 {
            let wrong = passphrase(&format!("wrong {number}"));
            assert!(matches!(open(&sealed, &wrong), Err(Failure::Passphrase)), "{number}");
        }
        assert!(matches!(open(key.pkcs8(), &passphrase("right")), Err(Failure::Form(_))));
        assert!(matches!(open(&sealed[..sealed.len() - 1], &passphrase("right")), Err(Failure::Form(_))));
    }

    #[test]
    fn unbearable_costs_are_refused_before_they_are_paid() {
        let random = SeededRandom::new(3);
        let key = PrivateKey::generate(KeyKind::EcdsaP256, &random).unwrap();
        let (salt, iv) = ([1; 16], [2; 16]);
        let encrypted = seal(&key, &passphrase("right"), Cost::NONE, &random).unwrap();
        let scrypt = |n, r, p| {
            Kdf::Scrypt(ScryptParams {
                salt: &salt,
                cost_parameter: n,
                block_size: r,
                parallelization: p,
                key_length: None,
            })
        };
        let pbkdf2 = |iterations| {
            let mut params = pbes2::Pbkdf2Params::hmac_with_sha256(1, &salt).unwrap();
            params.iteration_count = iterations;
            Kdf::Pbkdf2(params)
        };
        for kdf in [
            scrypt(0, 8, 1),
            scrypt(1, 8, 1),
            scrypt(3, 8, 1),
            scrypt(1 << 24, 8, 1),
            scrypt(1 << 14, 8, u16::MAX),
            scrypt(u64::MAX, u16::MAX, u16::MAX),
            scrypt(2, 0, 1),
            pbkdf2(0),
            pbkdf2(u32::MAX),
        ] {
            let scheme = pbes2::EncryptionScheme::Aes256Cbc { iv: &iv };
            let algorithm = pbes2::Parameters { kdf: kdf.clone(), encryption: scheme }.into();
            let info =
                EncryptedPrivateKeyInfo { encryption_algorithm: algorithm, encrypted_data: &encrypted };
            let refused = open(&info.to_der().unwrap(), &passphrase("right"));
            assert!(matches!(refused, Err(Failure::Form(_))), "{kdf:?}: {refused:?}");
        }
    }
}
