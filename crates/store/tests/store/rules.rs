//! Proves which of the operators' rules decides about a name or a wildcard, against a look at all rules, and that blocked
//! keys and rules are listed once each in pages of any length.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::future::join_all;
use ingam_protocol::identifier::{DnsName, Identifier};
use ingam_protocol::record::RecordType;
use ingam_protocol::time::{SeededRandom, random_array};
use ingam_protocol::{Reason, Serial};
use ingam_store::{
    Claimed, KeyBlock, KeyName, NameRule, NameVerdict, RevocationOutcome, RevocationRequest, Store,
};
use proptest::prelude::*;

use crate::made::{
    DAY, Disks, claim, id, insert_account, issue, issuer, on_both, operator, ready_order, record, run, start,
    wanted,
};

fn dns(name: &str) -> DnsName {
    DnsName::parse(name).unwrap()
}

fn rule(name: &str, verdict: NameVerdict, exact: bool) -> NameRule {
    NameRule { name: dns(name), verdict, exact, by: operator(1), at: start(), reason: "why".to_owned() }
}

/// A rule on record.
async fn put(store: &Store, rule: NameRule, random: &SeededRandom) {
    let told = record(RecordType::NameRuleChanged, id(random), random);
    store.name_rule_put(rule, vec![told]).await.unwrap();
}

/// Whether the rules leave an identifier alone.
fn is_allowed(store: &Store, text: &str) -> bool {
    let identifier = Identifier::parse_dns(text).unwrap();
    let decides = store.name_rule_for(&identifier).unwrap();
    let covered = identifier
        .is_wildcard()
        .then(|| store.name_rule_under_wildcard(identifier.name().unwrap()).unwrap())
        .flatten();
    decides.is_none_or(|rule| rule.verdict == NameVerdict::Allow) && covered.is_none()
}

#[test]
fn the_nearest_rule_wins_and_an_exact_one_is_for_its_name_alone() {
    on_both(async |store, random| {
        put(store, rule("example.org", NameVerdict::Block, false), random).await;
        put(store, rule("good.example.org", NameVerdict::Allow, false), random).await;
        put(store, rule("bad.good.example.org", NameVerdict::Block, true), random).await;
        put(store, rule("www.example.org", NameVerdict::Allow, true), random).await;
        put(store, rule("only.example.net", NameVerdict::Block, true), random).await;
        for blocked in [
            "example.org",
            "a.example.org",
            "a.b.example.org",
            "bad.good.example.org",
            "a.www.example.org",
            "only.example.net",
        ] {
            assert!(!is_allowed(store, blocked), "{blocked}");
        }
        for allowed in [
            "good.example.org",
            "a.good.example.org",
            "a.bad.good.example.org",
            "www.example.org",
            "badexample.org",
            "example.org.example.com",
            "a.only.example.net",
            "example.net",
        ] {
            assert!(is_allowed(store, allowed), "{allowed}");
        }
    });
}

/// A wildcard is for every name one label below its base: it is blocked with any of them, and with no other.
#[test]
fn a_wildcard_is_decided_by_what_it_covers() {
    on_both(async |store, random| {
        put(store, rule("example.org", NameVerdict::Block, false), random).await;
        put(store, rule("www.example.org", NameVerdict::Allow, true), random).await;
        put(store, rule("good.example.org", NameVerdict::Allow, false), random).await;
        put(store, rule("only.example.net", NameVerdict::Block, true), random).await;
        put(store, rule("deep.a.example.com", NameVerdict::Block, true), random).await;
        put(store, rule("base.example.com", NameVerdict::Block, false), random).await;
        // www.example.org alone was allowed, nothing below it.
        for blocked in ["*.example.org", "*.www.example.org", "*.example.net", "*.a.example.com"] {
            assert!(!is_allowed(store, blocked), "{blocked}");
        }
        assert!(!is_allowed(store, "*.example.com"), "it covers base.example.com");
        // Nothing that *.only.example.net covers is blocked, nor anything two labels down.
        for allowed in ["*.good.example.org", "*.only.example.net", "*.b.example.com", "*.deep.a.example.com"]
        {
            assert!(is_allowed(store, allowed), "{allowed}");
        }
        assert!(store.name_rule_delete(dns("base.example.com"), Vec::new()).await.unwrap());
        assert!(is_allowed(store, "*.example.com"), "the rule was taken back");
        put(store, rule("base.example.com", NameVerdict::Block, true), random).await;
        assert!(!is_allowed(store, "*.example.com"));
        put(store, rule("base.example.com", NameVerdict::Allow, true), random).await;
        assert!(is_allowed(store, "*.example.com"), "the rule was replaced");
    });
}

