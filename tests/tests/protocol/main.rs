//! RFC 8555 from the outside, by requests that no good client sends as well as by those that it does: transport,
//! JWS and nonces, accounts, orders, challenges, finalize, revocation.
//!
//! Each test has a process of its own and tells one story. What is asserted is the HTTP status, the problem type and
//! whatever the RFC or the project's own specification promises. Not a failure: the wording of details, members that
//! these tests do not know, and which of two fitting problem types a refusal has where the RFC leaves that open.

mod accounts;
mod challenges;
mod finalize;
mod identifiers;
mod jws;
mod limits;
mod orders;
mod revocation;
mod transport;
mod trials;

use ingam_tests::certificate::Chain;
use ingam_tests::challenge::{Prover, WebAnswers};
use ingam_tests::client::{CertificateRequest, Client, Order};
use ingam_tests::http::Answer;
use ingam_tests::jws::Key;
use ingam_tests::server::Server;

/// A server, and a client with an account there.
async fn start() -> (Server, Client) {
    let server = Server::start().await;
    let client = Client::registered(&server.site()).await.expect("an account");
    (server, client)
}

/// Another client of the same server, with a new ES256 key and no account yet.
async fn stranger(server: &Server) -> Client {
    Client::new(&server.site(), Key::es256()).await.expect("a directory")
}

/// What answers http-01 for this server.
async fn web(server: &Server) -> Prover {
    Prover::Http(WebAnswers::listen(server.ports().http).await)
}

/// An issued certificate, its order and its key.
struct Issued {
    order: Order,
    chain: Chain,
    request: CertificateRequest,
}

async fn issue(client: &mut Client, names: &[&str], prover: &Prover) -> Issued {
    let request = CertificateRequest::of(names);
    let (order, chain) = client.issue(names, &request, prover).await.expect("a certificate");
    Issued { order, chain, request }
}

/// Asserts a problem of one of these types, with a status that is the client's fault.
#[track_caller]
fn refused_as_one_of(answer: Answer, problems: &[&str]) -> serde_json::Value {
    let problem = answer.problem();
    assert!(problems.contains(&problem.as_str()), "this should be one of {problems:?}: {answer}");
    assert!((400..500).contains(&answer.status), "a refusal has a 4xx status: {answer}");
    let status = answer.status;
    answer.refused(status, &problem)
}

/// Asserts that a resource of somebody else is not shown: 401 or 403 `unauthorized`, or 404.
#[track_caller]
fn kept_out(answer: Answer) {
    assert!([401, 403, 404].contains(&answer.status), "a stranger is kept out: {answer}");
    refused_as_one_of(answer, &["unauthorized", "malformed"]);
}
