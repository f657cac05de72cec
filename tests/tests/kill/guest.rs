//! One client under load, and everything that it was told.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Add;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ingam_tests::Error;
use ingam_tests::certificate::Chain;
use ingam_tests::challenge::Prover;
use ingam_tests::client::{CertificateRequest, Client, Order, revocation};
use ingam_tests::http::Connection;
use ingam_tests::jws::Key;
use ingam_tests::ocsp::{self, Hash, Status};
use ingam_tests::random::Dice;
use ingam_tests::site::Site;
use rcgen::KeyPair;
use serde_json::json;

/// How many older orders are checked after a start.
const OLDER_CHECKED: usize = 8;

/// One life of the server.
#[derive(Clone)]
pub struct Round {
    /// Its number, from 0.
    pub number: usize,
    /// Where the server is.
    pub site: Site,
    /// What answers challenges.
    pub prover: Prover,
    /// Set just before the server is killed; from then on a missing answer means nothing.
    pub killed: Arc<AtomicBool>,
}

/// Which of the told things are checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// Those of the last round, and some older ones.
    Recent,
    /// All.
    Everything,
}

/// A client that keeps books.
pub struct Guest {
    number: usize,
    dice: Dice,
    names: usize,
    accounts: Vec<Account>,
}

/// An account that may have been made, and what was made with it.
struct Account {
    key: Vec<u8>,
    url: Option<String>,
    /// The round in which it was told its URL.
    round: usize,
    orders: Vec<Told>,
}

/// An order that the server has told of.
struct Told {
    url: String,
    name: String,
    /// The last round in which it was told something about it.
    round: usize,
    status: String,
    /// Whether finalize was sent, with or without an answer.
    is_finalized: bool,
    certificate: Option<(String, Chain)>,
    revocation: Revocation,
}

/// What a guest knows of a revocation, with its reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Revocation {
    Never,
    Asked(u8),
    Confirmed(u8),
}

/// A certificate that was told of.
#[derive(Clone, Copy)]
pub struct Certificate<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its chain.
    pub chain: &'a Chain,
    /// Whether a revocation was confirmed.
    pub is_revoked: bool,
    /// Whether a revocation was asked for.
    pub may_be_revoked: bool,
}

impl Guest {
    /// A guest with no account yet.
    pub fn new(number: usize, seed: u64) -> Self {
        Self { number, dice: Dice::new(seed), names: 0, accounts: Vec::new() }
    }

    /// Everything that it was told, as certificates.
    pub fn certificates(&self) -> impl Iterator<Item = Certificate<'_>> {
        self.accounts.iter().flat_map(|account| &account.orders).filter_map(|told| {
            let (_, chain) = told.certificate.as_ref()?;
            Some(Certificate {
                name: &told.name,
                chain,
                is_revoked: matches!(told.revocation, Revocation::Confirmed(_)),
                may_be_revoked: told.revocation != Revocation::Never,
            })
        })
    }

    /// How much that is.
    pub fn totals(&self) -> Totals {
        Totals {
            accounts: self.accounts.iter().filter(|account| account.url.is_some()).count(),
            orders: self.accounts.iter().map(|account| account.orders.len()).sum(),
            certificates: self.certificates().count(),
            revocations: self.certificates().filter(|certificate| certificate.is_revoked).count(),
        }
    }

    /// Uses the server until it is killed.
    pub async fn work(&mut self, round: &Round) {
        loop {
            if let Err(error) = self.step(round).await {
                round.judge(&error);
                return;
            }
        }
    }

    /// Does one thing by chance.
    async fn step(&mut self, round: &Round) -> Result<(), Error> {
        if self.accounts.is_empty() || self.dice.below(6) == 0 {
            let key = KeyPair::generate().expect("rcgen makes P-256 keys").serialize_der();
            self.accounts.push(Account { key, url: None, round: round.number, orders: Vec::new() });
        }
        // Young accounts are used more, since what is theirs is what a kill may take.
        let span = self.accounts.len().min(3) as u64;
        let at = self.accounts.len() - 1 - usize::try_from(self.dice.below(span)).expect("a small number");
        let name = format!("{}-{}.kill.example.org", self.number, self.names);
        let choice = self.dice.below(4);
        let account = &mut self.accounts[at];
        let mut client = account.client(round).await?;

        let unended =
            account.orders.iter().position(|told| !["valid", "invalid"].contains(&told.status.as_str()));
        let revocable = account.orders.iter().position(Told::is_revocable);
        let at = match (choice, unended, revocable) {
            (0, Some(at), _) => at,
            (1, _, Some(at)) => return account.orders[at].revoke(&mut client, round, &mut self.dice).await,
            _ => {
                self.names += 1;
                let order = client.order(&[&name]).await?;
                account.orders.push(Told::new(&order, name, round));
                account.orders.len() - 1
            }
        };
        account.orders[at].advance(&mut client, round).await
    }

    /// Checks what it was told.
    pub async fn check(&mut self, round: &Round, wanted: Wanted) {
        if let Err(error) = self.check_all(round, wanted).await {
            round.judge(&error);
        }
    }

    async fn check_all(&mut self, round: &Round, wanted: Wanted) -> Result<(), Error> {
        let mut responder: Option<Connection> = None;
        for (account, orders) in self.chosen(round, wanted) {
            let account = &self.accounts[account];
            let Some(mut client) = account.known(round).await? else { continue };
            for told in orders {
                account.orders[told].check(&mut client, &mut responder).await?;
            }
        }
        Ok(())
    }

    /// The accounts to check, and of each the orders, by their places.
    fn chosen(&mut self, round: &Round, wanted: Wanted) -> BTreeMap<usize, BTreeSet<usize>> {
        let is_recent = |told_in: usize| wanted == Wanted::Everything || told_in + 1 >= round.number;
        let mut chosen = BTreeMap::<usize, BTreeSet<usize>>::new();
        let mut older = Vec::new();
        for (number, account) in self.accounts.iter().enumerate() {
            if is_recent(account.round) {
                chosen.entry(number).or_default();
            }
            for (place, told) in account.orders.iter().enumerate() {
                if is_recent(told.round) {
                    chosen.entry(number).or_default().insert(place);
                } else {
                    older.push((number, place));
                }
            }
        }
        for _ in 0..OLDER_CHECKED.min(older.len()) {
            let at = usize::try_from(self.dice.below(older.len() as u64)).expect("a small number");
            let (number, place) = older[at];
            chosen.entry(number).or_default().insert(place);
        }
        chosen
    }
}