#[test]
fn a_wildcard_is_blocked_by_the_last_of_very_many_rules() {
    let random = Arc::new(SeededRandom::new(5));
    let open = Disks::default().open(&random).unwrap();
    run(async {
        for chunk in 0..21 {
            let names = (0..500).map(|number| format!("n{}.a.example.org", chunk * 500 + number));
            join_all(names.map(|name| put(&open.store, rule(&name, NameVerdict::Block, false), &random)))
                .await;
        }
        assert!(is_allowed(&open.store, "*.example.org"));
        put(&open.store, rule("z.example.org", NameVerdict::Block, false), &random).await;
    });
    assert!(!is_allowed(&open.store, "*.example.org"));
    open.close();
}

/// All names of up to three labels below `t` that can be made of two labels.
fn names() -> Vec<String> {
    let mut all = vec!["t.t".to_owned()];
    for depth in 0..2 {
        let longer: Vec<_> = all[depth..]
            .iter()
            .flat_map(|name| ["a", "a-b"].map(|label| format!("{label}.{name}")))
            .collect();
        all.extend(longer);
    }
    all.sort();
    all.dedup();
    all
}

/// What the rules say of a name, by looking at all of them.
fn verdict(rules: &BTreeMap<String, (bool, bool)>, name: &str) -> bool {
    let mut decides: Option<(usize, bool)> = None;
    for (own, (blocks, exact)) in rules {
        let holds = own == name || (!exact && name.ends_with(&format!(".{own}")));
        if holds && decides.is_none_or(|(length, _)| own.len() > length) {
            decides = Some((own.len(), *blocks));
        }
    }
    !decides.is_some_and(|(_, blocks)| blocks)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn rules_decide_as_a_look_at_all_of_them_would(
        made in proptest::collection::vec((0..16_usize, any::<bool>(), any::<bool>(), any::<bool>()), 0..8),
    ) {
        let random = Arc::new(SeededRandom::new(5));
        let open = Disks::default().open(&random).unwrap();
        let names = names();
        let mut rules = BTreeMap::new();
        for (index, blocks, exact, taken_back) in made {
            let name = &names[index % names.len()];
            let verdict = if blocks { NameVerdict::Block } else { NameVerdict::Allow };
            run(put(&open.store, rule(name, verdict, exact), &random));
            rules.insert(name.clone(), (blocks, exact));
            if taken_back {
                prop_assert!(run(open.store.name_rule_delete(dns(name), Vec::new())).unwrap());
                rules.remove(name);
            }
        }
        for name in &names {
            prop_assert_eq!(is_allowed(&open.store, name), verdict(&rules, name), "{} of {:?}", name, rules);
            // What a wildcard covers: the names that rules know, and one that none does.
            let labels = ["a", "a-b", "unheard-of"];
            let covered = labels.iter().all(|label| verdict(&rules, &format!("{label}.{name}")));
            prop_assert_eq!(is_allowed(&open.store, &format!("*.{name}")), covered, "*.{} of {:?}", name, rules);
        }
        open.close();
    }
}

#[test]
fn rules_come_once_each_in_pages_of_any_length() {
    on_both(async |store, random| {
        let all = ["a-b.example.org", "a.example.org", "example.org", "b.a.example.org", "example-x.org"];
        for name in all {
            put(store, rule(name, NameVerdict::Block, false), random).await;
        }
        let ordered = ["example-x.org", "example.org", "a.example.org", "b.a.example.org", "a-b.example.org"];
        let whole = store.name_rules(None, 100).unwrap();
        let mut found: Vec<_> = whole.iter().map(|rule| rule.name.as_str()).collect();
        let mut sorted = ordered.to_vec();
        found.sort_unstable();
        sorted.sort_unstable();
        assert_eq!(found, sorted);
        for limit in 1..=6 {
            let mut paged: Vec<NameRule> = Vec::new();
            loop {
                let after = paged.last().map(|rule| rule.name.clone());
                let page = store.name_rules(after.as_ref(), limit).unwrap();
                if page.is_empty() {
                    break;
                }
                assert!(page.len() <= limit);
                paged.extend(page);
            }
            assert_eq!(paged, whole, "by {limit}");
        }
        assert!(!store.name_rule_delete(dns("c.example.org"), Vec::new()).await.unwrap());
    });
}

