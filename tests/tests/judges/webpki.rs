//! rustls-webpki, as a TLS client in Rust would ask it: what stands at the right moment, for the right name and purpose and by the right
//! lists, and falls as soon as one of these is wrong.

use std::fs;
use std::path::Path;
use std::time::Duration;

use ingam_tests::certificate::parse;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use webpki::{
    ALL_VERIFICATION_ALGS, CertRevocationList, EndEntityCert, Error, ExpirationPolicy, KeyUsage,
    OwnedCertRevocationList, RevocationOptionsBuilder, anchor_from_trusted_cert,
};
use x509_parser::prelude::FromDer;
use x509_parser::revocation_list::CertificateRevocationList;

use crate::Made;
use crate::world::{Leaf, List};

/// Everything that a verification goes by. Each case changes one thing of it.
#[derive(Clone)]
struct Case<'a> {
    leaf: &'a Leaf,
    /// The CAs between.
    between: Vec<CertificateDer<'static>>,
    root: CertificateDer<'static>,
    purpose: KeyUsage,
    /// Seconds since 1970.
    at: i64,
    /// DER. With none, revocation is not looked at; otherwise they have to speak for leaf and issuing CA, and must not be stale.
    lists: Vec<Vec<u8>>,
}

impl Case<'_> {
    fn verify(&self) -> Result<(), Error> {
        let der = CertificateDer::from(self.leaf.chain.leaf());
        let leaf = EndEntityCert::try_from(&der)?;
        let anchors = [anchor_from_trusted_cert(&self.root)?];
        let lists: Vec<CertRevocationList<'_>> = self
            .lists
            .iter()
            .map(|list| OwnedCertRevocationList::from_der(list).map(CertRevocationList::from))
            .collect::<Result<_, _>>()?;
        let lists: Vec<&CertRevocationList<'_>> = lists.iter().collect();
        let revocation = RevocationOptionsBuilder::new(&lists)
            .ok()
            .map(|options| options.with_expiration_policy(ExpirationPolicy::Enforce).build());
        let at = u64::try_from(self.at).expect("a moment after 1970");
        let at = UnixTime::since_unix_epoch(Duration::from_secs(at));
        let purpose = self.purpose;
        leaf.verify_for_usage(ALL_VERIFICATION_ALGS, &anchors, &self.between, at, purpose, revocation, None)?;
        for name in &self.leaf.names {
            leaf.verify_is_valid_for_subject_name(&server_name(&name.replace('*', "covered")))?;
        }
        Ok(())
    }

    #[track_caller]
    fn stands(&self) {
        let profile = &self.leaf.profile;
        self.verify().unwrap_or_else(|error| panic!("{profile}: {error:?}"));
    }

    /// Fails the test unless it is refused for this reason.
    #[track_caller]
    fn falls(&self, what: &str, reason: fn(&Error) -> bool) {
        let refused = self.verify().expect_err(what);
        assert!(reason(&refused), "{what}, {}: {refused:?}", self.leaf.profile);
    }
}

fn server_name(name: &str) -> ServerName<'_> {
    ServerName::try_from(name).expect("a name of a server")
}

/// All of it, below this root.
pub(crate) fn judge(root: &Path, made: &Made) {
    let root = CertificateDer::from_pem_file(root).expect("the root");
    let root_list = fs::read(&made.root_list).expect("a list");
    let case_of = |leaf| case_of(leaf, made, &root, &root_list);
    for leaf in &made.leaves {
        let is_other = |other: &&Leaf| other.chain.issuer() != leaf.chain.issuer();
        let other = made.leaves.iter().find(is_other).expect("several issuing CAs").chain.issuer();
        judge_leaf(&case_of(leaf), CertificateDer::from(other.to_vec()));
        judge_lists(&case_of(leaf), made, &root_list);
    }
    for (leaf, _) in &made.revoked {
        let case = case_of(leaf);
        case.falls("what is revoked", |error| matches!(error, Error::CertRevoked));
        let before = list_of(leaf, &made.empty_lists);
        Case { lists: vec![before.der.clone(), root_list.clone()], ..case }.stands();
    }
    let leaf = &made.leaves[0];
    let case = case_of(leaf);
    let with = fs::read(&made.root_list_with).expect("a list");
    let lists = vec![list_of(leaf, &made.lists).der.clone(), with];
    Case { lists, ..case }.falls("a revoked issuing CA", |error| matches!(error, Error::CertRevoked));
}

