//! Beside RFC 8555: whether a name would validate now, which an account asks without an order, and what that leaves behind.

use ingam_tests::challenge::WebAnswers;
use ingam_tests::client::Client;
use ingam_tests::http::Answer;
use ingam_tests::server::{Server, Setup};
use serde_json::json;

async fn attempt(client: &mut Client, name: &str, challenge: &str) -> Answer {
    let payload = json!({"identifier": {"type": "dns", "value": name}, "challenge": challenge});
    client.post(&client.resource("validationDryRun"), &payload).await.expect("an answer")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_missing_is_told_until_it_is_there() {
    let server = Server::start().await;
    let mut client = Client::registered(&server.site()).await.expect("an account");
    let before = attempt(&mut client, "www.example.org", "http-01").await.expect(200).json();
    assert_eq!(before["wouldValidate"], false, "{before}");
    assert_eq!(before["control"]["error"]["type"], "urn:ietf:params:acme:error:connection");
    assert_eq!(before["caa"], json!({"passed": true, "error": null, "quorum": null, "remotes": []}));

    let answers = WebAnswers::listen(server.ports().http).await;
    let text = |member: &str| before[member].as_str().expect("a text").to_owned();
    answers.set(&text("token"), text("keyAuthorization"));
    let after = attempt(&mut client, "www.example.org", "http-01").await.expect(200).json();
    assert_eq!((&after["wouldValidate"], &after["token"]), (&json!(true), &before["token"]));
    assert_eq!(after["validationRecord"][0]["hostname"], "www.example.org");

    // Nothing came of it.
    let orders = client.read(&format!("{}/orders", client.account())).await.expect("an answer");
    assert_eq!(orders.expect(200).json()["orders"], json!([]));
    let on_record = ["log", "search", "--type", "validation_tried", "--json", "--reason", "a test"];
    let on_record = server.admin(&on_record).await;
    let on_record = String::from_utf8_lossy(&on_record.succeeded().stdout).into_owned();
    assert_eq!(on_record.matches("\"validation_tried\"").count(), 2, "{on_record}");
}

#[tokio::test(flavor = "multi_thread")]
async fn trials_are_refused_as_orders_are_and_have_a_limit() {
    let limit = "[rate_limits.validation_trials_per_account]\ncount = 1\nperiod_s = 3600\n".to_owned();
    let server = Server::start_with(Setup { further_config: limit, ..Setup::new() }).await;
    let mut client = Client::registered(&server.site()).await.expect("an account");
    for (name, challenge, error) in [
        ("not a name", "http-01", "rejectedIdentifier"),
        ("*.example.org", "http-01", "malformed"),
        ("www.example.org", "email-reply-00", "malformed"),
    ] {
        let problem = attempt(&mut client, name, challenge).await.json();
        assert_eq!(problem["type"], format!("urn:ietf:params:acme:error:{error}"), "{problem}");
    }
    // What was refused cost nothing.
    attempt(&mut client, "www.example.org", "dns-01").await.expect(200);
    let refused = attempt(&mut client, "www.example.org", "dns-01").await;
    let problem = refused.refused(429, "rateLimited");
    assert!(problem["detail"].as_str().is_some_and(|why| why.contains("validation_trials_per_account")));
}
