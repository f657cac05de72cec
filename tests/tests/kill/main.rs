//! SIGKILL at random moments under load loses nothing that a client was told of.
//!
//! Clients make accounts and orders, prove names, get certificates and revoke them, and each writes down what it was
//! told, at the moment it was told. The server is killed in the middle of that, at least fifty times, and now and then
//! in the middle of its start too. After each start what was told since the one before is checked, and a part of
//! everything older; at the end, everything: what is lost stays lost, so nothing escapes by that.
//!
//! Not a failure: a request without an answer, whatever came of it; an order that was being finalized and then
//! became invalid (its signature may have been under way); a revocation that was not confirmed, seen or not. A failure:
//! any refusal in answer to a good request, a server that does not come back, and anything told that is so no more.
//! `INGAM_SEED` repeats the choices of a run, though not its timing; `INGAM_KILLS` asks for another number of kills.
//!
//! The engine is redb, the one that is meant for real certificates. `INGAM_KILL_ENGINE=sled` asks for the other, of
//! which no promise is tested: in about one of some hundred kills it has refused to open its own files afterwards.

mod guest;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use ingam_tests::challenge::{Prover, WebAnswers};
use ingam_tests::random::Dice;
use ingam_tests::server::{Server, Setup};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::guest::{Guest, Round, Wanted};

const KILLS: usize = 50;
const GUESTS: usize = 4;
/// The shortest and the longest time that a server is under load before it is killed.
const LIFE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_millis(900));
/// One start in this many is killed before it is ready, at a moment within this time.
const KILL_IN_START_ONE_IN: u64 = 5;
const START: Duration = Duration::from_millis(400);

#[tokio::test(flavor = "multi_thread")]
async fn fifty_kills_lose_nothing_that_was_told() {
    let seed = Dice::seed_of_run();
    eprintln!("INGAM_SEED={seed}");
    let engine = std::env::var("INGAM_KILL_ENGINE").unwrap_or_else(|_| "redb".to_owned());
    let kills =
        std::env::var("INGAM_KILLS").map_or(KILLS, |text| text.parse().expect("INGAM_KILLS is a number"));
    let mut dice = Dice::new(seed);
    let mut server = Server::start_with(Setup { engine, ..Setup::new() }).await;
    let prover = Prover::Http(WebAnswers::listen(server.ports().http).await);
    let mut guests: Vec<Guest> = (0..GUESTS).map(|number| Guest::new(number, dice.word())).collect();
    let (begun, mut kills_in_start) = (Instant::now(), 0);

    for number in 0..kills {
        let round = Round { number, site: server.site(), prover: prover.clone(), killed: Arc::default() };
        guests = check(guests, &round, Wanted::Recent).await;
        let life = dice.between(LIFE.0, LIFE.1);
        let mut working = JoinSet::new();
        for mut guest in guests {
            let round = round.clone();
            working.spawn(async move {
                guest.work(&round).await;
                guest
            });
        }
        sleep(life).await;
        round.killed.store(true, Ordering::SeqCst);
        server.kill().await;
        guests = working.join_all().await;

        if dice.below(KILL_IN_START_ONE_IN) == 0 {
            kills_in_start += 1;
            drop(server.begin().await);
            sleep(dice.between(Duration::ZERO, START)).await;
        }
        server.restart().await;
    }

    let round = Round { number: kills, site: server.site(), prover, killed: Arc::default() };
    let guests = check(guests, &round, Wanted::Everything).await;
    check_crl(&server, &guests).await;
    let totals = guests.iter().map(Guest::totals).reduce(|sum, one| sum + one).expect("there are guests");
    eprintln!("{kills} kills under load and {kills_in_start} in a start, {:?}: {totals}", begun.elapsed());
    assert!(totals.is_enough_for(kills), "the load was real: {totals}");
    server.stop().await;
}

/// Lets all guests check at once.
async fn check(guests: Vec<Guest>, round: &Round, wanted: Wanted) -> Vec<Guest> {
    let mut checking = JoinSet::new();
    for mut guest in guests {
        let round = round.clone();
        checking.spawn(async move {
            guest.check(&round, wanted).await;
            guest
        });
    }
    checking.join_all().await
}

/// The CRL holds every revocation that was confirmed and none that nobody asked for; openssl says so too.
async fn check_crl(server: &Server, guests: &[Guest]) {
    let openssl = server.openssl();
    let Some(any) = guests.iter().flat_map(Guest::certificates).next() else {
        panic!("no certificate was issued")
    };
    let crl = openssl.crl(any.chain).await;
    for certificate in guests.iter().flat_map(Guest::certificates) {
        let is_listed = crl.contains(certificate.chain);
        assert!(
            is_listed || !certificate.is_revoked,
            "{} was revoked, and the CRL lacks it",
            certificate.name
        );
        assert!(
            !is_listed || certificate.may_be_revoked,
            "{} is on the CRL, and nobody revoked it",
            certificate.name
        );
    }
    let good = guests.iter().flat_map(Guest::certificates).find(|certificate| !certificate.may_be_revoked);
    if let Some(good) = good {
        openssl.status(good.chain).await.is_good();
        openssl.verify(good.chain, &[good.name]).await;
    }
    if let Some(revoked) =
        guests.iter().flat_map(Guest::certificates).find(|certificate| certificate.is_revoked)
    {
        assert_eq!(openssl.status(revoked.chain).await.status, "revoked");
    }
}