/// The rule and the claim are two transactions, one after the other: no claim comes behind a rule that was answered for.
#[test]
fn an_order_for_a_blocked_name_is_not_claimed() {
    on_both(async |store, random| {
        let account = insert_account(store, random).await.id;
        for (name, blocked) in [
            ("a.example.org", "example.org"),
            ("*.example.net", "a.example.net"),
            ("b.example.com", "a.example.com"),
        ] {
            let order = ready_order(store, account, name, random).await;
            let claim = claim(random);
            let told = record(RecordType::CertificatePrepared, order, random);
            let (_, claimed) = tokio::join!(
                put(store, rule(blocked, NameVerdict::Block, false), random),
                store.order_claim(order, claim.clone(), start(), told, Vec::new()),
            );
            let claimed = claimed.unwrap();
            if name == "b.example.com" {
                assert!(matches!(claimed, Claimed::Yes), "{name}: {claimed:?}");
            } else {
                assert!(matches!(claimed, Claimed::NameBlocked), "{name}: {claimed:?}");
                assert!(store.statuses().status(&issuer(), &claim.serial).unwrap().is_none());
            }
        }
    });
}

pub(crate) fn block(thumbprint: [u8; 32], comment: &str) -> KeyBlock {
    KeyBlock {
        hash: thumbprint.as_slice().into(),
        named_by: KeyName::Thumbprint,
        at: start(),
        reason: Reason::KeyCompromise,
        serial: None,
        by: Some(operator(1)),
        comment: Some(comment.to_owned()),
        source: None,
    }
}

#[test]
fn a_key_is_blocked_once_until_it_is_let_go() {
    on_both(async |store, random| {
        let mut thumbprints: Vec<[u8; 32]> = (0..5).map(|_| random_array(random)).collect();
        thumbprints.sort_unstable();
        for thumbprint in &thumbprints {
            assert!(!store.key_blocked(thumbprint).unwrap());
            let told = vec![record(RecordType::KeyBlocked, id(random), random)];
            assert!(store.key_block_insert(block(*thumbprint, "first"), told.clone()).await.unwrap());
            assert!(!store.key_block_insert(block(*thumbprint, "second"), told).await.unwrap());
            let kept = store.key_block(thumbprint).unwrap().unwrap();
            assert_eq!(kept, block(*thumbprint, "first"), "the first word stays");
        }
        for limit in 1..=6 {
            let mut paged: Vec<KeyBlock> = Vec::new();
            loop {
                let after = paged.last().map(|block| block.hash.to_vec());
                let page = store.key_blocks(after.as_deref(), limit).unwrap();
                if page.is_empty() {
                    break;
                }
                paged.extend(page);
            }
            let found: Vec<_> = paged.iter().map(|block| block.hash.to_vec()).collect();
            assert_eq!(found, thumbprints.iter().map(|known| known.to_vec()).collect::<Vec<_>>());
        }
        assert!(store.key_block_delete(thumbprints[0], Vec::new()).await.unwrap());
        assert!(!store.key_block_delete(thumbprints[0], Vec::new()).await.unwrap());
        assert!(!store.key_blocked(&thumbprints[0]).unwrap());
        assert_eq!(store.key_block(&thumbprints[0]).unwrap(), None);
    });
}

/// Who blocked a key first, when and why, is not written over by a later revocation that blocks it too.
#[test]
fn a_revocation_leaves_an_earlier_block_of_the_key_as_it_is() {
    on_both(async |store, random| {
        let account = insert_account(store, random).await.id;
        let wish = wanted(account, random);
        let (_, serial) = issue(store, wish.clone(), random).await;
        store.key_block_insert(block(wish.thumbprint, "found in a paste"), Vec::new()).await.unwrap();
        let revoke = async |serial: &Serial, reason| {
            let request = RevocationRequest {
                issuer: issuer(),
                serial: serial.clone(),
                reason,
                at: start().plus(DAY),
                block_key: Some(wish.thumbprint),
                operator: Some((operator(2), "later".to_owned())),
            };
            store.certificate_revoke(request, Vec::new()).await.unwrap()
        };
        assert_eq!(revoke(&serial, Reason::Superseded).await, RevocationOutcome::Revoked);
        assert_eq!(revoke(&serial, Reason::KeyCompromise).await, RevocationOutcome::Revoked);
        let kept = store.key_block(&wish.thumbprint).unwrap().unwrap();
        assert_eq!(kept, block(wish.thumbprint, "found in a paste"));
    });
}
