//! What comes of profiles as they are written, other programs judge: openssl, and pkilint of PyPI with the Baseline
//! Requirements for what claims to follow them and RFC 5280 for the rest. scripts/test installs both; one that is not there is a
//! failure.
//!
//! Nothing that pkilint calls more than a notice may be found, but what the table of settings says aloud.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;

use ingam_journal::simulated::SimulatedDisk;
use ingam_protocol::profile::{MustStaple, Profile};
use ingam_protocol::{Clock as _, Identifier, Serial};
use ingam_signer::hierarchy::Protection;
use ingam_signer::{CertificateRequest, Hierarchy, Ledger, LocalSigner, Signer as _};
use tempfile::TempDir;

use crate::config::{Config, DEVELOPMENT, Reading};
use crate::system::{SystemClock, SystemRandomness};

const SERVER: &str = include_str!("../../../../../config/server.toml");

/// Where nothing but what is under test can be found wanting.
const PUBLICATION: &str = "\n[urls]\npublication = \"http://pki.example.org\"\n";

const KEYS: [(&str, &[&str]); 3] = [
    ("p256", &["EC", "-pkeyopt", "ec_paramgen_curve:P-256"]),
    ("p384", &["EC", "-pkeyopt", "ec_paramgen_curve:P-384"]),
    ("rsa", &["RSA", "-pkeyopt", "rsa_keygen_bits:2048"]),
];

fn openssl(arguments: &[&str]) -> String {
    let output = Command::new("openssl").args(arguments).output().expect("openssl is needed for these tests");
    let text =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "openssl {arguments:?}\n{text}");
    text
}

/// The CA of a configuration, in a folder with public keys and what is issued for them.
struct World {
    folder: TempDir,
    config: Config,
    signer: LocalSigner,
    /// Each certificate's file, whether it claims to follow the Baseline Requirements, and what it was made of.
    made: Vec<(String, bool, String)>,
}

impl World {
    fn new(config: Config) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let hierarchy =
            Hierarchy::create(&config.plan().unwrap(), &SystemClock, &SystemRandomness::new()).unwrap();
        hierarchy.save(folder.path(), &Protection::default(), &SystemRandomness::new()).unwrap();
        let urls = config.issuer_urls().unwrap();
        let (clock, random) = (Arc::new(SystemClock), Arc::new(SystemRandomness::new()));
        let ledger = Ledger::open(Arc::new(SimulatedDisk::new()), clock.clone()).unwrap();
        let signer = LocalSigner::new(hierarchy, urls, ledger, clock, random).unwrap();
        let world = Self { folder, config, signer, made: Vec::new() };
        for (name, algorithm) in KEYS {
            let (private, public) = (world.path(&format!("{name}.key")), world.path(&format!("{name}.pub")));
            openssl(&[&["genpkey", "-out", &private, "-algorithm"][..], algorithm].concat());
            openssl(&["pkey", "-in", &private, "-pubout", "-outform", "DER", "-out", &public]);
        }
        world
    }

    fn path(&self, file: &str) -> String {
        self.folder.path().join(file).to_str().unwrap().to_owned()
    }

    /// Issues for all that the profile takes, and has openssl look at it. Gives what openssl reads in the last of them.
    async fn issue(&mut self, what: &str, profile: &Profile, key: &str) -> String {
        let mut identifiers = Vec::new();
        for name in ["example.org", "www.example.org", "*.example.org"] {
            identifiers.push(Identifier::parse_dns(name).unwrap());
        }
        for address in ["192.0.3.1", "2606:4700::1"] {
            identifiers.push(Identifier::parse_ip(address).unwrap());
        }
        // RFC 5280 alone, by which pkilint looks at private ones, has no word on wildcards.
        let is_known = |one: &Identifier| profile.is_public || !matches!(one, Identifier::Wildcard(_));
        identifiers.retain(|one| is_known(one) && profile.identifiers.refuses(one).is_none());
        let issuer = profile.issuers.choose(&SystemRandomness::new(), |_| true).unwrap().clone();
        let request = CertificateRequest {
            profile: Arc::new(profile.clone()),
            issuer: issuer.clone(),
            serial: Serial::new(&SystemRandomness::new()),
            identifiers,
            public_key_info: fs::read(self.path(&format!("{key}.pub"))).unwrap(),
            must_staple: profile.contents.must_staple != MustStaple::Never,
            not_before: None,
            not_after: None,
            now: SystemClock.now(),
        };
        let prepared = self.signer.prepare(request).await.unwrap_or_else(|error| panic!("{what}: {error}"));
        let der = self.signer.issue(prepared).await.unwrap();
        let file = self.path(&format!("{}.der", self.made.len()));
        fs::write(&file, der).unwrap();
        let pem = file.replace(".der", ".pem");
        openssl(&["x509", "-inform", "DER", "-in", &file, "-out", &pem]);
        let (root, intermediate) = (self.path("roots/root.pem"), self.path(&format!("issuers/{issuer}.pem")));
        let mut verify = vec!["verify", "-x509_strict", "-CAfile", &root, "-untrusted", &intermediate];
        if profile.is_public {
            verify.extend(["-policy", "2.23.140.1.2.1", "-explicit_policy", "-purpose", "sslserver"]);
            verify.extend(["-verify_hostname", "www.example.org"]);
        }
        verify.push(&pem);
        openssl(&verify);
        self.made.push((file, profile.is_public, what.to_owned()));
        openssl(&["x509", "-in", &pem, "-noout", "-text"])
    }

    /// What pkilint has against each, if it is more than a notice.
    fn findings(&self) -> BTreeMap<String, Vec<String>> {
        let lines: Vec<String> = self
            .made
            .iter()
            .map(|(file, is_public, _)| format!("{} {file}\n", if *is_public { "public" } else { "private" }))
            .collect();
        let told = pkilint(&lines.concat());
        let mut findings: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (line, (_, _, what)) in told.lines().zip(&self.made) {
            let codes = line.split_whitespace().skip(1).map(str::to_owned);
            findings.entry(what.clone()).or_default().extend(codes);
        }
        assert_eq!(told.lines().count(), self.made.len(), "{told}");
        findings
    }
}

