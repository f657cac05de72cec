//! Issuers whose keys the public web does not know, on P-521 and of ML-DSA. pyca/cryptography, with the OpenSSL that is in its
//! wheels, verifies every signature of theirs, and pkilint reads what is signed; openssl itself judges P-521, as it has ML-DSA
//! from version 3.5 on alone.
//!
//! None of them answers OCSP itself: a delegate on P-256 does, whose certificate they sign.

use std::io::Write;
use std::process::Stdio;

use ingam_protocol::csr::SigningRequest;
use ingam_protocol::key::KeyType;

use super::*;

/// Each with the object identifier of its signatures (RFC 5758, section 3.2; RFC 9881, section 2).
const ISSUERS: [(&str, KeyKind, &str); 4] = [
    ("p521", KeyKind::EcdsaP521, "1.2.840.10045.4.3.4"),
    ("ml44", KeyKind::MlDsa44, "2.16.840.1.101.3.4.3.17"),
    ("ml65", KeyKind::MlDsa65, "2.16.840.1.101.3.4.3.18"),
    ("ml87", KeyKind::MlDsa87, "2.16.840.1.101.3.4.3.19"),
];

/// What the root on P-384 signs with, and delegates on P-256.
const BY_ROOT: &str = "1.2.840.10045.4.3.3";
const BY_DELEGATE: &str = "1.2.840.10045.4.3.2";

/// Subscribers' keys of ML-DSA, which another program made.
const REQUESTS: [&[u8]; 3] = [
    include_bytes!("../../../../testdata/ml-dsa/request-44.der"),
    include_bytes!("../../../../testdata/ml-dsa/request-65.der"),
    include_bytes!("../../../../testdata/ml-dsa/request-87.der"),
];

async fn world() -> World {
    World::made(false, &ISSUERS.map(|(issuer, kind, _)| (issuer, kind))).await
}

fn private_profile(issuer: &str) -> Profile {
    let mut profile = profile(issuer);
    profile.is_public = false;
    profile.key_types.extend([KeyType::MlDsa44, KeyType::MlDsa65, KeyType::MlDsa87]);
    profile
}

#[tokio::test]
async fn openssl_takes_all_that_an_issuer_on_p521_signs() {
    let world = world().await;
    let profile = private_profile("p521");
    let (root, intermediate) = (world.path("roots/root.pem"), world.path("issuers/p521.pem"));
    openssl(&["verify", "-x509_strict", "-CAfile", &root, &intermediate]);
    let (_, leaf) = world.leaf_of(profile.clone(), world.subject_key(P256), &["a.example.org"]).await;
    let leaf = to_pem(&world, "leaf", &leaf);
    let strictly = ["verify", "-x509_strict", "-purpose", "sslserver", "-verify_hostname", "a.example.org"];
    openssl(&[&strictly[..], &["-CAfile", &root, "-untrusted", &intermediate, &leaf]].concat());
    let good = ocsp_verdict_of(&world, "p521", &leaf, CertStatus::Good).await;
    assert!(good.contains("Response verify OK") && good.contains(": good"), "{good}");
    let revoked = CertStatus::Revoked { at: now(), reason: Reason::KeyCompromise };
    let revoked = ocsp_verdict_of(&world, "p521", &leaf, revoked).await;
    assert!(revoked.contains("Response verify OK") && revoked.contains("Reason: keyCompromise"), "{revoked}");
    for scope in [Scope::Complete, Scope::Unsharded, Scope::Shard(SHARD)] {
        crl_revokes(&world, &profile, scope).await;
    }
}

#[tokio::test]
async fn another_library_verifies_all_that_private_issuers_sign() {
    let world = world().await;
    let mut judge = Judge::of(&world);
    for (issuer, _, algorithm) in ISSUERS {
        let intermediate = world.path(&format!("issuers/{issuer}.pem"));
        let own = world.hierarchy.intermediates.iter().find(|known| known.name == name(issuer)).unwrap();
        judge.ask("certificate", &world.path("roots/root.pem"), &own.certificate, BY_ROOT);
        let profile = private_profile(issuer);
        let made = REQUESTS.map(|csr| SigningRequest::parse(csr).unwrap().public_key_info().to_vec());
        let mut leaf = String::new();
        for key in made.into_iter().chain([world.subject_key(P256)]) {
            let (_, certificate) = world.leaf_of(profile.clone(), key, &["a.example.org"]).await;
            judge.ask("certificate", &intermediate, &certificate, algorithm);
            leaf = to_pem(&world, "leaf", &certificate);
        }
        for (scope, serials) in [
            (Scope::Complete, Vec::new()),
            (Scope::Complete, [0; 3].map(|_| Serial::new(&SystemRandomness)).to_vec()),
            (Scope::Unsharded, Vec::new()),
            (Scope::Shard(SHARD), Vec::new()),
            (Scope::Shard(SHARD), [0; 3].map(|_| Serial::in_shard(&SystemRandomness, SHARD)).to_vec()),
        ] {
            judge.ask("crl", &intermediate, &list(&world, issuer, scope, serials).await, algorithm);
        }
        let mut delegates = world.delegates.iter().filter(|delegate| delegate.issuer == name(issuer));
        let delegate = &delegates.next().expect("a delegate answers").certificate;
        judge.ask("certificate", &intermediate, delegate, algorithm);
        let delegate = to_pem(&world, &format!("{issuer}-delegate"), delegate);
        for status in [CertStatus::Good, CertStatus::Revoked { at: now(), reason: Reason::KeyCompromise }] {
            let (_, response) = answer(&world, issuer, &leaf, status).await;
            judge.ask("answer", &delegate, &fs::read(response).unwrap(), BY_DELEGATE);
        }
    }
    judge.has_nothing_against_any();
}

