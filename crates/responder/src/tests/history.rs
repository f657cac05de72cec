//! Any history of a CA, step by step, held against a plain list of what happened.
//!
//! Certificates are begun, given up, signed, too late, revoked and over; the signer is away, comes back and gets another
//! certificate; the power goes, and the responder starts again over the store that is left; time passes. After each step
//! every serial number is asked for by SHA-1 and SHA-256, with a nonce and without, and so is one that nobody has. No
//! answer may call good what was never issued or is revoked, be over or not have begun, or be another issuer's; and
//! whoever can be answered is. Not a failure: `tryLater` while the signer is away.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use ingam_protocol::ocsp::ErrorStatus;
use ingam_protocol::time::Clock;
use ingam_protocol::{Reason, Timestamp};
use ingam_store::RevocationOutcome;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::store::{Begun, Deed, StoreOfTests};
use super::world::*;
use crate::config::{Config, InAdvance, Nonces};
use crate::http::Responder;
use crate::ocsp::Presigner;
use crate::statuses::Statuses;

const ISSUERS: [&str; 2] = ["e1", "e2"];
const NONCE: &[u8] = b"0123456789abcdef";

/// What happens next.
#[derive(Clone, Debug)]
enum Step {
    /// A serial number is set aside at one of the issuers, for a certificate of so many hours; then this is done with it.
    Begin(usize, u64, &'static [Deed]),
    /// This is done with one of those that were begun.
    GoOn(Index, Deed),
    Revoke(Index, Reason),
    Wait(Duration),
    PowerCut,
    /// All is signed that should be before anybody asks, where that is on.
    SignAhead,
    SignerGoes,
    SignerReturns,
    /// The signer has a certificate from now on that lasts for so many hours.
    SignerRenews(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    use Deed::{Ask, Complete, GiveUp, Precertify};
    let ways: [&'static [Deed]; 8] = [
        &[Ask, Complete],
        &[Ask, Complete],
        &[Ask, Precertify, Complete],
        &[Ask, Precertify],
        &[],
        &[Ask],
        &[GiveUp],
        &[Ask, GiveUp],
    ];
    let reasons = [Reason::Unspecified, Reason::KeyCompromise, Reason::Superseded];
    // In seconds: around three days, three and a half, and seven.
    let waits = [
        1, 59, 3_600, 28_800, 86_400, 259_199, 259_200, 302_399, 302_400, 302_401, 604_798, 604_799, 604_800,
    ];
    let wait = (select(waits.to_vec()), select(vec![0, 1, 999]))
        .prop_map(|(seconds, millis)| Step::Wait(Duration::from_millis(seconds * 1_000 + millis)));
    let step = prop_oneof![
        6 => (0..ISSUERS.len(), select(vec![1, 12, 100, 2_000]), select(ways.to_vec()))
            .prop_map(|(issuer, hours, way)| Step::Begin(issuer, hours, way)),
        3 => (any::<Index>(), select(vec![Ask, Precertify, Complete, GiveUp]))
            .prop_map(|(which, deed)| Step::GoOn(which, deed)),
        4 => (any::<Index>(), select(reasons.to_vec())).prop_map(|(which, reason)| Step::Revoke(which, reason)),
        6 => wait,
        2 => Just(Step::PowerCut),
        5 => Just(Step::SignAhead),
        1 => Just(Step::SignerGoes),
        2 => Just(Step::SignerReturns),
        1 => select(vec![1, 9, 100, 3_000]).prop_map(Step::SignerRenews),
    ];
    proptest::collection::vec(step, 1..40)
}

/// What is so about a serial number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fact {
    NotIssued,
    Good,
    /// When and the number of the reason.
    Revoked(u64, u8),
}

/// A serial number that was set aside.
struct Known {
    begun: Begun,
    fact: Fact,
    /// Whether the signer was asked, and whether it all came to an end.
    is_asked: bool,
    has_ended: bool,
}

struct History {
    world: World,
    store: StoreOfTests,
    config: Config,
    known: Vec<Known>,
    /// From when on which end of the signing certificate counts.
    signer_ends: Vec<(Timestamp, Timestamp)>,
    /// Signs ahead for the responder that there is; it has followed the store from its start.
    presigner: Presigner,
}

impl History {
    async fn new(config: Config, seed: u64) -> Self {
        let (world, store) = (World::new(&config), StoreOfTests::new(seed).await);
        let ends = *world.signer.ocsp_ends.lock().unwrap();
        let signer_ends = vec![(world.clock.now(), ends)];
        let presigner = Presigner::new(world.responder.ocsp().clone());
        let mut history = Self { world, store, config, known: Vec::new(), signer_ends, presigner };
        history.serve(history.store.statuses(&history.world.clock));
        history
    }

