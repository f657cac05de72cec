//! Who sees what somebody wants them to see.

use std::time::{Duration, Instant};

use ingam_tests::client::Client;
use ingam_tests::http::fetch;
use ingam_tests::perspective::{FIVE_REGIONS, Perspectives};

use crate::{EVERYBODY, error, finalized, proven, record};

#[tokio::test]
async fn a_hijack_seen_in_one_place_changes_nothing_and_in_more_is_refused() {
    let all = Perspectives::start(&FIVE_REGIONS).await;
    let mut client = Client::registered(&all.server.site()).await.expect("an account");
    // One of five sees another DNS: issued, and the record says who saw what.
    let name = "one.perspectives.test";
    let (order, _) = proven(&all, &mut client, name, &[0, 1, 2, 4, 5]).await;
    assert_eq!(order.status(), "ready");
    let order = finalized(&mut client, &order, name).await.expect("finalize is answered");
    assert_eq!(order.status(), "valid", "{}", order.object);
    let seen = record(&all, "validation_finished", name).await["payload"].clone();
    let corroboration = &seen["corroboration"];
    assert_eq!(corroboration["line"], "4/5", "{seen}");
    assert_eq!(corroboration["quorum"]["registries"], 4);
    let answers = corroboration["answers"].as_array().expect("answers one by one");
    assert_eq!(answers.len(), 5);
    assert_eq!(answers[2]["perspective"], "place-2");
    assert_eq!(answers[2]["failure"]["error"], "unauthorized", "{}", answers[2]);
    assert_eq!(answers[1]["evidence"]["lookups"][0]["record_type"], "TXT", "{}", answers[1]);
    assert!(
        answers.iter().all(|answer| answer["asked"].is_u64() && answer["answered"].is_u64()),
        "{corroboration}"
    );
    assert_eq!(seen["caa"]["corroboration"]["line"], "5/5", "CAA is corroborated, too: {seen}");
    let metrics = format!("http://127.0.0.1:{}/metrics", all.server.ports().metrics);
    let metrics = fetch(&metrics).await.expect("metrics").expect(200).text();
    for line in [
        "ingam_perspective_answers_total{perspective=\"place-2\",result=\"disagree\"} 1",
        "ingam_perspective_answers_total{perspective=\"place-0\",result=\"agree\"} 3",
        "ingam_certificate_expiry_timestamp_seconds{kind=\"coordinator\",name=\"perspectives\"}",
    ] {
        assert!(metrics.contains(line), "{line}:\n{metrics}");
    }
    let prepared = record(&all, "certificate_prepared", name).await["payload"].clone();
    assert_eq!(prepared["caa"][0]["corroboration"]["line"], "5/5", "{prepared}");
    // Two of five, all but the primary, and the primary itself: refused, whatever all others see.
    for (name, honest, told) in [
        (
            "two.perspectives.test",
            &[0, 1, 2, 3][..],
            "From 2 of 5 places the answer was another: from place-3: ",
        ),
        ("primary-alone.perspectives.test", &[0][..], "From 5 of 5 places the answer was another: "),
    ] {
        let (order, authorization) = proven(&all, &mut client, name, honest).await;
        assert_eq!(order.status(), "invalid", "{name}");
        let (kind, detail) = error(&authorization);
        assert_eq!(kind, "unauthorized");
        assert!(detail.starts_with(told) && detail.contains("the same answer"), "{detail}");
    }
    let (order, authorization) =
        proven(&all, &mut client, "deceived.perspectives.test", &[1, 2, 3, 4, 5]).await;
    assert_eq!(order.status(), "invalid");
    let (_, detail) = error(&authorization);
    assert!(!detail.contains("places"), "a failure of the primary is told in its own words: {detail}");
    let seen = record(&all, "validation_finished", "deceived.perspectives.test").await["payload"].clone();
    assert_eq!(seen["corroboration"]["line"], "5/5");
}

#[tokio::test]
async fn caa_is_asked_from_everywhere_before_each_certificate() {
    let all = Perspectives::start(&FIVE_REGIONS).await;
    let mut client = Client::registered(&all.server.site()).await.expect("an account");
    let name = "caa.perspectives.test";
    let (order, _) = proven(&all, &mut client, name, &EVERYBODY).await;
    assert_eq!(order.status(), "ready");
    // A record that forbids, and that the primary is not shown.
    for place in &all.places[1..3] {
        place.names.caa(name, "other-ca.example");
    }
    let refused = finalized(&mut client, &order, name).await.expect_err("two see what forbids").to_string();
    assert!(refused.contains("From 2 of 5 places the answer was another"), "{refused}");
    assert!(refused.contains("error:caa"), "{refused}");
}

#[tokio::test]
async fn those_that_agree_must_not_all_lie_in_one_region() {
    let all = Perspectives::start(&["APNIC", "APNIC", "APNIC", "APNIC", "ARIN"]).await;
    let mut client = Client::registered(&all.server.site()).await.expect("an account");
    let (order, _) = proven(&all, &mut client, "everywhere.perspectives.test", &EVERYBODY).await;
    assert_eq!(order.status(), "ready");
    // Four of five agree, and stand where one network operator may be master.
    let (order, authorization) = proven(&all, &mut client, "apnic.perspectives.test", &[0, 1, 2, 3, 4]).await;
    assert_eq!(order.status(), "invalid", "{authorization}");
    assert!(error(&authorization).1.contains("from place-4: "), "{authorization}");
}

#[tokio::test]
async fn a_place_that_is_gone_or_hangs_is_one_that_may_fail() {
    const WAIT_MS: u64 = 4000;
    let mut all = Perspectives::start_with(&FIVE_REGIONS, WAIT_MS).await;
    let mut client = Client::registered(&all.server.site()).await.expect("an account");
    all.places[0].hang().await;
    let begun = Instant::now();
    let (order, _) = proven(&all, &mut client, "hanging.perspectives.test", &EVERYBODY).await;
    assert_eq!(order.status(), "ready");
    // Control and CAA, each with the whole wait, and a machine that may be busy.
    assert!(begun.elapsed() < Duration::from_millis(3 * WAIT_MS), "{:?}", begun.elapsed());
    let seen = record(&all, "validation_finished", "hanging.perspectives.test").await["payload"].clone();
    let why = &seen["corroboration"]["answers"][0]["failure"]["detail"];
    assert_eq!(*why, "this perspective could not be asked: no answer within 4 seconds", "{seen}");
    all.places[0].kill().await;
    let (order, _) = proven(&all, &mut client, "gone.perspectives.test", &EVERYBODY).await;
    assert_eq!(order.status(), "ready");
    all.places[3].kill().await;
    let (order, authorization) = proven(&all, &mut client, "two-gone.perspectives.test", &EVERYBODY).await;
    assert_eq!(order.status(), "invalid");
    let (kind, detail) = error(&authorization);
    assert_eq!(kind, "serverInternal");
    assert!(detail.starts_with("From 2 of 5 places there was no answer"), "{detail}");
    assert!(detail.contains("not about your site"), "{detail}");
}
