//! RFC 8555 6.6: what a client meets whose operator set limits: the refusal, where it helps to wait, exceptions from it, and
//! that neither a dry run nor a renewal takes anything.

use ingam_tests::client::{CertificateRequest, Client};
use ingam_tests::http::Answer;
use ingam_tests::server::{Server, Setup};
use serde_json::{Value, json};

use crate::web;

/// A server that lets an account make three orders in a day.
async fn server() -> Server {
    let further_config = "[rate_limits.new_orders_per_account]\ncount = 3\nperiod_s = 86400\n".to_owned();
    Server::start_with(Setup { further_config, ..Setup::new() }).await
}

async fn order(client: &mut Client, resource: &str, name: &str) -> Answer {
    let payload = json!({"identifiers": [{"type": "dns", "value": name}]});
    client.post(&client.resource(resource), &payload).await.expect("an answer")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_is_told_and_an_exception_counts_at_once() {
    let server = server().await;
    let mut client = Client::registered(&server.site()).await.expect("an account");
    for number in 0..3 {
        order(&mut client, "newOrder", &format!("n{number}.example.org")).await.expect(201);
    }
    let refused = order(&mut client, "newOrder", "n3.example.org").await;
    let wait: u64 = refused.header("retry-after").parse().expect("Retry-After in seconds");
    assert!((1..=86_400 / 3).contains(&wait), "{refused}");
    let problem = refused.refused(429, "rateLimited");
    assert!(
        problem["detail"].as_str().is_some_and(|why| why.contains("new_orders_per_account")),
        "{problem}"
    );

    let tried = order(&mut client, "newOrderDryRun", "n3.example.org").await.expect(200).json();
    assert_eq!(tried["wouldSucceed"], false, "{tried}");
    let mut other = Client::registered(&server.site()).await.expect("an account");
    order(&mut other, "newOrder", "n3.example.org").await.expect(201);

    let account = client.account();
    let id = account.rsplit('/').next().expect("an id");
    let exception = ["limit", "override", "put", "new_orders_per_account", "--account", id, "--count", "100"];
    let until = ["--until", "+1d", "--reason", "moving"];
    server.admin(&[&exception[..], &until].concat()).await.succeeded();
    order(&mut client, "newOrder", "n3.example.org").await.expect(201);
}

#[tokio::test(flavor = "multi_thread")]
async fn dry_runs_and_renewals_take_nothing() {
    let server = server().await;
    let mut client = Client::registered(&server.site()).await.expect("an account");
    let prover = web(&server).await;
    let names = ["renewed.example.org"];
    let request = || CertificateRequest::of(&names);
    let (_, mut chain) = client.issue(&names, &request(), &prover).await.expect("a certificate");
    let left = |tried: &Value| tried["limits"][0]["remaining"].clone();
    let before = order(&mut client, "newOrderDryRun", names[0]).await.expect(200).json();
    for _ in 0..4 {
        let wish = json!({"replaces": chain.renewal_id()});
        let made = client.order_with(&names, wish).await.expect("an order beyond the limit");
        assert_eq!(made.status(), "ready", "{}", made.object);
        let made = client.finalize(&made, &request().der).await.expect("a certificate");
        chain = client.certificate(&made).await.expect("a chain");
    }
    let after = order(&mut client, "newOrderDryRun", names[0]).await.expect(200).json();
    assert_eq!((left(&before), left(&after)), (json!(2), json!(2)), "{after}");
}
