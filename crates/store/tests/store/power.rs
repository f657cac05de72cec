//! Proves that whatever the store answered for outlives a power cut at any point, exactly once, and that nothing is
//! there by half: no status without its certificate, no valid order without one, no state without its record and no
//! record without its state. The generation of statuses and CRL numbers never go back.

use std::sync::Arc;

use ingam_journal::simulated::{SimulatedDisk, seeds};
use ingam_protocol::acme::{Account, Authorization, Claim, Order, Verdict};
use ingam_protocol::record::RecordType;
use ingam_protocol::time::{SeededRandom, random_array};
use ingam_protocol::{Id, Reason};
use ingam_store::{
    AbandonedBy, AccountInserted, Admission, Admitted, Claimed, Error, RevocationOutcome, RevocationRequest,
    Store,
};

use crate::facts::{Answered, check};
use crate::made::{
    Disks, account, certificate, claim, contacts, failure, finished, issuer, open_challenge, order, record,
    run, start,
};

/// So often the power is cut in one life.
const CUTS: u64 = 5;

/// What the clients and the worker know of.
#[derive(Default)]
struct Known {
    accounts: Vec<Account>,
    pending: Vec<(Order, Authorization)>,
    ready: Vec<Order>,
    claimed: Vec<(Id, Claim)>,
    asked: Vec<(Id, Claim)>,
    issued: Vec<(Id, Claim)>,
}

struct Work<'a> {
    store: &'a Store,
    random: &'a SeededRandom,
    known: &'a mut Known,
    answered: &'a mut Answered,
}

