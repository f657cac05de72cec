//! Debian's unbound and named as recursive resolvers in front of the test zones: whoever is between us and the zones, each
//! name gets the verdict that our own recursion comes to, and what the resolver says of a failure reaches the problem.
//!
//! Not a failure: that words differ. A resolver that validates says SERVFAIL where we would say what is wrong.

mod resolver;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use ingam_protocol::acme::{ChallengeType, ErrorType};
use ingam_protocol::identifier::DnsName;
use ingam_protocol::time::FixedClock;
use ingam_validation::evidence::{Lookup, Proof};
use ingam_validation::zones::{NAMES, Zones};
use ingam_validation::{CaaQuery, Config, Failure, LocalPerspective, Validation as _};
use resolver::Resolver;
use tokio::task::JoinSet;

/// What came of one name: permission or the failure, and the lookup of the name itself.
struct Verdict {
    failure: Option<Failure>,
    lookup: Lookup,
}

/// Asks about every name at once.
async fn verdicts(config: Config) -> BTreeMap<&'static str, Verdict> {
    let clock = Arc::new(FixedClock::new(Default::default()));
    let perspective = Arc::new(LocalPerspective::new(config, clock).unwrap());
    let mut asking = JoinSet::new();
    for name in NAMES {
        let perspective = perspective.clone();
        asking.spawn(async move {
            let query = CaaQuery {
                name: DnsName::parse(name).unwrap(),
                wildcard: false,
                challenge: ChallengeType::Http01,
                account_uri: "https://ca.example/account/1".into(),
            };
            let outcome = perspective.check_caa(query).await;
            let lookup = outcome.evidence.lookups.into_iter().next().unwrap();
            (*name, Verdict { failure: outcome.result.err(), lookup })
        });
    }
    asking.join_all().await.into_iter().collect()
}

fn recursion(zones: &Zones, folder: &Path) -> Config {
    let anchors = folder.join("root.key");
    std::fs::write(&anchors, zones.anchors()).unwrap();
    Config { trust_anchors: Some(anchors), ..zones.recursion() }
}

fn through(resolver: &Resolver, config: &Config) -> Config {
    let server = resolver.address.into();
    Config { resolvers: vec![server], root_hints: Vec::new(), lookup_tries: 1, ..config.clone() }
}

fn compare(who: &str, ours: &BTreeMap<&str, Verdict>, theirs: &BTreeMap<&str, Verdict>) {
    let mut different = Vec::new();
    for (name, our) in ours {
        let their = &theirs[name];
        let same = match (&our.failure, &their.failure) {
            (None, None) => {
                let seen = |lookup: &Lookup| {
                    (lookup.response.clone(), lookup.values.clone(), lookup.aliases.clone(), lookup.proof)
                };
                seen(&our.lookup) == seen(&their.lookup)
            }
            (Some(our), Some(their)) => our.error == their.error,
            _ => false,
        };
        if !same {
            different.push(format!(
                "{name}: we say {:?} {:?}\n    {who} {:?} {:?}",
                our.failure, our.lookup, their.failure, their.lookup
            ));
        }
    }
    assert!(different.is_empty(), "{}", different.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn unbound_gives_the_same_verdicts_and_says_why() {
    let (zones, folder) = (Zones::serve().await, tempfile::tempdir().unwrap());
    let config = recursion(&zones, folder.path());
    let unbound = Resolver::unbound(&zones, folder.path()).await;
    let (ours, theirs) = (verdicts(config.clone()).await, verdicts(through(&unbound, &config)).await);
    compare("unbound", &ours, &theirs);

    assert_eq!(theirs["alias.secure.example"].lookup.proof, Some(Proof::Secure));
    assert_eq!(theirs["cdn.secure.example"].lookup.proof, Some(Proof::Insecure));
    for (name, code, words) in [
        ("corrupt.example", 6, "DNSSEC Bogus"),
        ("expired.example", 7, "Signature Expired"),
        ("otherkey.example", 9, "DNSKEY Missing"),
        ("unsigned.example", 10, "RRSIGs Missing"),
    ] {
        let verdict = &theirs[name];
        let failure = verdict.failure.as_ref().unwrap();
        assert_eq!(
            (failure.error, verdict.lookup.response.as_str()),
            (ErrorType::Dns, "SERVFAIL"),
            "{failure}"
        );
        let codes: Vec<u16> = verdict.lookup.extended_errors.iter().map(|error| error.code).collect();
        assert!(codes.contains(&code), "{name}: {codes:?} {failure}");
        let told = format!("DNS: SERVFAIL looking up CAA for {name} (extended error ");
        assert!(failure.detail.starts_with(&told) && failure.detail.contains(words), "{failure}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn named_gives_the_same_verdicts() {
    let (zones, folder) = (Zones::serve().await, tempfile::tempdir().unwrap());
    let config = recursion(&zones, folder.path());
    let named = Resolver::named(&zones, folder.path()).await;
    let (ours, theirs) = (verdicts(config.clone()).await, verdicts(through(&named, &config)).await);
    compare("named", &ours, &theirs);
}
