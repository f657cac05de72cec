//! What other makers' programs say of certificates, CRLs and OCSP answers: openssl, and GnuTLS's certtool and ocsptool.

use std::path::{Path, PathBuf};

use tokio::process::Command;

use crate::certificate::Files;
use crate::command::{Finished, run};

const OPENSSL: &str = "Install openssl, on Debian with `apt-get install openssl`";
const GNUTLS: &str = "Install GnuTLS's programs, on Debian with `apt-get install gnutls-bin`";

/// openssl with these arguments, in this folder; it must succeed.
pub async fn openssl(folder: &Path, arguments: &[&str]) -> Finished {
    run(Command::new("openssl").args(arguments).current_dir(folder), OPENSSL).await.succeeded()
}

/// certtool accepts this chain, which ends with its root.
pub async fn certtool_verifies(folder: &Path, files: &[&str]) {
    let text: String = files
        .iter()
        .map(|file| std::fs::read_to_string(folder.join(file)).expect("a certificate in PEM"))
        .collect();
    let chain = folder.join("certtool-chain.pem");
    std::fs::write(&chain, text).expect("a writable folder");
    let mut command = Command::new("certtool");
    command.arg("--verify-chain").arg("--infile").arg(&chain);
    let finished = run(&mut command, GNUTLS).await.succeeded();
    assert!(finished.said().contains("Verified"), "{finished}");
}

/// certtool takes this CRL (DER) for one of this issuer (PEM).
pub async fn certtool_verifies_crl(crl: &Path, issuer: &Path) {
    let mut command = Command::new("certtool");
    command.args(["--verify-crl", "--infile"]).arg(pem_of_crl(crl).await);
    command.arg("--load-ca-certificate").arg(issuer);
    let finished = run(&mut command, GNUTLS).await.succeeded();
    assert!(finished.said().contains("Verified. The certificate is trusted."), "{finished}");
}

/// certtool reads no CRL in DER while its trusted certificates are in PEM.
async fn pem_of_crl(crl: &Path) -> PathBuf {
    let pem = crl.with_extension("crl.pem");
    let mut command = Command::new("openssl");
    command.args(["crl", "-inform", "DER", "-in"]).arg(crl).arg("-out").arg(&pem);
    run(&mut command, OPENSSL).await.succeeded();
    pem
}

/// ocsptool takes this OCSP answer for one of this issuer (PEM), or for one of a delegate whose certificate came with it.
pub async fn ocsptool_verifies(response: &Path, issuer: &Path, is_delegated: bool) {
    let mut command = Command::new("ocsptool");
    command.args(["--verify-response", "--load-response"]).arg(response);
    // It finds the issuer among those it trusts by subjectKeyIdentifier alone, and the answer has the hash of the key.
    command.arg(if is_delegated { "--load-trust" } else { "--load-signer" }).arg(issuer);
    let finished = run(&mut command, GNUTLS).await.succeeded();
    assert!(finished.said().contains("Verifying OCSP Response: Success."), "{finished}");
}

/// What ocsptool is told of a leaf (PEM) of this issuer (PEM), which signs for itself, at this URL, where it asks by POST.
pub async fn ocsptool_asks(url: &str, leaf: &Path, issuer: &Path) -> String {
    let mut command = Command::new("ocsptool");
    command.arg(format!("--ask={url}")).arg("--load-cert").arg(leaf).arg("--load-issuer").arg(issuer);
    command.arg("--load-signer").arg(issuer);
    let said = run(&mut command, GNUTLS).await.said();
    assert!(said.contains("Verifying OCSP Response: Success."), "{said}");
    said
}

/// What openssl has against a leaf or its issuing CA, where these CRLs (DER) have to speak for each; `None`: nothing.
pub async fn openssl_by_crls(root: &Path, files: &Files, crls: &[&Path]) -> Option<String> {
    let mut command = Command::new("openssl");
    command.args(["verify", "-x509_strict", "-crl_check_all", "-purpose", "sslserver", "-CAfile"]).arg(root);
    command.arg("-untrusted").arg(&files.issuer);
    for crl in crls {
        command.arg("-CRLfile").arg(crl);
    }
    let finished = run(command.arg(&files.leaf), OPENSSL).await;
    (!finished.status.success()).then(|| finished.said())
}
