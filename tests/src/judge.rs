//! What other makers' programs say of CA certificates and CRLs: openssl, GnuTLS's certtool, and pkilint of PyPI.

use std::path::Path;

use tokio::process::Command;

use crate::command::{Finished, run, target_folder};

const OPENSSL: &str = "Install openssl, on Debian with `apt-get install openssl`";
const CERTTOOL: &str = "Install GnuTLS's certtool, on Debian with `apt-get install gnutls-bin`";
const PKILINT: &str = "scripts/test installs pkilint into target/clients/pkilint";

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
    let finished = run(&mut command, CERTTOOL).await.succeeded();
    assert!(finished.said().contains("Verified"), "{finished}");
}

/// pkilint finds nothing above a notice in a certificate: by RFC 5280, and by the Baseline Requirements too if `is_public`.
/// Its own guess at the kind of certificate must be `kind`.
pub async fn pkilint_accepts(folder: &Path, file: &str, kind: &str, is_public: bool) {
    let plain = ["lint", "-s", "WARNING", file];
    finds_nothing(folder, "lint_pkix_cert", &plain).await;
    if is_public {
        let detected = ["lint", "-d", "-o", "-s", "WARNING", file];
        let finished = finds_nothing(folder, "lint_cabf_serverauth_cert", &detected).await;
        assert!(finished.said().contains(kind), "it is taken for a {kind}: {finished}");
    }
}

/// The same for the CRL of a CA, DER.
pub async fn pkilint_accepts_crl(folder: &Path, file: &str) {
    for profile in ["PKIX", "BR"] {
        finds_nothing(folder, "lint_crl", &["lint", "-p", profile, "-t", "ARL", "-s", "WARNING", file]).await;
    }
}

async fn finds_nothing(folder: &Path, program: &str, arguments: &[&str]) -> Finished {
    let program = target_folder().join("clients/pkilint/bin").join(program);
    let mut command = Command::new(program);
    let finished = run(command.args(arguments).current_dir(folder), PKILINT).await;
    // It ends with the number of findings.
    finished.succeeded()
}
