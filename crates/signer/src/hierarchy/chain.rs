//! Chains: from an issuing CA's own certificate up to a root's. An issuing CA has one or more; the first is the usual one.

use std::path::Path;

use ingam_protocol::profile::IssuerName;

use super::manifest::{CHAIN_LENGTH_MAX, CHAINS_MAX};
use crate::Error;
use crate::ca::LoadedCertificate;
use crate::storage::broken;

/// A CA's certificate, and the file that it has in the state folder, as `authorities/old-root.pem`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaCertificate {
    /// Relative to the folder.
    pub file: String,
    /// All of it, DER.
    pub der: Vec<u8>,
}

/// Certificates from an issuing CA's own to a root's, each signed by the next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain(Vec<CaCertificate>);

impl Chain {
    /// Takes certificates that are not looked at yet: [`Chain::check`] does that.
    pub(super) fn new(certificates: Vec<CaCertificate>) -> Self {
        Self(certificates)
    }

    /// From an issuing CA directly to its root.
    pub(super) fn direct(
        issuer: &IssuerName,
        certificate: &[u8],
        root: &IssuerName,
        root_certificate: &[u8],
    ) -> Self {
        Self(vec![
            CaCertificate { file: format!("issuers/{issuer}.pem"), der: certificate.to_vec() },
            CaCertificate { file: format!("roots/{root}.pem"), der: root_certificate.to_vec() },
        ])
    }

    /// All certificates, the issuing CA's own first and the root's last.
    pub fn certificates(&self) -> &[CaCertificate] {
        &self.0
    }

    /// What goes with a leaf: DER of all but the root's.
    pub fn without_root(&self) -> Vec<Vec<u8>> {
        let all = self.0.split_last().map(|(_, below)| below).unwrap_or_default();
        all.iter().map(|certificate| certificate.der.clone()).collect()
    }

    /// DER of the root's certificate.
    pub fn root(&self) -> &[u8] {
        self.0.last().map(|root| root.der.as_slice()).unwrap_or_default()
    }

    /// Checks that each certificate is a CA's, signed by the next, with room for as many CAs below it as there are; and that
    /// the last signed itself. In the usual chain none may end after the one above it. `path_of` is for the words of an
    /// error.
    ///
    /// # Errors
    /// [`Error::Load`] names the file.
    pub(super) fn check(
        &self,
        is_usual: bool,
        path_of: &dyn Fn(&str) -> std::path::PathBuf,
    ) -> Result<(), Error> {
        let mut below: Option<(LoadedCertificate, &str)> = None;
        for (depth, certificate) in self.0.iter().enumerate() {
            let path = path_of(&certificate.file);
            let own = LoadedCertificate::read_ca(&certificate.der).map_err(|why| broken(&path, why))?;
            // Those between this one and the issuing CA, without the latter's leaves.
            let between = depth.saturating_sub(1);
            let has_room = depth == 0 || own.path_length.is_none_or(|room| room as usize >= between);
            if !has_room {
                return Err(broken(
                    &path,
                    "has a path length that leaves no room for the CAs below it in this chain",
                ));
            }
            if let Some((below, file)) = &below {
                let path_below = path_of(file);
                let failed = |why| {
                    let what = format!(
                        "{why}; the next in its chain is {}: take both from one backup or CA",
                        path.display()
                    );
                    broken(&path_below, what)
                };
                below.check_signed_by(&own).map_err(failed)?;
                if is_usual {
                    below.check_ends_within(&own).map_err(failed)?;
                }
            }
            below = Some((own, &certificate.file));
        }
        let Some((root, file)) = below else {
            return Err(Error::Load("a chain has no certificates".to_owned(), None));
        };
        root.check_signed_by(&root).map_err(|why| broken(&path_of(file), format!("this is no root: {why}")))
    }
}

/// All chains from a CA's certificate to any root, the shortest to the first root first. Other certificates of the same name
/// and key begin chains too. What does not fit anywhere is left out.
pub(super) fn build(own: &CaCertificate, pool: &[CaCertificate], roots: &[CaCertificate]) -> Vec<Chain> {
    let Ok(first) = LoadedCertificate::read_ca(&own.der) else { return Vec::new() };
    let read = |certificate: &CaCertificate| {
        LoadedCertificate::read_ca(&certificate.der).ok().map(|facts| (certificate.clone(), facts))
    };
    let known: Vec<(CaCertificate, LoadedCertificate)> = pool.iter().chain(roots).filter_map(read).collect();
    let mut starts = vec![own.clone()];
    let is_same =
        |facts: &LoadedCertificate| facts.subject == first.subject && facts.public_key == first.public_key;
    starts.extend(
        known
            .iter()
            .filter(|(other, facts)| other.der != own.der && is_same(facts))
            .map(|(other, _)| other.clone()),
    );
    let mut chains = Vec::new();
    for start in starts {
        climb(vec![start], &known, roots, &mut chains);
    }
    let rank = |chain: &Chain| {
        let root = roots.iter().position(|root| root.der == chain.root()).unwrap_or(usize::MAX);
        let is_own = chain.0.first().is_some_and(|first| first.der == own.der);
        (!is_own, root, chain.0.len())
    };
    chains.sort_by_key(rank);
    chains.truncate(CHAINS_MAX);
    chains
}

/// Goes on from the last certificate of a path, to each that signed it.
fn climb(
    path: Vec<CaCertificate>,
    known: &[(CaCertificate, LoadedCertificate)],
    roots: &[CaCertificate],
    chains: &mut Vec<Chain>,
) {
    let Some(Ok(last)) = path.last().map(|last| LoadedCertificate::read_ca(&last.der)) else { return };
    if path.len() >= CHAIN_LENGTH_MAX || chains.len() >= 4 * CHAINS_MAX {
        return;
    }
    for (above, facts) in known {
        let is_loop = path.iter().any(|below| {
            LoadedCertificate::read_ca(&below.der)
                .is_ok_and(|below| below.subject == facts.subject && below.public_key == facts.public_key)
        });
        if is_loop || last.check_signed_by(facts).is_err() {
            continue;
        }
        let longer: Vec<CaCertificate> = path.iter().cloned().chain([above.clone()]).collect();
        if roots.iter().any(|root| root.der == above.der) {
            chains.push(Chain::new(longer));
        } else {
            climb(longer, known, roots, chains);
        }
    }
}

/// For the words of errors about files in a folder.
pub(super) fn in_folder(folder: &Path) -> impl Fn(&str) -> std::path::PathBuf + '_ {
    |file| folder.join(file)
}
