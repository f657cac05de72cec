//! openssl and GnuTLS: chains by their CRLs, the CRLs themselves, and OCSP answers with what was asked.

use std::path::Path;

use ingam_tests::judge::{
    certtool_verifies, certtool_verifies_crl, ocsptool_verifies, openssl, openssl_by_crls,
};
use ingam_tests::ocsp;

use crate::Made;
use crate::world::{Answered, Leaf};

/// All of it, below this root.
pub(crate) async fn judge(root: &Path, made: &Made) {
    for leaf in &made.leaves {
        chain_stands(leaf, root).await;
        assert_eq!(by_crls(leaf, made, root, &made.root_list).await, None, "{}", leaf.profile);
    }
    for (leaf, reason) in &made.revoked {
        let refusal = by_crls(leaf, made, root, &made.root_list).await.expect("it is revoked");
        assert!(refusal.contains("certificate revoked"), "{reason}: {refusal}");
    }
    for list in made.empty_lists.iter().chain(&made.lists) {
        list_stands(&list.file, &list.issuer).await;
    }
    let refusal = by_crls(&made.leaves[0], made, root, &made.root_list_with).await;
    assert!(refusal.expect("its issuing CA is revoked").contains("certificate revoked"));
    for list in [&made.root_list, &made.root_list_with] {
        list_stands(list, root).await;
    }
    for answer in &made.answers {
        answer_stands(answer, root).await;
    }
}

async fn chain_stands(leaf: &Leaf, root: &Path) {
    let folder = leaf.files.leaf.parent().expect("a file is in a folder");
    certtool_verifies(folder, &["leaf.pem", "issuer.pem", text(root)]).await;
    for name in &leaf.names {
        let host = name.replace('*', "covered");
        let judged = ["verify", "-x509_strict", "-purpose", "sslserver", "-verify_hostname", &host];
        let files = ["-CAfile", text(root), "-untrusted", "issuer.pem", "leaf.pem"];
        openssl(folder, &[&judged[..], &files].concat()).await;
    }
}

/// What openssl has against a leaf and its issuing CA by the lists that speak for them.
async fn by_crls(leaf: &Leaf, made: &Made, root: &Path, root_list: &Path) -> Option<String> {
    let url = leaf.chain.crl_url();
    let list = made.lists.iter().find(|list| list.url == url).expect("its list is served");
    openssl_by_crls(root, &leaf.files, &[&list.file, root_list]).await
}

async fn list_stands(list: &Path, issuer: &Path) {
    let folder = list.parent().expect("a file is in a folder");
    let words = ["crl", "-inform", "DER", "-noout", "-in", text(list), "-CAfile", text(issuer)];
    let finished = openssl(folder, &words).await;
    assert!(finished.said().contains("verify OK"), "{finished}");
    certtool_verifies_crl(list, issuer).await;
}

async fn answer_stands(answer: &Answered, root: &Path) {
    let Answered { request, response, issuer, .. } = answer;
    let folder = response.parent().expect("a file is in a folder");
    let words = ["ocsp", "-reqin", text(request), "-respin", text(response)];
    let trust = ["-CAfile", text(root), "-verify_other", text(issuer)];
    let finished = openssl(folder, &[&words[..], &trust].concat()).await;
    let said = finished.said();
    // A nonce that is missing or another one is told, but is no failure.
    assert!(said.contains("Response verify OK") && !said.contains("once"), "{finished}");
    ocsptool_verifies(response, issuer, !ocsp::certificates(&answer.body).is_empty()).await;
}

/// A delegate's key, by openssl's word: on P-256, as the signatures of its issuer's own key cost 13 to 30 times more.
pub(crate) async fn is_on_p256(certificate: &Path) {
    let folder = certificate.parent().expect("a file is in a folder");
    let finished =
        openssl(folder, &["x509", "-inform", "DER", "-noout", "-text", "-in", text(certificate)]).await;
    assert!(finished.text().contains("ASN1 OID: prime256v1"), "{finished}");
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}
