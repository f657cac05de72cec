//! SIGTERM while certificates are being issued: every client is answered with its order or a clean refusal, the process
//! ends by itself, and after the next start nothing is half-done.
//!
//! Not a failure: a connection that is closed before its request was read, which shows in the order being `ready` as before.

use std::time::Duration;

use ingam_tests::challenge::{Prover, WebAnswers};
use ingam_tests::client::{CertificateRequest, Client, Order};
use ingam_tests::http::Answer;
use ingam_tests::jws::{Key, base64url};
use ingam_tests::server::Server;
use rcgen::KeyPair;
use rustix::process::Signal;
use serde_json::json;
use tokio::time::sleep;

const CLIENTS: usize = 24;
const ROUNDS: usize = 4;
const ENDED_WITHIN: Duration = Duration::from_secs(5);

/// Somebody whose order is ready.
struct Guest {
    client: Client,
    /// The account's key, PKCS #8.
    key: Vec<u8>,
    order: Order,
    request: CertificateRequest,
    name: String,
}

impl Guest {
    async fn new(server: &Server, prover: &Prover, name: String) -> Self {
        let key = KeyPair::generate().expect("rcgen makes P-256 keys").serialize_der();
        let mut client = Client::new(&server.site(), Key::es256_from(&key)).await.expect("a directory");
        client.register().await.expect("an account");
        let order = client.order(&[&name]).await.expect("an order");
        let order = client.prove(&order, prover).await.expect("a ready order");
        let request = CertificateRequest::of(&[&name]);
        Self { client, key, order, request, name }
    }

    async fn finalize(&mut self) -> Option<Answer> {
        let payload = json!({"csr": base64url(&self.request.der)});
        self.client.request(self.order.finalize()).payload(payload).send().await.ok()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_in_hand_ends_and_nothing_is_half_done() {
    let mut server = Server::start().await;
    let prover = Prover::Http(WebAnswers::listen(server.ports().http).await);
    let (mut answered, mut unanswered) = (0, 0);
    for round in 0..ROUNDS {
        let mut guests = Vec::new();
        for number in 0..CLIENTS {
            guests.push(Guest::new(&server, &prover, format!("{round}-{number}.ending.example.org")).await);
        }
        let mut finalizing = Vec::new();
        for mut guest in guests {
            finalizing.push(tokio::spawn(async move {
                let answer = guest.finalize().await;
                (guest, answer)
            }));
        }
        // From before the first request is read to after the last one is answered.
        sleep(Duration::from_millis(u64::try_from(round * 15).expect("a small number"))).await;
        server.signal(Signal::TERM);
        let mut ended = Vec::new();
        for task in finalizing {
            ended.push(task.await.expect("no client panics"));
        }
        assert!(server.ended(ENDED_WITHIN).await.success(), "SIGTERM ends it cleanly");
        server.restart().await;
        for (guest, answer) in ended {
            match &answer {
                Some(_) => answered += 1,
                None => unanswered += 1,
            }
            is_whole(&server, guest, answer).await;
        }
    }
    eprintln!("{answered} finalize requests were answered, {unanswered} connections were closed before");
    assert!(answered > 0, "some were in hand when the signal came");
    server.stop().await;
}

/// The order is what its client was told, or goes on to be.
async fn is_whole(server: &Server, guest: Guest, answer: Option<Answer>) {
    let Guest { key, order, request, name, .. } = guest;
    let mut again = Client::new(&server.site(), Key::es256_from(&key)).await.expect("a directory");
    again.find_account().await.expect("the account");
    let now = again.poll(&order.url, &["processing"]).await.expect("no order stays processing");
    match &answer {
        Some(answer) if answer.status == 200 => {
            assert_eq!(now.status(), "valid", "{name}: the client was told {answer}, and now {}", now.object);
        }
        Some(answer) => {
            let is_refusal = answer.header("content-type").starts_with("application/problem+json");
            assert!(is_refusal, "{name}: a refusal says why: {answer}");
            assert!(matches!(now.status(), "ready" | "valid"), "{name}: {answer}, and now {}", now.object);
        }
        None => assert_eq!(now.status(), "ready", "{name} was not answered, and still something was done"),
    }
    let valid = match now.status() {
        "ready" => again.finalize(&now, &request.der).await.expect("what was not done can be done now"),
        _ => now,
    };
    let chain = again.certificate(&valid).await.expect("a valid order has its certificate");
    assert_eq!(chain.names(), [name]);
    server.openssl().status(&chain).await.is_good();
}
