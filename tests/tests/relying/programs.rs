//! Programs and libraries that ask, verify what they are told, and tell it.

use std::process::Stdio;

use ingam_tests::command::{Finished, run, target_folder};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::world::{Leaf, NSS, World, text};

const OPENSSL: &str = "Install openssl, on Debian with `apt-get install openssl`";
const GNUTLS: &str = "Install GnuTLS's programs, on Debian with `apt-get install gnutls-bin`";

/// Asks by POST and GET, SHA-1 and SHA-256, with a nonce and without, and verifies all that comes back.
const CRYPTOGRAPHY: &str = r#"
import base64, hashlib, json, os, sys, urllib.parse, urllib.request
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp

def ask(url, der, by_get):
    if by_get:
        request = url + "/" + urllib.parse.quote(base64.b64encode(der).decode(), safe="")
    else:
        request = urllib.request.Request(url, der, {"Content-Type": "application/ocsp-request"})
    with urllib.request.urlopen(request) as answer:
        return ocsp.load_der_ocsp_response(answer.read())

def signer(response, issuer):
    if not response.certificates:
        return issuer
    [delegate] = response.certificates
    delegate.verify_directly_issued_by(issuer)
    purposes = delegate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(purposes) == [x509.ExtendedKeyUsageOID.OCSP_SIGNING]
    delegate.extensions.get_extension_for_class(x509.OCSPNoCheck)
    return delegate

def verify(response, key):
    algorithm = response.signature_hash_algorithm
    assert algorithm.name in ("sha256", "sha384")
    if isinstance(key, ec.EllipticCurvePublicKey):
        key.verify(response.signature, response.tbs_response_bytes, ec.ECDSA(algorithm))
    else:
        key.verify(response.signature, response.tbs_response_bytes, padding.PKCS1v15(), algorithm)

def check(leaf, issuer, algorithm, nonce, by_get, is_revoked):
    builder = ocsp.OCSPRequestBuilder().add_certificate(leaf, issuer, algorithm)
    if nonce:
        builder = builder.add_extension(x509.OCSPNonce(nonce), critical=False)
    request = builder.build()
    access = leaf.extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
    [url] = [one.access_location.value for one in access if one.access_method == x509.AuthorityInformationAccessOID.OCSP]
    response = ask(url, request.public_bytes(Encoding.DER), by_get)
    assert response.response_status == ocsp.OCSPResponseStatus.SUCCESSFUL, response.response_status
    key = signer(response, issuer)
    verify(response, key.public_key())
    assert response.responder_key_hash == x509.SubjectKeyIdentifier.from_public_key(key.public_key()).digest
    assert response.serial_number == leaf.serial_number
    assert response.issuer_key_hash == request.issuer_key_hash and response.issuer_name_hash == request.issuer_name_hash
    assert response.hash_algorithm.name == algorithm.name
    assert response.next_update_utc > response.this_update_utc == response.produced_at_utc
    if nonce:
        assert response.extensions.get_extension_for_class(x509.OCSPNonce).value.nonce == nonce
    else:
        assert not list(response.extensions)
    if is_revoked:
        assert response.certificate_status == ocsp.OCSPCertStatus.REVOKED
        assert response.revocation_reason == x509.ReasonFlags.key_compromise
        assert response.revocation_time_utc <= response.this_update_utc
    else:
        assert response.certificate_status == ocsp.OCSPCertStatus.GOOD

count = 0
for one in json.load(sys.stdin):
    read = lambda name: x509.load_pem_x509_certificate(open(one[name], "rb").read())
    for algorithm in hashes.SHA1(), hashes.SHA256(), hashes.SHA384():
        for nonce in b"", b"n", os.urandom(32), os.urandom(128):
            for by_get in False, True:
                check(read("leaf"), read("issuer"), algorithm, nonce, by_get, one["is_revoked"])
                count += 1
print(count)
"#;

#[tokio::test(flavor = "multi_thread")]
async fn each_program_is_told_what_is_so() {
    let mut world = World::start().await;
    let leaves = world.leaves().await;
    for leaf in &leaves {
        openssl(&world, leaf).await;
        gnutls(&world, leaf).await;
    }
    nss(&world, &leaves).await;
    cryptography(&leaves).await;
    world.server.stop().await;
}

fn status(leaf: &Leaf) -> &'static str {
    if leaf.is_revoked { "revoked" } else { "good" }
}

