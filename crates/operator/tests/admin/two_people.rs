//! Proves that a dangerous act waits for a second person, who is another than the one who asked and has the act's role; that
//! it is done once, as it was asked for, and never after its time; and that each step is on record.

use ingam_operator::acts::Danger;
use ingam_protocol::operator::{Principal, Role};
use ingam_protocol::record::RecordType;
use ingam_protocol::{Id, Reason};
use ingam_store::StatusState;
use serde_json::{Value, json};

use crate::acts::{blocked_key, newcomer, told_case, waiting, why};
use crate::client::{Answer, Ask, get, post};
use crate::world::{DAY, Told, World};

use RecordType::{
    ApprovalChanged, CaseChanged, DataDisclosed, KeyUnblocked, OperatorActed, RevocationJobChanged,
    RoleGranted, RoleTaken,
};

fn careful() -> World {
    let world = World::with_two_people([
        Danger::MassRevocation,
        Danger::RoleChange,
        Danger::KeyUnblock,
        Danger::Disclosure,
    ]);
    world.somebody(&[Role::Administrator]);
    world
}

fn kinds(told: &[Told]) -> Vec<RecordType> {
    told.iter().map(|told| told.kind).collect()
}

/// Asks for it: it waits. Gives the approval's id.
fn ask(world: &World, who: Principal, ask: &Ask) -> Id {
    let before = world.rows();
    let (answer, told) = world.told(|| world.send(who, ask));
    assert_eq!(answer.status, 202, "{}", answer.text());
    let waiting = answer.json();
    assert_eq!(waiting["expires"], world.authority.clock().now().plus(DAY).to_rfc3339());
    assert_eq!(kinds(&told), [OperatorActed, ApprovalChanged]);
    assert_eq!(told[0].payload["outcome"], "waiting");
    assert_eq!(told[0].payload["operator"], who.to_string());
    let changed: Vec<_> = world.rows().into_keys().filter(|key| !before.contains_key(key)).collect();
    assert_eq!(changed.len(), 1, "nothing but what waits");
    assert_eq!(changed[0].0, "approvals");
    waiting["approval"].as_str().unwrap().parse().unwrap()
}

fn word(world: &World, who: Principal, id: Id, word: &str) -> (Answer, Vec<Told>) {
    let body = json!({ "reason": "looked at it" });
    world.told(|| world.send(who, &post(format!("/v1/approvals/{id}/{word}"), body)))
}

