//! What no store in good health can show through the router; the rest is in `tests/page`.

use std::sync::Arc;

use ingam_protocol::time::FixedClock;
use ingam_protocol::{Clock, Reason};

use super::*;

fn caller() -> Caller {
    let principal = Principal::Certificate([0xab; 32]);
    Caller {
        principal,
        from: "127.0.0.1".to_owned(),
        client: None,
        request_id: "0123456789abcdef".to_owned(),
    }
}

fn facts() -> Facts {
    let clock: Arc<dyn Clock> = Arc::new(FixedClock::new(Timestamp::from_unix_s(1_795_255_200)));
    Facts {
        now: clock.now(),
        caller: caller().principal,
        roles: vec![Role::Revoker, Role::Support],
        report: None,
        certificates: Shown::Unread,
        approvals: Shown::Unread,
        jobs: Shown::Unread,
        errors: Vec::new(),
    }
}

#[test]
fn what_cannot_be_read_says_so_and_takes_nothing_else_with_it() {
    let html = StatusPage::new(&facts()).render().unwrap();
    let unread = html.matches("cannot be read now: the log has the cause.").count();
    assert_eq!(unread, 4, "the report and three tables: {html}");
    assert!(html.contains("No error and no warning since this process started."), "{html}");
    assert!(html.contains(&format!("<code>cert:{}</code>, revoker and support", "ab".repeat(32))), "{html}");
}

#[test]
fn a_job_tells_how_far_it_is_while_it_goes() {
    let job = |state| RevocationJob {
        id: "AaH9h9Uge7JRqwlTcjlyyg".parse().unwrap(),
        selection: serde_json::value::to_raw_value(&()).unwrap(),
        revocation_reason: Reason::Superseded,
        per_second: 1,
        by: Principal::User(0),
        at: Timestamp::from_unix_s(1_795_255_200),
        reason: "a bug".to_owned(),
        state,
        total: 1000,
        revoked: 500,
        skipped: 0,
        ended: None,
    };
    use ingam_authority::operator::JobState::{Cancelled, Running};
    for (state, bars) in [(Running, 1), (Cancelled, 0)] {
        let html =
            StatusPage::new(&Facts { jobs: Shown::Here(vec![job(state)]), ..facts() }).render().unwrap();
        assert!(html.contains("500 of 1,000"), "{html}");
        assert_eq!(html.matches(r#"<rect class="fill" width="50""#).count(), bars, "{html}");
    }
}

#[test]
fn a_fault_tells_of_itself_and_asks_for_no_role() {
    let status = StatusCode::SERVICE_UNAVAILABLE;
    let problem = Problem::new(status, "overloaded", "something failed here");
    let html = RefusedPage::new(&problem, &caller()).render().unwrap();
    assert!(html.contains("Something failed here"), "{html}");
    assert!(html.contains("0123456789abcdef"), "{html}");
    assert!(!html.contains("role grant"), "{html}");
}
