//! Making a hierarchy anew: a root, its first CRL, and issuing CAs below it that name both.

use std::path::Path;
use std::time::Duration;

use ingam_protocol::bytes::hex;
use ingam_protocol::crl::{RevocationList, certificate_list};
use ingam_protocol::profile::IssuerName;
use ingam_protocol::time::random_array;
use ingam_protocol::{Clock, Findings, Random, Serial, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, CrlDistributionPoint, DistinguishedName, DnType, DnValue,
    ExtendedKeyUsagePurpose, IsCa, KeyIdMethod, KeyUsagePurpose, SerialNumber,
};

use super::{Chain, Hierarchy, ISSUERS_MAX, Intermediate, Root};
use crate::ca::{LoadedCertificate, check_urls};
use crate::encode::AccessUrls;
use crate::key::{Key, key_identifier};
use crate::lint::revocation_list::revocation_list;
use crate::{Error, IssuerUrls, KeyKind, PrivateKey, encode, is_country};

/// How long a root is valid.
const ROOT_VALIDITY: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);
/// How long the root's first CRL is valid: as long as one may be (BR 4.9.7).
const ROOT_CRL_VALIDITY: Duration = Duration::from_secs(365 * 24 * 60 * 60);
/// How long an issuing CA is valid.
const ISSUER_VALIDITY: Duration = Duration::from_secs(5 * 365 * 24 * 60 * 60);
/// How far the CAs' notBefore lies back: as far as a leaf's may, so that a CA is never younger than what it signed.
const BACKDATE: Duration = Duration::from_secs(48 * 60 * 60);
/// As long as an issuer's name may be, so that it fits into a common name with the random suffix.
const ISSUER_NAME_MAX: usize = 32;

/// The country of a hierarchy for which none was chosen (BR 3.2.2.3 has it for places without a code).
const NO_COUNTRY: &str = "XX";

/// What a hierarchy is to look like.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The countryName of all subjects: two upper-case letters that ISO 3166-1 assigns, or `XX` where nobody chose.
    pub country: String,
    /// The organizationName of all subjects, at most 64 characters.
    pub organization: String,
    /// The root's name inside the CA. Its key is on P-384.
    pub root: IssuerName,
    /// Whether it issues for the public web: its issuing CAs then carry the policy that its certificates claim.
    pub is_public: bool,
    /// Scheme, host and port where the root's CRL and certificate will be found: plain http (BR 7.1.2.11.2).
    pub publication: String,
    /// The issuing CAs, 1 to 16; names have at most 32 characters and differ from each other and from the root's.
    pub issuers: Vec<IssuerPlan>,
}

/// What an issuing CA is to look like.
#[derive(Clone, Debug)]
pub struct IssuerPlan {
    /// Its name inside the CA.
    pub name: IssuerName,
    /// What kind of key it gets.
    pub key: KeyKind,
}

impl Hierarchy {
    /// Makes keys and certificates. All subjects end with the same eight random characters, so that two hierarchies
    /// are never taken for each other. RSA keys take about a second each. Elliptic keys come from ring, which has its
    /// own source of randomness; all else comes from `random`.
    ///
    /// # Errors
    /// [`Error::Refused`] for a plan without issuers, with too many, with a name twice, or with a URL that is none of http; [`Error::Unavailable`] if a
    /// key could not be made.
    pub fn create(plan: &Plan, clock: &dyn Clock, random: &dyn Random) -> Result<Self, Error> {
        plan.check()
            .into_result()
            .map_err(|finding| Error::Refused(format!("this hierarchy cannot be made: {finding}")))?;
        let urls = IssuerUrls::below(&plan.publication, &plan.root);
        check_urls(&urls).map_err(Error::Refused)?;
        let not_before = clock.now().minus(BACKDATE).whole_second();
        let suffix = hex(&random_array::<4>(random));
        let key = PrivateKey::generate(KeyKind::EcdsaP384, random)?;
        let signing = Key::load(&key)?;
        let mut params = plan.ca_params(&format!("Root {suffix}"), &signing)?;
        set_validity(&mut params, not_before, ROOT_VALIDITY);
        params.serial_number = Some(serial_number(random));
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let root_certificate = params.self_signed(&signing).map_err(not_built)?.der().to_vec();
        let crl = first_crl(&signing, &root_certificate, clock.now().whole_second())?;
        let issuer = rcgen::Issuer::new(params, signing);
        let mut intermediates = Vec::with_capacity(plan.issuers.len());
        for wanted in &plan.issuers {
            let key = PrivateKey::generate(wanted.key, random)?;
            let loaded = Key::load(&key)?;
            let mut params = plan.ca_params(&format!("{} {suffix}", wanted.name), &loaded)?;
            set_validity(&mut params, not_before, ISSUER_VALIDITY);
            params.serial_number = Some(serial_number(random));
            restrict_to_leaves(&mut params, plan.is_public);
            point_to_root(&mut params, &urls);
            let certificate = params.signed_by(&loaded, &issuer).map_err(not_built)?.der().to_vec();
            let chains = vec![Chain::direct(&wanted.name, &certificate, &plan.root, &root_certificate)];
            let name = wanted.name.clone();
            intermediates.push(Intermediate { name, certificate, key: key.into(), chains });
        }
        let root =
            Root { name: plan.root.clone(), certificate: root_certificate, key: Some(key), crl: Some(crl) };
        let made = Self { root, more_roots: Vec::new(), intermediates };
        made.check_in(Path::new("the new hierarchy"))?;
        Ok(made)
    }
}