impl Work<'_> {
    fn below(&self, end: usize) -> usize {
        usize::from(u16::from_le_bytes(random_array(self.random))) % end.max(1)
    }

    fn record(&self, kind: RecordType, about: Id) -> ingam_protocol::record::Record {
        record(kind, about, self.random)
    }

    fn told(&mut self, kind: RecordType, about: Id) {
        self.answered.records.push((kind, about));
    }

    /// One operation that makes sense now. What a failure leaves behind is not known, so nothing is done with it later.
    async fn step(&mut self) -> Result<(), Error> {
        if self.known.accounts.is_empty() {
            return self.insert_account().await;
        }
        match self.below(16) {
            0 => self.insert_account().await,
            1 => self.deactivate_account().await,
            2..5 => self.insert_order().await,
            5..8 => self.validate().await,
            8..10 => self.claim().await,
            10..12 => self.ask().await,
            12 => self.complete().await,
            13 => self.abandon().await,
            14 => self.revoke().await,
            _ => self.count().await,
        }
    }

    async fn insert_account(&mut self) -> Result<(), Error> {
        let account = account(self.random);
        let record = self.record(RecordType::AccountCreated, account.id);
        let inserted = self.store.account_insert(account.clone(), &contacts(), record, Vec::new()).await?;
        assert_eq!(inserted, Ok(AccountInserted::New));
        self.told(RecordType::AccountCreated, account.id);
        self.answered.contacts.insert(account.id);
        self.known.accounts.push(account);
        Ok(())
    }

    async fn deactivate_account(&mut self) -> Result<(), Error> {
        if self.known.accounts.len() < 3 {
            return Ok(());
        }
        let account = self.known.accounts.remove(0).id;
        // Whether this is answered or not: nothing more can be relied on.
        self.answered.contacts.remove(&account);
        self.known.pending.retain(|(order, _)| order.account != account);
        self.known.ready.retain(|order| order.account != account);
        let record = self.record(RecordType::AccountDeactivated, account);
        if self.store.account_deactivate(account, start(), record).await?.is_some() {
            self.told(RecordType::AccountDeactivated, account);
        }
        Ok(())
    }

    async fn insert_order(&mut self) -> Result<(), Error> {
        let owner = self.known.accounts[self.below(self.known.accounts.len())].id;
        let (order, authorization) = order(owner, self.random);
        let record = self.record(RecordType::OrderCreated, order.id);
        let made = self
            .store
            .order_insert(order.clone(), vec![authorization.clone()], record, Admission::default())
            .await?;
        assert_eq!(made, Admitted::Yes);
        self.told(RecordType::OrderCreated, order.id);
        self.known.pending.push((order, authorization));
        Ok(())
    }

    async fn validate(&mut self) -> Result<(), Error> {
        let Some((order, authorization)) = self.known.pending.pop() else { return Ok(()) };
        let open = open_challenge(&authorization);
        let record = self.record(RecordType::ChallengeAnswered, order.id);
        self.store.challenge_answer(open, start(), record, Vec::new()).await?;
        self.told(RecordType::ChallengeAnswered, order.id);
        let record = self.record(RecordType::ValidationFinished, order.id);
        self.store.challenge_finish(open, finished(Verdict::Valid), record, None).await?;
        self.told(RecordType::ValidationFinished, order.id);
        self.known.ready.push(order);
        Ok(())
    }

    async fn claim(&mut self) -> Result<(), Error> {
        let Some(order) = self.known.ready.pop() else { return Ok(()) };
        let claim = claim(self.random);
        let record = self.record(RecordType::CertificatePrepared, order.id);
        let claimed = self.store.order_claim(order.id, claim.clone(), start(), record, Vec::new()).await?;
        assert!(matches!(claimed, Claimed::Yes), "{claimed:?}");
        self.told(RecordType::CertificatePrepared, order.id);
        self.known.claimed.push((order.id, claim));
        Ok(())
    }

    async fn ask(&mut self) -> Result<(), Error> {
        let Some((order, claim)) = self.known.claimed.pop() else { return Ok(()) };
        let record = self.record(RecordType::SignatureAsked, order);
        if self.store.order_ask(order, claim.token, start(), record).await?.is_err() {
            let owner = self.store.order_by_id(order)?.expect("an order").account;
            let account = self.store.account_by_id(owner)?.expect("an account");
            assert!(account.deactivated.is_some(), "the token is in force, and nothing else forbids it");
            return Ok(());
        }
        self.told(RecordType::SignatureAsked, order);
        self.known.asked.push((order, claim));
        Ok(())
    }

    async fn complete(&mut self) -> Result<(), Error> {
        let Some((order, claim)) = self.known.asked.pop() else { return Ok(()) };
        let issued = self.record(RecordType::CertificateIssued, order);
        let late = self.record(RecordType::IssuanceAbandoned, order);
        let completed = self.store.order_complete(order, claim.token, certificate(), issued, late).await?;
        completed.expect("a token in force");
        self.told(RecordType::CertificateIssued, order);
        self.known.issued.push((order, claim));
        Ok(())
    }

    async fn abandon(&mut self) -> Result<(), Error> {
        let list = if self.below(2) == 0 { &mut self.known.asked } else { &mut self.known.claimed };
        let Some((order, claim)) = list.pop() else { return Ok(()) };
        let record = self.record(RecordType::IssuanceAbandoned, order);
        let by = AbandonedBy::Holder(claim.token);
        self.store.order_abandon(order, by, failure(), start(), record).await?.expect("a token in force");
        self.told(RecordType::IssuanceAbandoned, order);
        self.answered.generation = self.store.statuses().generation();
        Ok(())
    }

    async fn revoke(&mut self) -> Result<(), Error> {
        let Some((order, claim)) = self.known.issued.pop() else { return Ok(()) };
        let reason = Reason::Superseded;
        let request = RevocationRequest {
            issuer: issuer(),
            serial: claim.serial,
            reason,
            at: start(),
            block_key: None,
            operator: None,
        };
        let record = self.record(RecordType::CertificateRevoked, order);
        let revoked = self.store.certificate_revoke(request, vec![record]).await?;
        assert_eq!(revoked, RevocationOutcome::Revoked);
        self.told(RecordType::CertificateRevoked, order);
        self.answered.generation = self.store.statuses().generation();
        Ok(())
    }

    async fn count(&mut self) -> Result<(), Error> {
        let number = self.store.statuses().crl_number_next(&issuer(), None, 0).await?;
        assert!(number > self.answered.crl_number, "a CRL number was given twice");
        self.answered.crl_number = number;
        Ok(())
    }
}