async fn openssl(world: &World, leaf: &Leaf) {
    for hash in ["-sha1", "-sha256", "-sha384"] {
        for nonce in ["-nonce", "-no_nonce"] {
            let mut command = Command::new("openssl");
            command.args(["ocsp", hash, nonce, "-url", &leaf.chain.ocsp_url(), "-CAfile", text(&world.root)]);
            let issuer = text(&leaf.files.issuer);
            command.args(["-issuer", issuer, "-verify_other", issuer, "-cert", text(&leaf.files.leaf)]);
            let finished = run(&mut command, OPENSSL).await.succeeded();
            let said = finished.said();
            assert!(said.contains("Response verify OK"), "{finished}");
            assert!(said.contains(&format!("leaf.pem: {}", status(leaf))), "{finished}");
            assert_eq!(said.contains("Reason: keyCompromise"), leaf.is_revoked, "{finished}");
            // What it says of a nonce is that it is missing, or another one.
            assert!(!said.contains("once"), "{finished}");
        }
    }
}

async fn gnutls(world: &World, leaf: &Leaf) {
    for nonce in ["--no-nonce", "--nonce"] {
        let mut command = Command::new("ocsptool");
        command.args(["--ask", nonce, "--load-cert", text(&leaf.files.leaf)]);
        command.args(["--load-issuer", text(&leaf.files.issuer), "--outfile"]);
        command.arg(world.folder.join("ocsptool.response"));
        if leaf.has_delegate {
            command.args(["--load-trust", text(&leaf.files.issuer)]);
        }
        let finished = run(&mut command, GNUTLS).await.succeeded();
        let said = finished.said();
        assert!(said.contains("Verifying OCSP Response: Success."), "{finished}");
        assert!(said.contains(&format!("Certificate Status: {}", status(leaf))), "{finished}");
        assert_eq!(said.contains("Nonce: "), nonce == "--nonce", "{finished}");
    }
}

/// NSS as it verifies a server's certificate, with OCSP on.
async fn nss(world: &World, leaves: &[Leaf]) {
    let database = world.folder.join("nss");
    world.write_database(&database).await;
    for leaf in leaves {
        // The issuers' certificates come along in a handshake; here they are in the database.
        for (name, file) in [("issuer", &leaf.files.issuer), ("leaf", &leaf.files.leaf)] {
            let nickname = format!("{name} {}", leaf.name);
            let words = ["-A", "-n", &nickname, "-t", ",,", "-i", text(file)];
            run(Command::new("certutil").arg("-d").arg(in_sql(world)).args(words), NSS).await.succeeded();
        }
        let nickname = format!("leaf {}", leaf.name);
        for words in [["-S", &nickname].as_slice(), &["-V", &nickname, "-u", "s"]] {
            let answers = world.answers(status(leaf)).await;
            let finished = told_by_nss(world, words).await;
            let said = finished.said();
            assert_eq!(said.contains("succeeded."), !leaf.is_revoked, "{finished}");
            assert_eq!(said.contains("has been revoked."), leaf.is_revoked, "{finished}");
            assert!(world.answers(status(leaf)).await > answers, "it has asked: {finished}");
        }
    }
}

async fn told_by_nss(world: &World, words: &[&str]) -> Finished {
    run(Command::new("ocspclnt").args(words).arg("-d").arg(in_sql(world)), NSS).await.succeeded()
}

fn in_sql(world: &World) -> String {
    format!("sql:{}", text(&world.folder.join("nss")))
}

async fn cryptography(leaves: &[Leaf]) {
    let python = target_folder().join("clients/pkilint/bin/python");
    assert!(python.is_file(), "{} is not there. Run scripts/test, which installs it", python.display());
    let questions: Value = leaves
        .iter()
        .map(|leaf| json!({ "leaf": text(&leaf.files.leaf), "issuer": text(&leaf.files.issuer), "is_revoked": leaf.is_revoked }))
        .collect();
    let mut command = Command::new(python);
    command.args(["-c", CRYPTOGRAPHY]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.kill_on_drop(true).spawn().expect("Python can be started");
    let mut input = child.stdin.take().expect("standard input is a pipe");
    // A failure shows in what it says.
    let _ = input.write_all(questions.to_string().as_bytes()).await;
    drop(input);
    let output = child.wait_with_output().await.expect("one may wait for one's own child");
    let wrong = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{wrong}");
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), (leaves.len() * 24).to_string(), "{wrong}");
}