/// What stands: a leaf when its list has just been made, with that and the root's.
fn case_of<'a>(leaf: &'a Leaf, made: &Made, root: &CertificateDer<'static>, root_list: &[u8]) -> Case<'a> {
    let list = &list_of(leaf, &made.lists).der;
    Case {
        leaf,
        between: vec![CertificateDer::from(leaf.chain.issuer().to_vec())],
        root: root.clone(),
        purpose: KeyUsage::server_auth(),
        at: updates(list).0,
        lists: vec![list.clone(), root_list.to_vec()],
    }
}

/// Moments, names, purposes and chains.
fn judge_leaf(good: &Case<'_>, other: CertificateDer<'static>) {
    good.stands();
    let (leaf, lists) = (good.leaf, Vec::new());
    let validity = parse(leaf.chain.leaf()).validity().clone();
    let (first, last) = (validity.not_before.timestamp(), validity.not_after.timestamp());
    let timeless = Case { lists, ..good.clone() };
    Case { at: first, ..timeless.clone() }.stands();
    Case { at: last, ..timeless.clone() }.stands();
    let late = Case { at: last + 1, ..timeless.clone() };
    late.falls("a second too late", |error| matches!(error, Error::CertExpired { .. }));
    let early = Case { at: first - 1, ..timeless };
    early.falls("a second too early", |error| matches!(error, Error::CertNotValidYet { .. }));
    let client = Case { purpose: KeyUsage::client_auth(), ..good.clone() };
    client.falls("a client", |error| matches!(error, Error::RequiredEkuNotFoundContext(_)));
    let alone = Case { between: Vec::new(), ..good.clone() };
    alone.falls("no CA between", |error| matches!(error, Error::UnknownIssuer));
    let other = Case { between: vec![other], ..good.clone() };
    other.falls("another issuing CA", |error| matches!(error, Error::UnknownIssuer));

    let der = CertificateDer::from(leaf.chain.leaf());
    let certificate = EndEntityCert::try_from(&der).expect("a certificate");
    let first = &leaf.names[0];
    let deeper = format!("a.b.{first}");
    for wrong in ["example.org", "wrong.example.org", &deeper, "127.0.0.1"] {
        let refused = certificate.verify_is_valid_for_subject_name(&server_name(wrong));
        assert!(matches!(refused, Err(Error::CertNotValidForName(_))), "{wrong}: {refused:?}");
    }
}

/// Lists that do not speak for the leaf, or no more.
fn judge_lists(good: &Case<'_>, made: &Made, root_list: &[u8]) {
    let own = list_of(good.leaf, &made.lists);
    let with = |list: &List| Case { lists: vec![list.der.clone(), root_list.to_vec()], ..good.clone() };
    let unknown: fn(&Error) -> bool = |error| matches!(error, Error::UnknownRevocationStatus);
    let mut others = 0;
    for other in made.lists.iter().filter(|list| list.url != own.url) {
        with(other).falls("a list that the certificate does not point to", unknown);
        others += usize::from(other.issuer == own.issuer);
    }
    assert!(others > 0, "its issuer has another list");
    let alone = Case { lists: vec![own.der.clone()], ..good.clone() };
    alone.falls("no list of the root", unknown);
    let (_, last) = updates(&own.der);
    // What lives shorter than a list sees none go stale.
    if parse(good.leaf.chain.leaf()).validity().not_after.timestamp() > last {
        let at = |at| Case { at, ..good.clone() };
        at(last - 1).stands();
        at(last + 1).falls("a stale list", |error| matches!(error, Error::CrlExpired { .. }));
    }
}

/// The list that a leaf points to.
fn list_of<'a>(leaf: &Leaf, lists: &'a [List]) -> &'a List {
    let url = leaf.chain.crl_url();
    lists.iter().find(|list| list.url == url).expect("its list is served")
}

/// thisUpdate and nextUpdate, in seconds since 1970.
fn updates(list: &[u8]) -> (i64, i64) {
    let (_, list) = CertificateRevocationList::from_der(list).expect("a CRL");
    (list.last_update().timestamp(), list.next_update().expect("nextUpdate").timestamp())
}