/// Each dangerous act: who may, how it is asked for, and what it leaves when it is done.
type Deed = (Role, fn(&World) -> Ask, &'static [RecordType], u16);

const DEEDS: [Deed; 5] = [
    (
        Role::Revoker,
        |world| {
            let serial = world.certificate(&world.account()).to_string();
            let body = json!({
                "selection": { "serials": [serial] }, "revocation_reason": "keyCompromise", "per_second": 5,
                "expected": 1, "reason": "ticket 12",
            });
            post("/v1/revocations", body)
        },
        &[RevocationJobChanged, RevocationJobChanged],
        201,
    ),
    (
        Role::Administrator,
        |world| {
            let body = json!({ "principal": newcomer(world), "role": "auditor", "reason": "ticket 12" });
            post("/v1/roles/grant", body)
        },
        &[RoleGranted],
        200,
    ),
    (
        Role::Administrator,
        |world| {
            let somebody = world.somebody(&[Role::Support]).to_string();
            post("/v1/roles/take", json!({ "principal": somebody, "role": "support", "reason": "ticket 12" }))
        },
        &[RoleTaken],
        200,
    ),
    (
        Role::Administrator,
        |world| post(format!("/v1/keys/{}/unblock", blocked_key(world)), why()),
        &[KeyUnblocked],
        200,
    ),
    (
        Role::Administrator,
        |world| {
            let body = json!({ "fields": ["contacts"], "reason": "ticket 12" });
            post(format!("/v1/cases/{}/disclose", told_case(world)), body)
        },
        &[CaseChanged, DataDisclosed],
        200,
    ),
];

#[test]
fn a_second_person_agrees_and_it_is_done_once() {
    let world = careful();
    for (role, make, leaves, _) in DEEDS {
        let (one, two, three) = (world.somebody(&[role]), world.somebody(&[role]), world.somebody(&[role]));
        let id = ask(&world, one, &make(&world));
        let shown = world.send(two, &get(format!("/v1/approvals/{id}"))).json();
        assert_eq!((&shown["status"], &shown["by"]), (&json!("waiting"), &json!(one.to_string())));
        assert_eq!(shown["reason"], "ticket 12");

        let before = world.rows();
        let (own, told) = word(&world, one, id, "approve");
        assert_eq!(own.problem(), (409, "conflict".to_owned()));
        assert_eq!((kinds(&told), &told[0].payload["outcome"]), (vec![OperatorActed], &json!("refused")));
        assert!(world.rows() == before, "one person alone changed something");

        let (done, told) = word(&world, two, id, "approve");
        assert_eq!(done.status, 200, "{}", done.text());
        let done = done.json();
        assert_eq!(done["approval"]["status"], "approved");
        assert_eq!(done["approval"]["decided_by"], two.to_string());
        assert!(done["result"].is_object(), "what the act answered");
        let expected: Vec<_> =
            leaves.iter().copied().chain([OperatorActed, OperatorActed, ApprovalChanged]).collect();
        assert_eq!(kinds(&told), expected);
        let acts: Vec<_> =
            told.iter().filter(|told| told.kind == OperatorActed).map(|told| &told.payload).collect();
        assert!(acts.iter().all(|act| act["operator"] == two.to_string() && act["outcome"] == "done"));
        let doing = acts.iter().find(|act| act.get("asked_by").is_some()).expect("the doing itself");
        assert_eq!((&doing["asked_by"], &doing["reason"]), (&json!(one.to_string()), &json!("ticket 12")));
        let deciding = acts.iter().find(|act| act.get("asked_by").is_none()).expect("the word");
        assert_eq!(
            (&deciding["reason"], &deciding["what"]["decided"]),
            (&json!("looked at it"), &json!(true))
        );

        for (who, word_of) in [(two, "approve"), (three, "approve"), (three, "refuse"), (one, "refuse")] {
            let before = world.rows();
            let (again, told) = word(&world, who, id, word_of);
            assert_eq!(again.problem(), (409, "conflict".to_owned()));
            assert_eq!((kinds(&told), world.rows() == before), (vec![OperatorActed], true));
        }
    }
    world.stop();
}

/// What was asked for is what is done: to the letter, and to the certificate.
#[test]
fn what_is_done_is_what_was_agreed_to() {
    let world = careful();
    let (one, two) = (world.somebody(&[Role::Revoker]), world.somebody(&[Role::Revoker]));
    let account = world.account();
    let (wanted, other) = (world.certificate(&account), world.certificate(&account));
    let body = json!({
        "selection": { "serials": [wanted.to_string()] }, "revocation_reason": "keyCompromise",
        "per_second": 5, "expected": 1, "reason": "ticket 12",
    });
    let id = ask(&world, one, &post("/v1/revocations", body));
    let (done, _) = word(&world, two, id, "approve");
    let result = &done.json()["result"];
    assert_eq!((&result["total"], &result["by"]), (&json!(1), &json!(two.to_string())));
    assert_eq!(result["selection"], json!({ "serials": [wanted.to_string()] }));
    let mut runner = ingam_authority::operator::JobRunner::new(world.authority.clone());
    runner.look().unwrap();
    world.run(runner.tick(std::time::Duration::from_secs(1))).unwrap();
    let issuer = "ecdsa".to_owned().try_into().unwrap();
    let state = |serial| world.store.statuses().status(&issuer, serial).unwrap().unwrap().state;
    assert!(matches!(state(&wanted), StatusState::Revoked { reason: Reason::KeyCompromise, .. }));
    assert_eq!(state(&other), StatusState::Good);
    world.stop();
}

#[test]
fn without_the_acts_role_nobody_decides() {
    let world = careful();
    for (role, make, ..) in DEEDS {
        let asker = world.somebody(&[role]);
        let id = ask(&world, asker, &make(&world));
        let act = world.send(asker, &get(format!("/v1/approvals/{id}"))).json()["act"].clone();
        for other in std::iter::once(None).chain(Role::ALL.map(Some)) {
            let may = other == Some(Role::Administrator) || other == Some(role);
            if may {
                continue;
            }
            let who = world.somebody(other.as_slice());
            for word_of in ["approve", "refuse"] {
                let before = world.rows();
                let (refused, told) = word(&world, who, id, word_of);
                assert_eq!(refused.problem(), (403, "role-needed".to_owned()), "{act} by {other:?}");
                assert_eq!((kinds(&told), world.rows() == before), (vec![OperatorActed], true));
                assert_eq!(told[0].payload["outcome"], "refused");
                let reads = matches!(other, Some(Role::Auditor | Role::Revoker));
                let named = if reads { act.clone() } else { json!("approval.list") };
                assert_eq!(told[0].payload["act"], named, "by {other:?}");
            }
        }
    }
    world.stop();
}

#[test]
fn what_is_refused_taken_back_or_out_of_time_is_not_done() {
    let world = careful();
    for (role, make, ..) in DEEDS {
        let (one, two) = (world.somebody(&[role]), world.somebody(&[role]));
        for who in [one, two] {
            let id = ask(&world, one, &make(&world));
            let (refused, told) = word(&world, who, id, "refuse");
            assert_eq!(refused.json()["approval"]["status"], "refused");
            assert!(refused.json().get("result").is_none());
            assert_eq!(kinds(&told), [OperatorActed, ApprovalChanged]);
            assert_eq!(word(&world, two, id, "approve").0.problem().0, 409);
        }
        let id = ask(&world, one, &make(&world));
        world.clock.advance(DAY);
        let shown = world.send(two, &get(format!("/v1/approvals/{id}"))).json();
        assert_eq!(shown["status"], "expired");
        for word_of in ["approve", "refuse"] {
            let before = world.rows();
            let (late, told) = word(&world, two, id, word_of);
            assert_eq!(late.problem(), (409, "conflict".to_owned()));
            assert_eq!((kinds(&told), world.rows() == before), (vec![OperatorActed], true));
        }
    }
    world.stop();
}

/// Both agree in the same moment: one of them does it.
#[test]
fn of_two_who_agree_at_once_one_does_it() {
    let world = careful();
    let [one, two, three] = [(); 3].map(|()| world.somebody(&[Role::Administrator]));
    let id = ask(&world, one, &DEEDS[1].1(&world));
    let approve = post(format!("/v1/approvals/{id}/approve"), why());
    let (answers, told) = world.told(|| {
        world.run(async {
            use tower::ServiceExt as _;
            let send = |who| world.router.clone().oneshot(approve.request(Some(who)));
            let (two, three) = tokio::join!(send(two), send(three));
            [two.unwrap().status().as_u16(), three.unwrap().status().as_u16()]
        })
    });
    assert!(answers == [200, 409] || answers == [409, 200], "{answers:?}");
    assert_eq!(kinds(&told).iter().filter(|kind| **kind == RoleGranted).count(), 1);
    world.stop();
}

/// Whoever agreed hangs up at once: what was decided is done all the same, as nobody can decide it again.
#[test]
fn what_was_agreed_to_is_done_even_if_nobody_waits_for_it() {
    let world = careful();
    let [one, two] = [(); 2].map(|()| world.somebody(&[Role::Administrator]));
    let ids: Vec<_> = (0..20).map(|_| ask(&world, one, &DEEDS[1].1(&world))).collect();
    world.run(async {
        use tower::ServiceExt as _;
        for id in &ids {
            let approve = post(format!("/v1/approvals/{id}/approve"), why());
            let mut answer = Box::pin(world.router.clone().oneshot(approve.request(Some(two))));
            // Let go as soon as the decision is on its way.
            std::future::poll_fn(|context| {
                let _ = answer.as_mut().poll(context);
                std::task::Poll::Ready(())
            })
            .await;
        }
    });
    let done =
        || world.store.role_grants().unwrap().iter().filter(|grant| grant.role == Role::Auditor).count();
    world.run(async {
        for _ in 0..1_000_000 {
            if done() == ids.len() {
                return;
            }
            tokio::task::yield_now().await;
        }
        panic!("{} were agreed to, {} done", ids.len(), done());
    });
    world.stop();
}

/// What cannot be done any more by then is refused, on record, and stays decided.
#[test]
fn what_has_become_impossible_is_refused_on_record() {
    let world = careful();
    let [one, two] = [(); 2].map(|()| world.somebody(&[Role::Administrator]));
    let body = json!({ "principal": newcomer(&world), "role": "auditor", "reason": "ticket 12" });
    let twice = [(); 2].map(|()| ask(&world, one, &post("/v1/roles/grant", body.clone())));
    assert_eq!(word(&world, two, twice[0], "approve").0.status, 200);
    let (impossible, told) = word(&world, two, twice[1], "approve");
    assert_eq!(impossible.problem(), (409, "conflict".to_owned()));
    assert_eq!(kinds(&told), [OperatorActed, OperatorActed, ApprovalChanged]);
    let outcomes: Vec<_> = told.iter().filter_map(|told| told.payload["outcome"].as_str()).collect();
    assert!(outcomes.contains(&"refused") && outcomes.contains(&"done"), "agreed to, and not done");
    assert_eq!(word(&world, two, twice[1], "approve").0.problem().0, 409);
    world.stop();
}

#[test]
fn nonsense_is_refused_before_anybody_is_asked() {
    let world = careful();
    let boss = world.somebody(&[Role::Administrator]);
    let revocation = |changes: Value| {
        let mut body = json!({
            "selection": { "name": "a.example.org" }, "revocation_reason": "superseded", "per_second": 5,
            "expected": 1, "reason": "ticket 12",
        });
        changes.as_object().unwrap().iter().for_each(|(key, value)| body[key] = value.clone());
        post("/v1/revocations", body)
    };
    let role = |principal: &str, role: &str| {
        post("/v1/roles/grant", json!({ "principal": principal, "role": role, "reason": "ticket 12" }))
    };
    for nonsense in [
        revocation(json!({ "selection": {} })),
        revocation(json!({ "selection": { "name": "*.example.org" } })),
        revocation(json!({ "revocation_reason": "boredom" })),
        revocation(json!({ "per_second": 0 })),
        revocation(json!({ "per_second": 10_001 })),
        role("root", "auditor"),
        role("uid:01", "auditor"),
        role("uid:1", "emperor"),
        post("/v1/keys/short/unblock", why()),
    ] {
        let before = world.rows();
        let (refused, told) = world.told(|| world.send(boss, &nonsense));
        assert_eq!((refused.problem().0, told), (422, Vec::new()), "{nonsense:?}");
        assert!(world.rows() == before);
    }
    assert_eq!(world.send(boss, &get("/v1/approvals/AAAAAAAAAAAAAAAAAAAAAA")).problem().0, 404);
    world.stop();
}

/// Whoever asked has the role no more when the second person comes: it can only be refused.
#[test]
fn nothing_is_done_for_somebody_who_may_not_ask_any_more() {
    let world = careful();
    let boss = world.somebody(&[Role::Administrator]);
    // Put down by somebody without any role.
    let id = waiting(&world);
    let before = world.rows();
    let (gone, told) = word(&world, boss, id, "approve");
    assert_eq!(gone.problem(), (409, "conflict".to_owned()));
    assert_eq!((kinds(&told), &told[0].payload["outcome"]), (vec![OperatorActed], &json!("refused")));
    assert!(world.rows() == before, "it was done all the same");
    assert_eq!(word(&world, boss, id, "refuse").0.status, 200);
    world.stop();
}

/// What does not need two people by the configuration is done at once.
#[test]
fn what_is_not_set_to_wait_does_not() {
    let world = World::with_two_people([Danger::KeyUnblock]);
    world.somebody(&[Role::Administrator]);
    for (role, make, _, done) in &DEEDS[..3] {
        let answer = world.send(world.somebody(&[*role]), &make(&world));
        assert_eq!(answer.status, *done, "{}", answer.text());
    }
    ask(&world, world.somebody(&[Role::Administrator]), &DEEDS[3].1(&world));
    world.stop();
}