    /// A responder that remembers nothing, over these statuses, in the place of the one before.
    fn serve(&mut self, statuses: Arc<dyn Statuses>) {
        let World { signer, clock, folder, .. } = &self.world;
        self.world.responder =
            Responder::new(&self.config, folder.path(), statuses, signer.clone(), clock.clone()).unwrap();
        self.presigner = Presigner::new(self.world.responder.ocsp().clone());
    }

    fn now(&self) -> Timestamp {
        self.world.clock.now()
    }

    async fn take(&mut self, step: &Step) {
        match step {
            Step::Begin(issuer, hours, way) => {
                let life = Duration::from_secs(hours * 3_600);
                let begun = self.store.begin(ISSUERS[*issuer], self.now(), life).await;
                let known = Known { begun, fact: Fact::NotIssued, is_asked: false, has_ended: false };
                self.known.push(known);
                for deed in *way {
                    self.go_on(self.known.len() - 1, *deed).await;
                }
            }
            Step::GoOn(which, deed) if !self.known.is_empty() => {
                self.go_on(which.index(self.known.len()), *deed).await;
            }
            Step::Revoke(which, reason) if !self.known.is_empty() => {
                let index = which.index(self.known.len());
                self.revoke(index, *reason).await;
            }
            Step::GoOn(..) | Step::Revoke(..) => {}
            Step::Wait(time) => self.world.clock.advance(*time),
            Step::PowerCut => {
                // The responder goes first, as it has the store open, too.
                self.serve(self.world.statuses.clone());
                self.store.cut_power();
                self.serve(self.store.statuses(&self.world.clock));
            }
            Step::SignAhead if self.config.presign.is_empty() => {}
            Step::SignAhead => self.presigner.catch_up().await,
            Step::SignerGoes => self.world.signer.is_broken.store(true, Ordering::SeqCst),
            Step::SignerReturns => self.world.signer.is_broken.store(false, Ordering::SeqCst),
            Step::SignerRenews(hours) => {
                self.world.clock.advance(Duration::from_secs(1));
                let ends = self.now().plus(Duration::from_secs(hours * 3_600));
                *self.world.signer.ocsp_ends.lock().unwrap() = ends;
                self.signer_ends.push((self.now(), ends));
            }
        }
    }

    async fn go_on(&mut self, index: usize, deed: Deed) {
        let now = self.now();
        let known = &mut self.known[index];
        if self.store.go_on(&known.begun, deed, now).await.is_err() {
            return;
        }
        match deed {
            Deed::Ask => known.is_asked = true,
            Deed::Precertify if known.fact == Fact::NotIssued => known.fact = Fact::Good,
            Deed::Complete => {
                known.has_ended = true;
                if known.fact == Fact::NotIssued {
                    known.fact = Fact::Good;
                }
            }
            Deed::GiveUp => {
                known.has_ended = true;
                if known.is_asked && !matches!(known.fact, Fact::Revoked(..)) {
                    known.fact = Fact::Revoked(now.unix_s(), Reason::Unspecified.number());
                }
            }
            Deed::Precertify => {}
        }
    }

    async fn revoke(&mut self, index: usize, reason: Reason) {
        let now = self.now();
        let known = &mut self.known[index];
        let expected = match known.fact {
            Fact::NotIssued => RevocationOutcome::Missing,
            Fact::Good => RevocationOutcome::Revoked,
            Fact::Revoked(..) => RevocationOutcome::Already,
        };
        assert_eq!(self.store.revoke(&known.begun, now, reason).await, expected);
        if expected == RevocationOutcome::Revoked {
            known.fact = Fact::Revoked(now.unix_s(), reason.number());
        }
    }

    /// Asks for everything in every way.
    async fn check(&self) {
        for known in &self.known {
            let issuer = ISSUERS.iter().position(|name| *name == known.begun.issuer).unwrap();
            for hash in [SHA1_OID, SHA256_OID] {
                let cert_id = self.world.cert_id_of(issuer, hash, true, &known.begun.serial);
                for nonce in [None, Some(NONCE)] {
                    self.check_answer(known, issuer, &cert_id, nonce).await;
                }
            }
            let other = self.world.cert_id_of(1 - issuer, SHA1_OID, true, &known.begun.serial);
            assert_eq!(self.refusal(&other).await, ErrorStatus::Unauthorized, "the other issuer's");
        }
        for (issuer, hash) in [(0, SHA1_OID), (1, SHA256_OID)] {
            let nobodys = self.world.cert_id_of(issuer, hash, true, &self.store.serial());
            assert_eq!(self.refusal(&nobodys).await, ErrorStatus::Unauthorized, "nobody's");
        }
    }