/// Judges many files in one process, as Python takes its time to start. A line for each: the algorithm of its signature, whether
/// that is its signer's, whether it would be of other bytes too, and what pkilint has found above a notice.
const JUDGE_ALL: &str = r#"
import contextlib, importlib, io, json, pathlib, sys
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509 import ocsp

KINDS = {
    "certificate": (x509.load_der_x509_certificate, "tbs_certificate_bytes", "lint_pkix_cert", ["lint"]),
    "crl": (x509.load_der_x509_crl, "tbs_certlist_bytes", "lint_crl", ["lint", "-t", "CRL", "-p", "PKIX"]),
    "answer": (ocsp.load_der_ocsp_response, "tbs_response_bytes", "lint_ocsp_response", ["lint"]),
}

def is_signed(key, signed, message):
    by_curve = [ec.ECDSA(signed.signature_hash_algorithm)] if isinstance(key, ec.EllipticCurvePublicKey) else []
    try:
        key.verify(signed.signature, message, *by_curve)
    except InvalidSignature:
        return False
    return True

for line in sys.stdin:
    kind, signer, path = json.loads(line)
    read, part, program, arguments = KINDS[kind]
    key = x509.load_pem_x509_certificate(pathlib.Path(signer).read_bytes()).public_key()
    signed = read(pathlib.Path(path).read_bytes())
    message = getattr(signed, part)
    told = io.StringIO()
    with contextlib.redirect_stdout(told):
        importlib.import_module("pkilint.bin." + program).main([*arguments, "-f", "JSON", "-s", "WARNING", path])
    results = json.loads(told.getvalue())["results"]
    codes = [one["code"] for result in results for one in result["finding_descriptions"]]
    algorithm = signed.signature_algorithm_oid.dotted_string
    print(json.dumps([algorithm, is_signed(key, signed, message), is_signed(key, signed, message + b"0"), codes]))
"#;

/// What is to be judged.
struct Judge<'a> {
    world: &'a World,
    questions: String,
    /// What each is, and the algorithm that its signature has to be of.
    asked: Vec<(String, &'static str)>,
}

impl<'a> Judge<'a> {
    fn of(world: &'a World) -> Self {
        Self { world, questions: String::new(), asked: Vec::new() }
    }

    /// Adds DER that the key of this certificate (PEM) signed.
    fn ask(&mut self, kind: &str, signer: &str, der: &[u8], algorithm: &'static str) {
        let file = self.world.write(&format!("judged-{}.der", self.asked.len()), der);
        self.questions += &format!("{}\n", serde_json::json!([kind, signer, file]));
        self.asked.push((format!("{kind} by {signer}"), algorithm));
    }

    fn has_nothing_against_any(&self) {
        // The folder of the build: this program lies in its `debug/deps`.
        let program = std::env::current_exe().unwrap();
        let python = program.ancestors().nth(3).unwrap().join("clients/pkilint/bin/python");
        assert!(python.is_file(), "{} is not there. Run scripts/test, which installs it", python.display());
        let mut command = Command::new(python);
        command.args(["-c", JUDGE_ALL]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(self.questions.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success());
        let told = String::from_utf8(output.stdout).unwrap();
        assert_eq!(told.lines().count(), self.asked.len(), "{told}");
        let verdicts = told.lines().zip(&self.asked).map(|(line, (what, algorithm))| {
            let verdict: (String, bool, bool, Vec<String>) = serde_json::from_str(line).unwrap();
            let is_fine = verdict == ((*algorithm).to_owned(), true, false, Vec::new());
            (!is_fine).then(|| format!("{what}: {verdict:?}"))
        });
        assert_eq!(verdicts.flatten().collect::<Vec<_>>(), Vec::<String>::new());
    }
}
