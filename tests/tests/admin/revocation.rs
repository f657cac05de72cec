//! Three hundred certificates of two accounts: half of them are revoked by a job that is held, taken up again, killed with
//! its process and goes on by itself; the other half stays as it is until its own turn.

use ingam_tests::certificate::Chain;
use ingam_tests::challenge::{Prover, WebAnswers};
use ingam_tests::client::{CertificateRequest, Client};
use ingam_tests::ocsp::{self, Hash, Status};
use ingam_tests::server::Server;
use serde_json::Value;

use crate::{config_of, server_with_operators, until};

const EACH: usize = 150;
/// Enough for one to begin while the runner looks no more at the one before.
const JOBS_IN_A_ROW: usize = 12;
/// cessationOfOperation (RFC 5280 5.3.1).
const CESSATION: Option<u8> = Some(5);

/// Somebody with many certificates.
struct Holder {
    /// The account's id.
    account: String,
    chains: Vec<Chain>,
}

impl Holder {
    async fn with_certificates(server: &Server, prover: &Prover, name: &str) -> Self {
        let mut client = Client::registered(&server.site()).await.expect("an account");
        let url = client.account();
        let account = url.rsplit('/').next().expect("an id ends the URL").to_owned();
        let mut chains = Vec::new();
        for number in 0..EACH {
            let name = format!("{number}.{name}");
            let request = CertificateRequest::of(&[&name]);
            chains.push(client.issue(&[&name], &request, prover).await.expect("a certificate").1);
        }
        Self { account, chains }
    }
}

async fn job(server: &Server, id: &str) -> Value {
    server.admin_json(&["job", "show", id]).await
}

fn revoked(job: &Value) -> u64 {
    job["revoked"].as_u64().expect("a number")
}

/// Arguments that revoke all certificates of an account; `further` ones say how.
fn revoke<'a>(holder: &'a Holder, expected: &'a str, further: &[&'a str]) -> Vec<&'a str> {
    let usual =
        ["revoke", "--account", &holder.account, "--execute", "--revocation-reason", "cessationOfOperation"];
    [&usual[..], &["--expected", expected, "--reason", "the contract ended", "--detach"], further].concat()
}