    async fn refusal(&self, cert_id: &[u8]) -> ErrorStatus {
        let (_, body) = self.world.post(&request(&[cert_id.to_vec()], None)).await;
        self.world.read_of(0, &body).expect_err("this is answered")
    }

    /// Whether the signer can sign an answer that is worth it.
    fn can_be_signed(&self) -> bool {
        let ends = *self.world.signer.ocsp_ends.lock().unwrap();
        let is_there = !self.world.signer.is_broken.load(Ordering::SeqCst);
        is_there && ends.whole_second().since(self.now().whole_second()) >= Duration::from_secs(60)
    }

    async fn check_answer(&self, known: &Known, issuer: usize, cert_id: &[u8], nonce: Option<&[u8]>) {
        let der = request(&[cert_id.to_vec()], nonce);
        let (_, body) =
            if nonce.is_some() { self.world.post(&der).await } else { self.world.ask(&der).await };
        let (now, is_over) = (self.now(), self.now() > known.begun.not_after);
        let context = format!("{:?}, over: {is_over}, {:?}", known.fact, known.begun);
        let read = match self.world.read_of(issuer, &body) {
            Ok(read) => read,
            Err(ErrorStatus::Unauthorized) => {
                return assert!(known.fact == Fact::NotIssued || is_over, "{context}");
            }
            Err(ErrorStatus::TryLater) => {
                let is_issued = known.fact != Fact::NotIssued && !is_over;
                return assert!(is_issued && !self.can_be_signed(), "{context}");
            }
            Err(other) => panic!("{other:?}: {context}"),
        };
        let [single] = &read.single[..] else { panic!("one was asked for: {context}") };
        let context = format!("{context}: {single:?} at {}", now.unix_s());
        match known.fact {
            Fact::NotIssued => panic!("what was never issued is answered: {context}"),
            Fact::Good => assert_eq!(single.revoked, None, "{context}"),
            Fact::Revoked(at, reason) => assert_eq!(single.revoked, Some((at, reason)), "{context}"),
        }
        assert_eq!(single.cert_id, cert_id, "{context}");
        assert!(single.this_update <= now.unix_s(), "not begun: {context}");
        assert!(now.unix_s() <= single.next_update, "over: {context}");
        assert_eq!(read.produced_at, single.this_update, "{context}");
        let validity = single.next_update - single.this_update;
        assert!(validity <= self.config.ocsp_validity_s, "too long: {context}");
        let signer_ends = self.signer_ends.iter().rfind(|(from, _)| from.unix_s() <= single.this_update);
        assert!(single.next_update <= signer_ends.unwrap().1.unix_s(), "longer than its signer: {context}");
        let age = now.unix_s() - single.this_update;
        if !is_over {
            let age_max = if self.can_be_signed() { self.config.ocsp_refresh_s } else { validity };
            assert!(age < age_max.min(validity.div_ceil(2)), "too old: {context}");
        }
        let is_echoed = nonce.is_some() && self.config.nonces == Nonces::Answer && !is_over;
        assert_eq!(read.nonce.as_deref(), nonce.filter(|_| is_echoed), "{context}");
        assert!(!is_echoed || age == 0, "a nonce in an old answer: {context}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn no_history_makes_an_answer_false(
        steps in steps(),
        echoes in any::<bool>(),
        is_short in any::<bool>(),
        signs_ahead in any::<bool>(),
        seed in any::<u64>(),
    ) {
        let nonces = if echoes { Nonces::Answer } else { Nonces::Ignore };
        let presign = if signs_ahead { vec![InAdvance::Sha1, InAdvance::Sha256] } else { Vec::new() };
        let usual = Config { nonces, presign, ..Config::default() };
        let config = match is_short {
            true => Config { ocsp_validity_s: 8 * 3_600, ocsp_refresh_s: 3 * 3_600, ocsp_max_age_s: 3_600, ..usual },
            false => usual,
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let mut history = History::new(config, seed).await;
            for step in &steps {
                history.take(step).await;
                history.check().await;
            }
        });
    }
}
