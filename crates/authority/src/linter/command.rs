//! Linters that are programs: the certificate goes in as PEM, JSON as zlint writes it comes out.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Stdio;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process;

use super::{LintFailure, LintFinding, Linter, Severity};

/// The most bytes that a program may say.
const OUTPUT_BYTES_MAX: usize = 1 << 20;

/// A program that reads a certificate (PEM) from standard input and writes one JSON object: for each rule its `result`, as
/// zlint does. It gets no environment, and is killed when nobody waits for it any more.
#[derive(Debug)]
pub struct Command {
    program: PathBuf,
    arguments: Vec<String>,
}

impl Command {
    /// A program and its arguments.
    pub fn new(program: PathBuf, arguments: Vec<String>) -> Self {
        Self { program, arguments }
    }

    async fn run(&self, input: &[u8]) -> Result<Vec<u8>, LintFailure> {
        let failed =
            |what: &dyn std::fmt::Display| LintFailure::new(format!("{}: {what}", self.program.display()));
        let mut child = process::Command::new(&self.program)
            .args(&self.arguments)
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| failed(&error))?;
        let (Some(mut stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(failed(&"it has no standard input or output"));
        };
        let write = async move {
            // A program that has read enough closes its end, and that is no failure: its verdict says more.
            let _ = stdin.write_all(input).await;
        };
        let ((), output) = tokio::join!(write, read_bounded(stdout));
        let output = output.map_err(|error| failed(&error))?;
        let status = child.wait().await.map_err(|error| failed(&error))?;
        if status.success() { Ok(output) } else { Err(failed(&format!("it ended with {status}"))) }
    }
}

async fn read_bounded(source: impl AsyncRead + Unpin) -> std::io::Result<Vec<u8>> {
    let mut output = Vec::new();
    // One byte more tells that there was more.
    source.take(OUTPUT_BYTES_MAX as u64 + 1).read_to_end(&mut output).await?;
    if output.len() > OUTPUT_BYTES_MAX {
        return Err(std::io::Error::other(format!("it said more than {OUTPUT_BYTES_MAX} bytes")));
    }
    Ok(output)
}

/// What zlint says of one rule.
#[derive(Deserialize)]
struct RuleResult {
    result: String,
    #[serde(default)]
    details: Option<String>,
}

#[async_trait]
impl Linter for Command {
    async fn lint(&self, certificate: &[u8]) -> Result<Vec<LintFinding>, LintFailure> {
        findings(&self.run(pem(certificate).as_bytes()).await?)
    }
}

fn findings(output: &[u8]) -> Result<Vec<LintFinding>, LintFailure> {
    let rules: BTreeMap<String, RuleResult> = serde_json::from_slice(output)
        .map_err(|error| LintFailure::new(format!("what it said cannot be read: {error}")))?;
    if rules.is_empty() {
        return Err(LintFailure::new("it looked at no rule"));
    }
    let finding = |(code, rule): (String, RuleResult)| {
        // NA: the rule is not about such certificates. NE: it was not in force yet.
        let is_quiet = ["pass", "na", "ne"].contains(&rule.result.to_ascii_lowercase().as_str());
        let severity = Severity::of_word(&rule.result);
        (!is_quiet).then(|| LintFinding::new(severity, &code, None, rule.details.as_deref()))
    };
    Ok(rules.into_iter().filter_map(finding).collect())
}

fn pem(der: &[u8]) -> String {
    let encoded = STANDARD.encode(der);
    let mut text = String::from("-----BEGIN CERTIFICATE-----\n");
    for line in encoded.as_bytes().chunks(64) {
        // Base64 is ASCII.
        text.push_str(&String::from_utf8_lossy(line));
        text.push('\n');
    }
    text + "-----END CERTIFICATE-----\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        Command::new("/bin/sh".into(), vec!["-c".to_owned(), script.to_owned()])
    }

    #[tokio::test]
    async fn a_program_reads_pem_and_says_json() {
        let program = shell(
            r#"read -r first; [ "$first" = "-----BEGIN CERTIFICATE-----" ] || exit 3
            echo '{"e_a": {"result": "pass"}, "n_b": {"result": "NA"}, "w_c": {"result": "warn", "details": "so"}}'"#,
        );
        let expected = LintFinding::new(Severity::Warning, "w_c", None, Some("so"));
        assert_eq!(program.lint(&[0x30; 1000]).await, Ok(vec![expected]));
    }

    #[tokio::test]
    async fn a_program_that_fails_or_says_nothing_gives_no_verdict() {
        let endless = "while :; do echo 0123456789012345678901234567890123456789; done";
        for script in ["exit 1", "echo no JSON", "echo '{}'", "true", "kill -9 $$", endless] {
            assert!(shell(script).lint(b"certificate").await.is_err(), "{script}");
        }
        let missing = Command::new("/nonexistent/linter".into(), Vec::new());
        assert!(missing.lint(b"certificate").await.is_err());
    }
}