/// Lints many in one process, as Python takes its time to start. A line for each: its name, and the codes of its findings.
const LINT_ALL: &str = r#"
import contextlib, io, json, sys
from pkilint.bin import lint_cabf_serverauth_cert, lint_pkix_cert
for line in sys.stdin:
    kind, path = line.rstrip("\n").split(" ", 1)
    told = io.StringIO()
    common = ["-f", "JSON", "-s", "WARNING", path]
    with contextlib.redirect_stdout(told):
        if kind == "public":
            lint_cabf_serverauth_cert.main(["lint", "-t", "DV-FINAL-CERTIFICATE", *common])
        else:
            lint_pkix_cert.main(["lint", *common])
    results = json.loads(told.getvalue())["results"]
    codes = {one["code"] for result in results for one in result["finding_descriptions"]}
    print("certificate", *sorted(codes))
"#;

fn pkilint(lines: &str) -> String {
    // The folder of the build: this program lies in its `debug/deps`.
    let program = std::env::current_exe().unwrap();
    let target = program.ancestors().nth(3).unwrap();
    let python: PathBuf = target.join("clients/pkilint/bin/python");
    assert!(python.is_file(), "{} is not there. Run scripts/test, which installs it", python.display());
    let mut command = Command::new(python);
    command.args(["-c", LINT_ALL]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test]
async fn every_profile_that_is_shipped_stands() {
    for (file, text) in [("server.toml", SERVER), ("development.toml", DEVELOPMENT)] {
        let overlaid = Reading::of_text(toml::from_str(text).unwrap(), PUBLICATION);
        let mut world = World::new(overlaid.config);
        let catalog = world.config.catalog().unwrap();
        assert!(catalog.iter().count() >= 5, "{file}");
        for profile in catalog.iter() {
            for (key, _) in KEYS {
                world.issue(&format!("{file} {} {key}", profile.name), profile, key).await;
            }
        }
        let found: Vec<_> = world.findings().into_iter().filter(|(_, codes)| !codes.is_empty()).collect();
        assert_eq!(found, [], "{file}");
    }
}

/// A setting of the profile `classic`, what openssl reads in the certificate, and what pkilint does not recommend of it.
type Setting = (&'static str, &'static [&'static str], &'static [&'static str]);

const SETTINGS: &[Setting] = &[
    (
        "",
        &[
            "Subject: \n",
            "Digital Signature\n",
            "Alternative Name: critical",
            "Policy: 2.23.140.1.2.1\n",
            "TLS Web Server Authentication\n",
            "OCSP - URI",
            "CA Issuers - URI",
            "CRL Distribution",
            "!TLS Feature",
            "!Subject Key Identifier",
        ],
        &[],
    ),
    ("public = false", &["Digital Signature, Key Encipherment\n", "Subject Key Identifier", "!Policy"], &[]),
    (
        "key_encipherment = true",
        &["Digital Signature, Key Encipherment\n"],
        &["cabf.serverauth.subscriber_rsa_digitalsignature_and_keyencipherment_present"],
    ),
    (
        "subject_key_identifier = true",
        &["Subject Key Identifier", "CA:FALSE"],
        &["cabf.serverauth.subscriber.subject_key_identifier_extension_present"],
    ),
    (
        "extended_key_usages = ['server-auth', 'client-auth']",
        &["TLS Web Server Authentication, TLS Web Client Authentication\n"],
        &[],
    ),
    (
        "public = false\nextended_key_usages = ['1.3.6.1.5.5.7.3.17', 'client-auth']",
        &["ipsec Internet Key Exchange, TLS Web Client Authentication\n"],
        &[],
    ),
    (
        "policies = ['1.3.6.1.4.1.99999.7', '1.3.6.1.4.1.99999.1']",
        &["Policy: 2.23.140.1.2.1\n                Policy: 1.3.6.1.4.1.99999.7\n                \
             Policy: 1.3.6.1.4.1.99999.1\n"],
        &[],
    ),
    (
        "public = false\npolicies = ['1.3.6.1.4.1.99999.7']",
        &["Policy: 1.3.6.1.4.1.99999.7\n", "!2.23.140"],
        &[],
    ),
    (
        "common_name = 'first-name'",
        &["Subject: CN = example.org\n", "Alternative Name: \n"],
        &["cabf.serverauth.dv.common_name_attribute_present"],
    ),
    ("ocsp_pointer = false", &["!OCSP - URI", "CA Issuers - URI", "CRL Distribution"], &[]),
    ("crl_pointer = false", &["OCSP - URI", "CA Issuers - URI", "!CRL Distribution"], &[]),
    (
        "issuer_pointer = false",
        &["OCSP - URI", "!CA Issuers", "CRL Distribution"],
        &["cabf.serverauth.subscriber.ca_issuers_aia_access_method_absent"],
    ),
    (
        "public = false\nissuer_pointer = false\nocsp_pointer = false",
        &["!Authority Information Access", "CRL Distribution"],
        &[],
    ),
    // Microsoft's program says that a certificate may have a pointer (section 3.1.10), and pkilint reads that it has to.
    (
        "validity_s = 604800\nrevocation_pointers = false",
        &["!OCSP - URI", "CA Issuers - URI", "!CRL Distribution"],
        &["msft.end_entity.revocation_information_absent"],
    ),
    (
        "must_staple = 'requested'",
        &["TLS Feature: \n                status_request\n"],
        &["cabf.serverauth.subscriber.unknown_extension_present"],
    ),
    ("must_staple = 'always'\npublic = false", &["TLS Feature: \n                status_request\n"], &[]),
    ("issuer = ''\nissuers = { ecdsa = 0, rsa = 1 }", &["Signature Algorithm: sha256WithRSAEncryption"], &[]),
];

#[tokio::test]
async fn every_setting_stands() {
    let base = Reading::of_text(toml::from_str(DEVELOPMENT).unwrap(), PUBLICATION).config;
    let mut world = World::new(base);
    for (setting, lines, _) in SETTINGS {
        let text = format!("[profiles.classic]\n{setting}");
        let mut reading = Reading::of_text(toml::from_str(DEVELOPMENT).unwrap(), &text);
        reading.examine(SystemClock.now());
        assert!(reading.found.iter().next().is_none(), "{setting}: {:?}", reading.found);
        let catalog = reading.config.catalog().unwrap();
        let read = world.issue(setting, catalog.by_name("classic").unwrap(), "rsa").await;
        for line in *lines {
            match line.strip_prefix('!') {
                Some(absent) => assert!(!read.contains(absent), "{setting}: {absent:?} is in\n{read}"),
                None => assert!(read.contains(line), "{setting}: {line:?} is not in\n{read}"),
            }
        }
    }
    let found = world.findings();
    let mut wrong = Vec::new();
    for (setting, _, wanted) in SETTINGS {
        if found[*setting] != *wanted {
            wrong.push(format!("{setting}: {:?}", found[*setting]));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
