//! pkilint of PyPI over many files at once: one process for all of them, as Python takes its time to start.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use tokio::time::timeout;

use crate::command::{LIMIT, target_folder};

/// Reads lines with a program of pkilint's and its arguments, and answers each with a line: its findings, each the code and the
/// path to what is found wanting.
const RUN_ALL: &str = r#"
import contextlib, importlib, io, json, sys
for line in sys.stdin:
    program, *arguments = json.loads(line)
    told, wrong = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(told), contextlib.redirect_stderr(wrong):
        try:
            importlib.import_module("pkilint.bin." + program).main(arguments)
        except SystemExit:
            pass
    if wrong.getvalue():
        sys.exit(line + wrong.getvalue())
    results = json.loads(told.getvalue())["results"]
    print(json.dumps([(one["code"], result["node_path"]) for result in results for one in result["finding_descriptions"]]))
"#;

/// What a file is, and so which of pkilint's programs look at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A root: RFC 5280 and the Baseline Requirements.
    Root,
    /// A CA that issues for subscribers: the same.
    IssuingCa,
    /// A subscriber's certificate that claims to follow the Baseline Requirements.
    Subscriber,
    /// Its precertificate.
    Precertificate,
    /// A certificate for signing OCSP answers: RFC 5280 and the Baseline Requirements.
    OcspResponder,
    /// A certificate that claims nothing: RFC 5280 alone.
    Private,
    /// A certificate of the CA's own listeners: RFC 5280 alone.
    Listener,
    /// A CRL of subscribers' certificates: RFC 5280 and the Baseline Requirements.
    Crl,
    /// A CRL of CA certificates: the same.
    AuthorityCrl,
    /// An OCSP answer: RFC 6960.
    OcspAnswer,
}

impl Kind {
    /// Each program with its arguments before the file's.
    fn programs(self) -> Vec<Vec<&'static str>> {
        let rfc5280 = vec!["lint_pkix_cert", "lint"];
        let public = |kind| vec!["lint_cabf_serverauth_cert", "lint", "-t", kind];
        let crl = |kind, profile| vec!["lint_crl", "lint", "-t", kind, "-p", profile];
        match self {
            Self::Root => vec![rfc5280, public("ROOT-CA")],
            Self::IssuingCa => vec![rfc5280, public("INTERNAL-UNCONSTRAINED-TLS-CA")],
            Self::OcspResponder => vec![rfc5280, public("OCSP-RESPONDER")],
            Self::Subscriber => vec![public("DV-FINAL-CERTIFICATE")],
            Self::Precertificate => vec![public("DV-PRE-CERTIFICATE")],
            Self::Private | Self::Listener => vec![rfc5280],
            Self::Crl => vec![crl("CRL", "PKIX"), crl("CRL", "BR")],
            Self::AuthorityCrl => vec![crl("ARL", "PKIX"), crl("ARL", "BR")],
            Self::OcspAnswer => vec![vec!["lint_ocsp_response", "lint"]],
        }
    }
}

/// A finding that is let through.
#[derive(Debug, Clone, Copy)]
pub struct LetThrough {
    /// In what.
    pub kind: Kind,
    /// Its code.
    pub code: &'static str,
    /// A part of the path to what is found wanting.
    pub at: &'static str,
    /// Why it may stay.
    pub why: &'static str,
}

/// What pkilint is to look at.
#[derive(Debug, Default)]
pub struct Questions(Vec<(Kind, PathBuf, Vec<String>)>);

impl Questions {
    /// Adds a file, DER or PEM.
    pub fn add(&mut self, kind: Kind, file: &Path) {
        for program in kind.programs() {
            let mut line: Vec<String> = program.into_iter().map(str::to_owned).collect();
            line.extend(["-f", "JSON", "-s", "WARNING"].map(str::to_owned));
            line.push(text(file));
            self.0.push((kind, file.to_owned(), line));
        }
    }

    /// Adds a certificate and that of whoever signed it: names, key identifiers, policies and signature have to fit.
    pub fn add_pair(&mut self, kind: Kind, issuer: &Path, subject: &Path) {
        let words = ["lint_pkix_signer_signee_cert_chain", "lint", "-f", "JSON", "-s", "WARNING"];
        let mut line: Vec<String> = words.map(str::to_owned).to_vec();
        line.extend([text(issuer), text(subject)]);
        self.0.push((kind, subject.to_owned(), line));
    }

    /// Has pkilint look at all. Fails the test if it finds anything above a notice that is not let through, or if one of
    /// these is not found at all any more.
    pub async fn are_answered_with_nothing_but(&self, let_through: &[LetThrough]) {
        let answers = self.run().await;
        let mut seen = vec![false; let_through.len()];
        let mut found: BTreeMap<(Kind, &str, &str), Vec<&PathBuf>> = BTreeMap::new();
        for ((kind, file, _), findings) in self.0.iter().zip(&answers) {
            for (code, at) in findings {
                let is_this = |one: &LetThrough| one.kind == *kind && one.code == code && at.contains(one.at);
                match let_through.iter().position(is_this) {
                    Some(place) => seen[place] = true,
                    None => found.entry((*kind, code, at)).or_default().push(file),
                }
            }
        }
        let mut text = String::new();
        for ((kind, code, at), files) in found {
            let (first, count) = (files[0].display(), files.len());
            writeln!(text, "{kind:?}: {code} at {at}, in {first} and {} more", count - 1).expect("a string");
        }
        for (one, _) in let_through.iter().zip(&seen).filter(|(_, seen)| !**seen) {
            writeln!(text, "{one:?} is found nowhere").expect("a string");
        }
        assert!(text.is_empty(), "{text}");
    }

    /// The findings of each.
    async fn run(&self) -> Vec<Vec<(String, String)>> {
        let python = target_folder().join("clients/pkilint/bin/python");
        assert!(python.is_file(), "{} is not there. Run scripts/test, which installs it", python.display());
        let mut command = Command::new(python);
        command.args(["-c", RUN_ALL]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.kill_on_drop(true).spawn().expect("Python can be started");
        let mut input = child.stdin.take().expect("standard input is a pipe");
        let lines: String = self.0.iter().map(|(_, _, line)| format!("{}\n", json!(line))).collect();
        let written = tokio::spawn(async move { input.write_all(lines.as_bytes()).await });
        let output = timeout(LIMIT, child.wait_with_output()).await.expect("pkilint ends in time");
        let output = output.expect("one may wait for one's own child");
        let _ = written.await;
        let wrong = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{wrong}");
        let text = String::from_utf8_lossy(&output.stdout);
        let answers: Vec<_> =
            text.lines().map(|line| serde_json::from_str(line).expect("pairs of text")).collect();
        assert_eq!(answers.len(), self.0.len(), "an answer to each: {text}{wrong}");
        answers
    }
}

fn text(path: &Path) -> String {
    path.to_str().expect("a path in UTF-8").to_owned()
}