impl Plan {
    /// Looks at every part of the plan, by the names of its fields, before anything is made.
    pub fn check(&self) -> Findings {
        let mut found = Findings::new();
        found.require(
            is_country(&self.country) || self.country == NO_COUNTRY,
            "country",
            format!("is {:?}", self.country),
            "give two upper-case letters that ISO 3166-1 assigns to a country, as in \"KR\"",
        );
        let length = self.organization.chars().count();
        found.require(
            (1..=64).contains(&length),
            "organization",
            format!("has {length} characters"),
            "give 1 to 64 characters",
        );
        let count = self.issuers.len();
        found.require(
            (1..=ISSUERS_MAX).contains(&count),
            "issuers",
            format!("has {count} issuing CAs"),
            "give 1 to 16",
        );
        for issuer in &self.issuers {
            let name = issuer.name.as_str();
            let same = self.issuers.iter().filter(|other| other.name == issuer.name).count();
            found.require(
                name.len() <= ISSUER_NAME_MAX,
                format!("issuers.{name}"),
                "has a name of more than 32 characters, which leaves no room in its subject",
                "choose a shorter one",
            );
            found.require(
                same == 1 && issuer.name != self.root,
                format!("issuers.{name}"),
                "has a name that is there twice",
                "give the root and each issuing CA a name of its own",
            );
        }
        found
    }

    /// What roots and issuing CAs have in common: how subjects begin, and key identifiers.
    fn ca_params(&self, subject: &str, key: &Key) -> Result<CertificateParams, Error> {
        let mut name = DistinguishedName::new();
        // X.520 has the country as PrintableString, and nothing else.
        let country = self.country.as_str().try_into().map_err(not_built)?;
        name.push(DnType::CountryName, DnValue::PrintableString(country));
        name.push(DnType::OrganizationName, self.organization.as_str());
        name.push(DnType::CommonName, common_name(&self.organization, subject));
        let mut params = CertificateParams::default();
        params.distinguished_name = name;
        params.use_authority_key_identifier_extension = true;
        params.key_identifier_method = KeyIdMethod::PreSpecified(key_identifier(key.public_key()).to_vec());
        Ok(params)
    }
}

fn not_built(error: rcgen::Error) -> Error {
    Error::Unavailable(format!("a CA certificate could not be made ({error})"))
}

/// The organization and what tells this CA from its siblings, within the 64 characters of a common name (RFC 5280,
/// appendix A.1); where both do not fit, the organization is cut.
fn common_name(organization: &str, subject: &str) -> String {
    let room = 63_usize.saturating_sub(subject.chars().count());
    let cut: String = organization.chars().take(room).collect();
    format!("{} {subject}", cut.trim_end())
}

fn set_validity(params: &mut CertificateParams, not_before: Timestamp, validity: Duration) {
    params.not_before = not_before.to_date_time();
    params.not_after = not_before.plus(validity.saturating_sub(Duration::from_secs(1))).to_date_time();
}

fn serial_number(random: &dyn Random) -> SerialNumber {
    SerialNumber::from_slice(Serial::new(random).as_bytes())
}

/// What an issuing CA may do: sign leaves, CRLs, and OCSP answers itself (RFC 6960, section 4.2.2.2), which is what
/// digitalSignature is for.
fn restrict_to_leaves(params: &mut CertificateParams, is_public: bool) {
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages =
        vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    if is_public {
        params.custom_extensions.push(encode::certificate_policies());
    }
}

/// Says where the root's CRL and certificate are.
fn point_to_root(params: &mut CertificateParams, urls: &IssuerUrls) {
    params.crl_distribution_points = vec![CrlDistributionPoint { uris: vec![urls.crl.clone()] }];
    let access = AccessUrls { ocsp: None, issuer: Some(&urls.issuer) };
    params.custom_extensions.push(encode::authority_information_access(access));
}

/// The root's CRL with nothing on it, as it is needed from the day on which an issuing CA names it.
fn first_crl(key: &Key, certificate: &[u8], now: Timestamp) -> Result<Vec<u8>, Error> {
    let root = LoadedCertificate::read_ca(certificate)
        .map_err(|why| Error::Unavailable(format!("the root {why}")))?;
    let list = RevocationList {
        signature_algorithm: key.algorithm().identifier().to_vec(),
        issuer: root.subject,
        authority_key_id: root.key_identifier,
        distribution_point: None,
        number: 1,
        this_update: now,
        next_update: now.plus(ROOT_CRL_VALIDITY.saturating_sub(Duration::from_secs(1))),
        entries: Vec::new(),
    };
    let tbs = list.encode_tbs();
    let signature = key.sign_checked_blocking(key.public_key(), &tbs)?;
    let whole = certificate_list(tbs, key.algorithm().identifier(), &signature);
    revocation_list(&whole, &list)
        .map_err(|why| Error::Unavailable(format!("the root's CRL would not be as it must: {why}")))?;
    Ok(whole)
}