/// OCSP's and the CRL's word on every certificate is this.
async fn all_are(server: &Server, holder: &Holder, is_revoked: bool) {
    let mut connection = ocsp::connect(&holder.chains[0].ocsp_url());
    let crl = server.openssl().crl(&holder.chains[0]).await;
    for chain in &holder.chains {
        let request = ocsp::request_for(chain, Hash::Sha1);
        let answer =
            ocsp::post(&mut connection, &chain.ocsp_url(), &request).await.expect("an answer").expect(200);
        let status = ocsp::status(&answer.body);
        match &status {
            Status::Revoked { reason, .. } => {
                assert_eq!((is_revoked, *reason), (true, CESSATION), "{status:?}")
            }
            status => assert_eq!((is_revoked, status), (false, &Status::Good), "{}", chain.serial_hex()),
        }
        assert_eq!(crl.contains(chain), is_revoked, "the CRL and {}", chain.serial_hex());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_certificates_are_revoked_through_a_kill() {
    let (mut server, ca) = server_with_operators(|_| String::new()).await;
    let prover = Prover::Http(WebAnswers::listen(server.ports().http).await);
    let (leaving, staying) = tokio::join!(
        Holder::with_certificates(&server, &prover, "leaving.example.org"),
        Holder::with_certificates(&server, &prover, "staying.example.org"),
    );

    // A count changes nothing, and a wrong one keeps everything as it is; the API says so too, not the client alone.
    let plan = server.admin_json(&["revoke", "--account", &leaving.account]).await;
    assert_eq!((&plan["count"], &plan["accounts"]), (&EACH.into(), &1.into()), "{plan}");
    let wrong = server.admin(&revoke(&leaving, "149", &[])).await;
    assert_eq!(wrong.status.code(), Some(3), "{wrong}");
    let request = serde_json::json!({
        "selection": {"account": leaving.account}, "revocation_reason": "superseded", "per_second": 10,
        "expected": EACH - 1, "reason": "a test",
    });
    let wrong = server.admin(&["api", "POST", "/v1/revocations", "--body", &request.to_string()]).await;
    assert_eq!(wrong.status.code(), Some(3), "{wrong}");
    assert!(wrong.stderr.contains("150") && wrong.stderr.contains("149"), "{wrong}");
    all_are(&server, &leaving, false).await;

    let begun = server.admin_json(&revoke(&leaving, "150", &["--per-second", "20"])).await;
    let id = begun["id"].as_str().expect("a job has an id").to_owned();
    until("some are revoked", async || revoked(&job(&server, &id).await) >= 20).await;
    let held = server.admin_json(&["job", "pause", &id, "--reason", "a second thought"]).await;
    assert_eq!(held["state"], "paused", "{held}");
    // A step that had begun may still end; after it nothing moves.
    let once = revoked(&server.admin_json(&["job", "show", &id]).await);
    tokio::time::sleep(std::time::Duration::from_millis(1500)).await;
    let still = job(&server, &id).await;
    assert!(revoked(&still) <= once + 20 && revoked(&still) < 150, "{still}");
    let again = job(&server, &id).await;
    assert_eq!(revoked(&again), revoked(&still), "a held job revokes nothing");
    server.kill().await;
    server.restart().await;
    let kept = job(&server, &id).await;
    assert_eq!(
        (&kept["state"], revoked(&kept)),
        (&"paused".into(), revoked(&still)),
        "a held job stays held"
    );
    server.admin_json(&["job", "resume", &id, "--reason", "as agreed"]).await;
    until("it goes on", async || revoked(&job(&server, &id).await) >= revoked(&still) + 20).await;

    // Killed in the middle, it goes on by itself.
    server.kill().await;
    server.restart().await;
    let after = job(&server, &id).await;
    assert!(revoked(&after) < 150 || after["state"] == "done", "{after}");
    until("it ends", async || job(&server, &id).await["state"] == "done").await;
    let done = job(&server, &id).await;
    assert_eq!(
        (&done["total"], &done["revoked"], &done["skipped"]),
        (&150.into(), &150.into(), &0.into()),
        "{done}"
    );
    all_are(&server, &leaving, true).await;
    all_are(&server, &staying, false).await;
    let records = ["log", "search", "--type", "certificate_revoked", "--limit", "1000", "--reason", "a test"];
    let records = server.admin_json(&records).await;
    assert_eq!(records["items"].as_array().expect("records").len(), 150, "each revocation is on record once");
    let nothing = server.admin(&["revoke", "--account", &leaving.account]).await;
    assert_eq!(nothing.status.code(), Some(8), "{nothing}");

    a_cancelled_job_stops(&server, &staying).await;
    a_second_person_agrees(&mut server, &ca, &staying).await;
    all_are(&server, &staying, true).await;
}

/// What was revoked stays so, and the rest stays good.
async fn a_cancelled_job_stops(server: &Server, holder: &Holder) {
    let begun = server.admin_json(&revoke(holder, "150", &["--per-second", "1"])).await;
    let id = begun["id"].as_str().expect("a job has an id").to_owned();
    until("one is revoked", async || revoked(&job(server, &id).await) >= 1).await;
    let cancelled = server.admin_json(&["job", "cancel", &id, "--reason", "the wrong account"]).await;
    assert_eq!(cancelled["state"], "cancelled", "{cancelled}");
    let resumed = server.admin(&["job", "resume", &id, "--reason", "no, the right one"]).await;
    assert_eq!(resumed.status.code(), Some(3), "what was given up is over: {resumed}");
    let listed = server
        .admin_json(&["cert", "list", "--account", &holder.account, "--status", "revoked", "--all"])
        .await;
    let count = listed["items"].as_array().expect("certificates").len();
    assert_eq!(u64::try_from(count).ok(), Some(revoked(&job(server, &id).await)), "{cancelled}");
    assert!(count < 20, "at one in a second it has not come far: {count}");
}

/// With `operator.two_people`, the rest is revoked only once another administrator has agreed.
async fn a_second_person_agrees(server: &mut Server, ca: &ingam_tests::operator::ClientCa, holder: &Holder) {
    let ann = ca.person("ann");
    let operator = format!("administrators = [\"{}\"]\ntwo_people = [\"mass_revocation\"]", ann.principal);
    server.reconfigure(&config_of(ca, &operator));
    server.restart().await;
    let plan = server.admin_json(&["revoke", "--account", &holder.account]).await;
    let count = plan["count"].as_u64().expect("a number");
    let expected = count.to_string();
    let asked = server
        .admin(&[&revoke(holder, &expected, &["--per-second", "1000"])[..], &["--json"]].concat())
        .await;
    assert_eq!(asked.status.code(), Some(5), "it waits for a second person: {asked}");
    let waiting: Value = serde_json::from_str(&asked.text()).expect("JSON");
    let id = waiting["approval"].as_str().expect("an id");
    let own = server.admin(&["approval", "approve", id, "--reason", "I agree with myself"]).await;
    assert_eq!(own.status.code(), Some(3), "{own}");
    let plan = server.admin_json(&["revoke", "--account", &holder.account]).await;
    assert_eq!(plan["count"], count, "nothing is revoked yet");

    let agreed =
        ann.admin(server, &["--json", "approval", "approve", id, "--reason", "I looked"]).await.succeeded();
    let decision: Value = serde_json::from_str(&agreed.text()).expect("JSON");
    let job_id = decision["result"]["id"].as_str().expect("the job that was begun").to_owned();
    until("the job ends", async || job(server, &job_id).await["state"] == "done").await;
    assert_eq!(revoked(&job(server, &job_id).await), count);
}

/// A job that is begun in the moment in which the one before it ends is not forgotten.
#[tokio::test(flavor = "multi_thread")]
async fn jobs_one_upon_the_other_all_end() {
    let (server, _) = server_with_operators(|_| String::new()).await;
    let prover = Prover::Http(WebAnswers::listen(server.ports().http).await);
    let mut client = Client::registered(&server.site()).await.expect("an account");
    for number in 0..JOBS_IN_A_ROW {
        let name = format!("{number}.row.example.org");
        let request = CertificateRequest::of(&[&name]);
        let (_, chain) = client.issue(&[&name], &request, &prover).await.expect("a certificate");
        let serial = chain.serial_hex();
        let begin =
            ["revoke", "--serial", &serial, "--execute", "--revocation-reason", "superseded", "--detach"];
        let begun =
            server.admin_json(&[&begin[..], &["--expected", "1", "--reason", "a test"]].concat()).await;
        let id = begun["id"].as_str().expect("a job has an id").to_owned();
        until("the job ends", async || job(&server, &id).await["state"] == "done").await;
    }
}
