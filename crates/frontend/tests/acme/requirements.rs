//! Proves RFC 8555, sections 6 and 7, request by request. Each file has one subject; most of it is a table in which a row
//! is one requirement: what is sent, as raw as it needs to be, and the status and problem type that must come of it. What
//! takes more than one answer is a test of its own below the table.
//!
//! A new row needs nothing but its line: [`row`] with a name that ends a sentence ("the payload is padded"), a closure that
//! makes the request from the [`Scene`], and what is expected. docs/conformance.md names rows by `file::test#name`.
//!
//! Headers and problem documents that every answer owes are checked in `answer`, for each request here as well. Not a
//! failure: the wording of details, but for the words that a row asks for.

mod accounts;
mod algorithms;
mod authorizations;
mod certificates;
mod finalize;
mod forms;
mod headers;
mod key_change;
mod orders;
mod public_keys;
mod revocation;
mod scene;
mod transport;
mod wishes;

use axum::body::Body;
use axum::http::Request;

use crate::answer::{Answer, send};
use scene::Scene;

/// One requirement.
struct Row {
    name: &'static str,
    request: fn(&Scene) -> Request<Body>,
    status: u16,
    /// The last part of the problem's type; empty for none.
    problem: &'static str,
    /// What the body has to contain.
    words: &'static str,
}

const fn row(
    name: &'static str,
    request: fn(&Scene) -> Request<Body>,
    status: u16,
    problem: &'static str,
) -> Row {
    Row { name, request, status, problem, words: "" }
}

impl Row {
    /// The answer's body has to contain these words.
    const fn saying(self, words: &'static str) -> Self {
        Self { words, ..self }
    }

    fn holds(&self, answer: &Answer) -> bool {
        answer.status == self.status
            && answer.problem() == self.problem
            && String::from_utf8_lossy(&answer.body).contains(self.words)
    }
}

/// Sends each row's request, one after the other, and names all rows that do not hold.
fn hold(scene: Scene, rows: &[Row]) {
    let mut broken = Vec::new();
    for row in rows {
        let answer = send(&scene.process, (row.request)(&scene));
        if !row.holds(&answer) {
            let Row { name, status, problem, words, .. } = row;
            broken.push(format!("{name}: {status} {problem} {words} expected, {answer:?}"));
        }
    }
    scene.process.stop();
    assert!(broken.is_empty(), "{} of {} rows:\n{}", broken.len(), rows.len(), broken.join("\n"));
}
