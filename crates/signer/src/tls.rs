//! TLS of a development server's own endpoints: a CA made for one certificate, and thrown away.
//!
//! It has nothing to do with the hierarchy: trusting it means to trust this server alone. The CA's key is never
//! written and is gone once the one certificate is signed. A new certificate therefore comes with a new CA.
//!
//! In a folder:
//! - `tls-ca.pem`: the CA's certificate, for clients to trust;
//! - `tls-server.pem`: key, certificate and CA certificate (mode 0600). This one is the truth; `tls-ca.pem` is a copy.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;
use std::time::Duration;

use ingam_protocol::bytes::hex;
use ingam_protocol::time::random_array;
use ingam_protocol::{Clock, Random, Serial, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyIdMethod, KeyUsagePurpose, SanType, SerialNumber,
};

use crate::ca::LoadedCertificate;
use crate::key::{Key, key_identifier};
use crate::storage::{self, Secrecy, broken};
use crate::{Error, KeyKind, PrivateKey};

/// Some systems take no server certificate that is valid for longer than 398 days, whoever signed it.
const VALIDITY: Duration = Duration::from_secs(365 * 24 * 60 * 60);
/// How far notBefore lies back, for clients whose clocks are late.
const BACKDATE: Duration = Duration::from_secs(24 * 60 * 60);
/// A certificate with less than this left is replaced at the next start.
const RENEW_BEFORE: Duration = Duration::from_secs(30 * 24 * 60 * 60);

const CA_FILE: &str = "tls-ca.pem";
const SERVER_FILE: &str = "tls-server.pem";

/// A server certificate for `localhost`, 127.0.0.1 and ::1, and the CA that vouches for it.
#[derive(Clone, Debug)]
pub struct DevTls {
    /// The server's key.
    pub key: PrivateKey,
    /// The server's certificate, DER. Servers send it alone: the CA's is what clients have.
    pub certificate: Vec<u8>,
    /// The CA's certificate, DER.
    pub ca_certificate: Vec<u8>,
    /// The last second of both.
    pub not_after: Timestamp,
}

impl DevTls {
    /// Makes a CA, a key, and a certificate that is valid for a year.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if a key could not be made.
    pub fn create(clock: &dyn Clock, random: &dyn Random) -> Result<Self, Error> {
        let not_before = clock.now().minus(BACKDATE).whole_second();
        let not_after = not_before.plus(VALIDITY.saturating_sub(Duration::from_secs(1)));
        let failed =
            |error: rcgen::Error| Error::Unavailable(format!("no TLS certificate could be made ({error})"));
        let params = |key: &Key| {
            let mut params = CertificateParams::default();
            params.serial_number = Some(SerialNumber::from_slice(Serial::new(random).as_bytes()));
            params.not_before = not_before.to_date_time();
            params.not_after = not_after.to_date_time();
            params.distinguished_name = DistinguishedName::new();
            params.use_authority_key_identifier_extension = true;
            params.key_identifier_method =
                KeyIdMethod::PreSpecified(key_identifier(key.public_key()).to_vec());
            params
        };
        let ca_key = Key::load(&PrivateKey::generate(KeyKind::EcdsaP256, random)?)?;
        let mut ca = params(&ca_key);
        let name = format!("Ingam Development TLS {}", hex(&random_array::<4>(random)));
        ca.distinguished_name.push(DnType::CommonName, name);
        ca.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let ca_certificate = ca.self_signed(&ca_key).map_err(failed)?.der().to_vec();
        let issuer = rcgen::Issuer::new(ca, ca_key);

        let key = PrivateKey::generate(KeyKind::EcdsaP256, random)?;
        let loaded = Key::load(&key)?;
        let mut server = params(&loaded);
        server.distinguished_name.push(DnType::CommonName, "localhost");
        server.subject_alt_names = vec![
            SanType::DnsName("localhost".try_into().map_err(failed)?),
            SanType::IpAddress(IpAddr::V4(Ipv4Addr::LOCALHOST)),
            SanType::IpAddress(IpAddr::V6(Ipv6Addr::LOCALHOST)),
        ];
        server.is_ca = IsCa::ExplicitNoCa;
        server.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let certificate = server.signed_by(&loaded, &issuer).map_err(failed)?.der().to_vec();
        Ok(Self { key, certificate, ca_certificate, not_after })
    }

    /// Whether less than 30 days are left.
    pub fn is_due(&self, now: Timestamp) -> bool {
        self.not_after.since(now) < RENEW_BEFORE
    }

    /// Loads what a folder has, or makes it anew and saves it if there is nothing or less than 30 days are left.
    ///
    /// # Errors
    /// [`Error::Load`] names a file that is damaged, or could not be read or written.
    pub fn load_or_create(folder: &Path, clock: &dyn Clock, random: &dyn Random) -> Result<Self, Error> {
        if folder.join(SERVER_FILE).exists() {
            let loaded = Self::load(folder)?;
            if !loaded.is_due(clock.now()) {
                return Ok(loaded);
            }
        }
        let made = Self::create(clock, random)?;
        made.save(folder)?;
        Ok(made)
    }