/// Lets the power of one disk or of all go after so many operations.
fn stop_some(disks: &Disks, random: &SeededRandom) {
    let [which, low, high] = random_array(random);
    let after = u64::from(u16::from_le_bytes([low, high]) % 400);
    let stop = |disk: &SimulatedDisk| disk.stop_after(after);
    match which % 4 {
        0 => stop(&disks.tables),
        1 => stop(&disks.journal),
        2 => stop(&disks.keys),
        _ => disks.each().into_iter().for_each(stop),
    }
}

/// Either everything fails from here on, or each disk somewhere in an orderly end, in which the archiver moves what has
/// queued up. Either way the dead write nothing once the power is back.
fn stop_the_end(disks: &Disks, random: &SeededRandom) {
    let [mood] = random_array(random);
    for disk in disks.each() {
        let [after] = random_array(random);
        match mood % 4 {
            0 | 1 => disk.stop_after(0),
            2 => disk.stop_after(u64::from(after % 64)),
            _ if after < 100 => disk.stop_after(u64::from(after % 4)),
            _ => disk.heal(),
        }
    }
}

fn life(seed: u64) -> usize {
    let random = Arc::new(SeededRandom::new(seed));
    let disks = Disks::default();
    // The very first opening is another matter: see `disk`.
    disks.open(&random).unwrap().close();
    let (mut known, mut answered) = (Known::default(), Answered::default());
    for cut in 0..CUTS {
        let context = format!("seed {seed}, cut {cut}");
        stop_some(&disks, &random);
        if let Ok(open) = disks.open(&random) {
            let mut work =
                Work { store: &open.store, random: &random, known: &mut known, answered: &mut answered };
            run(async {
                // The tables' disk may never be asked again, as another one stopped.
                for _ in 0..60 {
                    if work.step().await.is_err() {
                        break;
                    }
                }
            });
            stop_the_end(&disks, &random);
            open.close();
        }
        disks.power_cut(&random);
        let open = disks.open(&random).unwrap_or_else(|error| panic!("{context}: {error:?}"));
        check(&open, &answered, &context);
        open.close();
        // Once more, after the archiver has moved everything.
        let open = disks.open(&random).unwrap();
        check(&open, &answered, &context);
        open.close();
    }
    answered.records.len()
}

#[test]
fn whatever_was_answered_outlives_power_cuts_and_nothing_is_there_by_half() {
    let seeds = seeds(120, CUTS);
    let lives = seeds.end - seeds.start;
    let half = |rest: u64| seeds.clone().filter(|seed| seed % 2 == rest).map(life).sum::<usize>();
    let answered = std::thread::scope(|scope| {
        let other = scope.spawn(|| half(1));
        half(0) + other.join().unwrap()
    });
    assert!(answered as u64 > lives * 40, "only {answered} operations were answered: this proves little");
}

/// Many at once share a sync: all of them are there, or those that were not answered.
#[test]
fn what_shares_a_sync_is_answered_as_one() {
    for seed in seeds(30, 1) {
        let random = Arc::new(SeededRandom::new(seed));
        let disks = Disks::default();
        let open = disks.open(&random).unwrap();
        let accounts: Vec<_> = (0..40).map(|_| account(random.as_ref())).collect();
        let [after] = random_array::<1>(random.as_ref());
        disks.tables.stop_after(u64::from(after % 16));
        let inserts = accounts.iter().map(|account| {
            let record = record(RecordType::AccountCreated, account.id, random.as_ref());
            open.store.account_insert(account.clone(), &[], record, Vec::new())
        });
        // Each is queued before the first one is answered.
        let outcomes = run(futures_util::future::join_all(inserts));
        let told = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
        disks.each().iter().for_each(|disk| disk.stop_after(0));
        open.close();
        disks.power_cut(&random);
        let open = disks.open(&random).unwrap();
        let there =
            accounts.iter().filter(|account| open.store.account_by_id(account.id).unwrap().is_some()).count();
        assert!(there >= told, "seed {seed}: {told} were answered, {there} are there");
        check(&open, &Answered::default(), &format!("seed {seed}"));
        open.close();
    }
}
