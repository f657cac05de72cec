//! What counts of a linter's verdict. That a certificate stops by it is shown in tests/decisions.

use super::*;

/// Says what it is told to, or never anything.
#[derive(Debug)]
struct Told(Option<Result<Vec<LintFinding>, LintFailure>>);

#[async_trait]
impl Linter for Told {
    async fn lint(&self, _: &[u8]) -> Result<Vec<LintFinding>, LintFailure> {
        match &self.0 {
            Some(verdict) => verdict.clone(),
            None => std::future::pending().await,
        }
    }
}

async fn judged(told: Told, on_failure: OnFailure) -> (Outcome, bool, usize) {
    let rules = LinterRules {
        name: "told".to_owned(),
        severity_min: Severity::Warning,
        time: Duration::from_millis(20),
        on_failure,
    };
    let verdict = OutsideLinter::new(Arc::new(told), rules).judge(b"certificate").await;
    (verdict.outcome, verdict.lets_pass, verdict.findings.len())
}

fn found(severity: Severity) -> LintFinding {
    LintFinding::new(severity, "rule", None, None)
}

#[tokio::test]
async fn findings_count_from_the_severity_that_was_set() {
    let verdict = |findings| Told(Some(Ok(findings)));
    let refuse = OnFailure::Refuse;
    assert_eq!(judged(verdict(Vec::new()), refuse).await, (Outcome::Passed, true, 0));
    let below = vec![found(Severity::Info), found(Severity::Notice)];
    assert_eq!(judged(verdict(below), refuse).await, (Outcome::Passed, true, 2));
    for severity in [Severity::Warning, Severity::Error, Severity::Fatal] {
        let worst_last = [vec![found(Severity::Info); FINDINGS_MAX + 1], vec![found(severity)]].concat();
        // Passing is for linters that say nothing; this one said something.
        assert_eq!(judged(verdict(worst_last), OnFailure::Pass).await, (Outcome::Found, false, FINDINGS_MAX));
    }
}

#[tokio::test]
async fn a_linter_that_says_nothing_stops_the_certificate_unless_told_otherwise() {
    let broken = || Told(Some(Err(LintFailure::new("broken"))));
    assert_eq!(judged(broken(), OnFailure::Refuse).await, (Outcome::Failed, false, 0));
    assert_eq!(judged(broken(), OnFailure::Pass).await, (Outcome::Failed, true, 0));
    assert_eq!(judged(Told(None), OnFailure::Refuse).await, (Outcome::TimedOut, false, 0));
    assert_eq!(judged(Told(None), OnFailure::Pass).await, (Outcome::TimedOut, true, 0));
}

#[test]
fn an_unknown_severity_is_the_worst() {
    assert_eq!(Severity::of_word("WARNING"), Severity::Warning);
    assert_eq!(Severity::of_word("bug"), Severity::Fatal);
    assert_eq!(Severity::of_word(""), Severity::Fatal);
}