impl Round {
    /// Fails the test, unless this is a missing answer of a server that was killed.
    #[track_caller]
    fn judge(&self, error: &Error) {
        let is_killed = self.killed.load(Ordering::SeqCst);
        match error {
            Error::Connection { .. } if is_killed => {}
            Error::Connection { source, .. } => panic!("round {}: {error}: {source}", self.number),
            Error::Answered { .. } => panic!("round {}: {error}", self.number),
        }
    }
}

impl Account {
    /// A client with this account, which is made if it was not.
    async fn client(&mut self, round: &Round) -> Result<Client, Error> {
        let mut client = Client::new(&round.site, Key::es256_from(&self.key)).await?;
        match &self.url {
            Some(url) => client.set_account(Some(url.clone())),
            None => {
                self.url = Some(client.register().await?);
                self.round = round.number;
            }
        }
        Ok(client)
    }

    /// A client with this account, found by its key; asserts that it is the one that was told. None if none was.
    async fn known(&self, round: &Round) -> Result<Option<Client>, Error> {
        let Some(url) = &self.url else { return Ok(None) };
        let mut client = Client::new(&round.site, Key::es256_from(&self.key)).await?;
        let found = client.find_account().await?;
        assert_eq!(&found, url, "round {}: the key leads to its account", round.number);
        Ok(Some(client))
    }
}

impl Told {
    fn new(order: &Order, name: String, round: &Round) -> Self {
        Self {
            url: order.url.clone(),
            name,
            round: round.number,
            status: order.status().to_owned(),
            is_finalized: false,
            certificate: None,
            revocation: Revocation::Never,
        }
    }

    fn is_revocable(&self) -> bool {
        self.certificate.is_some() && !matches!(self.revocation, Revocation::Confirmed(_))
    }

    /// Writes down what the server says of the order.
    fn hear(&mut self, order: &Order, round: &Round) {
        self.status = order.status().to_owned();
        self.round = round.number;
        assert!(
            self.status != "invalid" || self.is_finalized,
            "round {}: an order whose names can be proved became invalid: {}",
            round.number,
            order.object
        );
    }