    /// Writes both files into a folder, which is made if it is missing; what is there is replaced.
    ///
    /// # Errors
    /// [`Error::Load`] names the file that could not be written.
    pub fn save(&self, folder: &Path) -> Result<(), Error> {
        storage::make_folder(folder, Secrecy::Public)?;
        let key = storage::key_to_pem(&self.key)?;
        let ca = storage::certificate_to_pem(&self.ca_certificate)?;
        let all = zeroize::Zeroizing::new(
            [key.as_str(), &storage::certificate_to_pem(&self.certificate)?, &ca].concat(),
        );
        storage::write(folder, SERVER_FILE, all.as_bytes(), Secrecy::Secret)?;
        storage::write(folder, CA_FILE, ca.as_bytes(), Secrecy::Public)
    }

    /// Reads what a folder has, and writes `tls-ca.pem` again if it is missing or another.
    ///
    /// # Errors
    /// [`Error::Load`] names the file that is missing or damaged.
    pub fn load(folder: &Path) -> Result<Self, Error> {
        let path = folder.join(SERVER_FILE);
        let remedy = "remove it, and a new one is made at the next start";
        let text = storage::read(&path)?;
        let blocks = storage::split_pem(&text);
        let [key, certificate, ca] = blocks.as_slice() else {
            return Err(broken(&path, format!("must hold a key and two certificates; {remedy}")));
        };
        let key = storage::key_from_pem(&path, key)?;
        let certificate = storage::certificate_from_pem(&path, certificate)?;
        let ca_certificate = storage::certificate_from_pem(&path, ca)?;
        let not_after = check(&key, &certificate, &ca_certificate)
            .map_err(|why| broken(&path, format!("{why}; {remedy}")))?;
        let loaded = Self { key, certificate, ca_certificate, not_after };
        let ca = storage::certificate_to_pem(&loaded.ca_certificate)?;
        let copy_holds =
            storage::read(&folder.join(CA_FILE)).is_ok_and(|copy| copy.as_slice() == ca.as_bytes());
        if !copy_holds {
            storage::write(folder, CA_FILE, ca.as_bytes(), Secrecy::Public)?;
        }
        Ok(loaded)
    }
}

/// Checks that the three belong together, and gives the certificate's last second.
fn check(key: &PrivateKey, certificate: &[u8], ca_certificate: &[u8]) -> Result<Timestamp, String> {
    let ca = LoadedCertificate::read_ca(ca_certificate)?;
    let server = LoadedCertificate::read(certificate)?;
    server.check_issued_by(&ca)?;
    let key = Key::load(key).map_err(|error| error.to_string())?;
    if key.public_key() != server.public_key {
        return Err("the key does not belong to the certificate".to_owned());
    }
    Ok(server.not_after)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use ingam_protocol::time::{FixedClock, SeededRandom};

    use super::*;
    use crate::testing::now;

    #[test]
    fn it_stays_until_thirty_days_are_left() {
        let folder = tempfile::tempdir().unwrap();
        let (clock, random) = (FixedClock::new(now()), SeededRandom::new(1));
        let first = DevTls::load_or_create(folder.path(), &clock, &random).unwrap();
        clock.advance(Duration::from_secs(333 * 24 * 60 * 60));
        let second = DevTls::load_or_create(folder.path(), &clock, &random).unwrap();
        assert_eq!(
            (&first.certificate, &first.ca_certificate),
            (&second.certificate, &second.ca_certificate)
        );
        assert!(first.key == second.key && first.not_after == second.not_after);
        clock.advance(Duration::from_secs(2 * 24 * 60 * 60));
        let third = DevTls::load_or_create(folder.path(), &clock, &random).unwrap();
        assert_ne!(first.ca_certificate, third.ca_certificate);
        assert!(third.not_after > first.not_after);
    }

    #[test]
    fn the_copy_for_clients_is_mended() {
        let folder = tempfile::tempdir().unwrap();
        let made = DevTls::create(&FixedClock::new(now()), &SeededRandom::new(1)).unwrap();
        made.save(folder.path()).unwrap();
        let path = folder.path().join(CA_FILE);
        let good = fs::read(&path).unwrap();
        fs::write(&path, "something else").unwrap();
        DevTls::load(folder.path()).unwrap();
        assert_eq!(fs::read(&path).unwrap(), good);
    }

    #[test]
    fn what_does_not_fit_together_is_refused() {
        let clock = FixedClock::new(now());
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        for folder in [&one, &other] {
            DevTls::create(&clock, &SeededRandom::new(1)).unwrap().save(folder.path()).unwrap();
        }
        let path = one.path().join(SERVER_FILE);
        let (own, others) = (fs::read(&path).unwrap(), fs::read(other.path().join(SERVER_FILE)).unwrap());
        let (own, others) = (storage::split_pem(&own), storage::split_pem(&others));
        for bad in [
            [others[0], own[1], own[2]].concat(),
            [own[0], others[1], own[2]].concat(),
            [own[0], own[1], others[2]].concat(),
            [own[0], own[2], own[1]].concat(),
            [own[0], own[1]].concat(),
        ] {
            fs::write(&path, bad).unwrap();
            let text = DevTls::load(one.path()).unwrap_err().to_string();
            assert!(text.contains(SERVER_FILE) && text.contains("remove it"), "{text}");
        }
    }
}