    /// Takes the order from wherever it is to its certificate.
    async fn advance(&mut self, client: &mut Client, round: &Round) -> Result<(), Error> {
        let mut order = client.order_at(&self.url).await?;
        self.hear(&order, round);
        if order.status() == "pending" {
            order = client.prove(&order, &round.prover).await?;
            self.hear(&order, round);
        }
        if order.status() == "ready" {
            let request = CertificateRequest::of(&[&self.name]);
            let is_first = !self.is_finalized;
            self.is_finalized = true;
            order = match client.finalize(&order, &request.der).await {
                // Only a finalize that was cut off before may have left an order that fails now.
                Err(Error::Answered { answer, .. }) if !is_first && answer.status < 500 => {
                    client.order_at(&self.url).await?
                }
                outcome => outcome?,
            };
            self.hear(&order, round);
        }
        if order.status() == "processing" {
            order = client.poll(&self.url, &["processing"]).await?;
            self.hear(&order, round);
        }
        if order.status() == "valid" && self.certificate.is_none() {
            let chain = client.certificate(&order).await?;
            let url = order.certificate().expect("a valid order has a certificate").to_owned();
            self.certificate = Some((url, chain));
        }
        Ok(())
    }

    async fn revoke(&mut self, client: &mut Client, round: &Round, dice: &mut Dice) -> Result<(), Error> {
        const REASONS: [u8; 4] = [1, 3, 4, 5];
        let Some((_, chain)) = &self.certificate else { return Ok(()) };
        let reason = match self.revocation {
            Revocation::Asked(reason) => reason,
            _ => REASONS[usize::try_from(dice.below(4)).expect("a small number")],
        };
        let was_asked = self.revocation != Revocation::Never;
        self.revocation = Revocation::Asked(reason);
        self.round = round.number;
        let url = client.resource("revokeCert");
        let answer = client.post(&url, &revocation(chain.leaf(), Some(reason))).await?;
        match (answer.status, answer.problem().as_str()) {
            (200, _) => self.revocation = Revocation::Confirmed(reason),
            // The request before went through, and its answer was lost.
            (400, "alreadyRevoked") if was_asked => self.revocation = Revocation::Confirmed(reason),
            _ => return Err(Error::answered("revoking", answer)),
        }
        Ok(())
    }

    /// Asserts that everything told is so still, and has only gone forward.
    async fn check(&self, client: &mut Client, responder: &mut Option<Connection>) -> Result<(), Error> {
        let order = client.order_at(&self.url).await?;
        let (told, now) = (self.status.as_str(), order.status());
        let is_forward = match now {
            "invalid" => told == "invalid" || (told != "valid" && self.is_finalized),
            _ => rank(now) >= rank(told),
        };
        assert!(is_forward, "{} was told {told:?} and is {now:?}: {}", self.url, order.object);
        assert_eq!(order.object["identifiers"], json!([{"type": "dns", "value": self.name}]), "{}", self.url);
        let Some((url, chain)) = &self.certificate else { return Ok(()) };
        assert_eq!(order.certificate(), Some(url.as_str()), "one certificate, where it was");
        assert_eq!(&client.certificate(&order).await?, chain, "{url} gives the same bytes");

        let url = chain.ocsp_url();
        let responder = responder.get_or_insert_with(|| ocsp::connect(&url));
        let answer = ocsp::get(responder, &url, &ocsp::request_for(chain, Hash::Sha1)).await?;
        match (self.revocation, ocsp::status(&answer.body)) {
            (Revocation::Never | Revocation::Asked(_), Status::Good) => {}
            (Revocation::Asked(asked), Status::Revoked { reason: Some(seen), .. }) if asked == seen => {}
            (Revocation::Confirmed(asked), Status::Revoked { reason: Some(seen), .. }) if asked == seen => {}
            (known, seen) => panic!("{} with revocation {known:?} has status {seen:?}", self.name),
        }
        Ok(())
    }
}

/// How far an order has come; `invalid` is nowhere.
fn rank(status: &str) -> usize {
    ["invalid", "pending", "ready", "processing", "valid"]
        .iter()
        .position(|known| *known == status)
        .expect("a status")
}

/// How much was told.
#[derive(Debug, Clone, Copy)]
pub struct Totals {
    accounts: usize,
    orders: usize,
    certificates: usize,
    revocations: usize,
}

impl Totals {
    /// Whether this many kills met work of every kind.
    pub fn is_enough_for(&self, kills: usize) -> bool {
        self.accounts >= kills / 5 && self.certificates >= kills / 2 && self.revocations >= kills / 10
    }
}

impl Add for Totals {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            accounts: self.accounts + other.accounts,
            orders: self.orders + other.orders,
            certificates: self.certificates + other.certificates,
            revocations: self.revocations + other.revocations,
        }
    }
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { accounts, orders, certificates, revocations } = self;
        write!(
            f,
            "{accounts} accounts, {orders} orders, {certificates} certificates, {revocations} revocations"
        )
    }
}
