//! What an ACME client would do, as calls.

use std::task::Poll;

use ingam_authority::{Error, OrderView, Refusal};
use ingam_protocol::Id;
use ingam_protocol::acme::{
    Account, Authorization, AuthorizationStatus, ChallengeStatus, ChallengeType, Claim, NewAccount, NewOrder,
    OrderStatus, Revocation, UnreadIdentifier,
};
use ingam_protocol::bytes::base64url;
use ingam_protocol::key::PublicKey;
use rcgen::{CertificateParams, KeyPair, PublicKeyData as _};

use super::{Process, caller};

/// A subscriber's key, for accounts and certificates alike.
pub(crate) struct Key(KeyPair);

impl Key {
    pub(crate) fn new() -> Self {
        Self(KeyPair::generate().unwrap())
    }

    pub(crate) fn public(&self) -> PublicKey {
        PublicKey::from_spki(&self.0.subject_public_key_info()).unwrap()
    }
}

/// DER of a CSR for these names.
pub(crate) fn csr(key: &Key, names: &[&str]) -> Vec<u8> {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.serialize_request(&key.0).unwrap().der().to_vec()
}

/// An order of these names and addresses that wishes nothing else.
pub(crate) fn new_order(names: &[&str]) -> NewOrder {
    let identifier = |name: &&str| {
        let kind = if name.parse::<std::net::IpAddr>().is_ok() { "ip" } else { "dns" };
        UnreadIdentifier { kind: kind.to_owned(), ..UnreadIdentifier::dns(*name) }
    };
    NewOrder {
        identifiers: names.iter().map(identifier).collect(),
        not_before: None,
        not_after: None,
        profile: None,
        replaces: None,
    }
}

pub(crate) fn refusal<T>(outcome: Result<T, Error>) -> Refusal {
    match outcome {
        Err(Error::Refusal(refusal)) => *refusal,
        Err(Error::Fault(fault)) => panic!("a fault in place of a refusal: {fault:?}"),
        Ok(_) => panic!("nothing was refused"),
    }
}

impl Process {
    pub(crate) fn account(&self) -> Account {
        self.account_with(&Key::new(), &[])
    }

    pub(crate) fn account_with(&self, key: &Key, contacts: &[&str]) -> Account {
        self.try_account(key, contacts).unwrap()
    }

    pub(crate) fn try_account(&self, key: &Key, contacts: &[&str]) -> Result<Account, Error> {
        let contact = contacts.iter().map(|contact| (*contact).to_owned()).collect();
        let request = NewAccount {
            contact: Some(contact),
            terms_of_service_agreed: false,
            only_return_existing: false,
            external_account_binding: None,
        };
        let found = self.run(self.authority.account_create(key.public(), request, &caller()));
        found.map(|found| found.account().clone())
    }

    pub(crate) fn order(&self, account: &Account, names: &[&str]) -> OrderView {
        self.order_of_profile(account, names, None)
    }

    pub(crate) fn order_of_profile(
        &self,
        account: &Account,
        names: &[&str],
        profile: Option<&str>,
    ) -> OrderView {
        let request = NewOrder { profile: profile.map(str::to_owned), ..new_order(names) };
        self.try_order(account, request).unwrap()
    }

    pub(crate) fn try_order(&self, account: &Account, request: NewOrder) -> Result<OrderView, Error> {
        self.run(self.authority.order_create(account, request, &caller()))
    }

    /// Says that the answer to a challenge is in place, and waits for nothing.
    pub(crate) fn answer(&self, account: &Account, id: Id, challenge: ChallengeType) -> Authorization {
        self.run(self.authority.challenge_answer(account, id, challenge, &caller())).unwrap().unwrap()
    }

    /// The same, and waits for the end of the check.
    pub(crate) fn answer_and_wait(&self, account: &Account, id: Id, challenge: ChallengeType) {
        self.answer(account, id, challenge);
        self.until("the check has ended", || {
            self.challenge_status(account, id, challenge) != ChallengeStatus::Processing
        });
    }

    pub(crate) fn challenge_status(
        &self,
        account: &Account,
        id: Id,
        challenge: ChallengeType,
    ) -> ChallengeStatus {
        let authorization = self.authority.authorization_of(account, id).unwrap().unwrap();
        authorization.challenges.iter().find(|known| known.kind == challenge).unwrap().status()
    }

    pub(crate) fn authorization_status(&self, account: &Account, id: Id) -> AuthorizationStatus {
        let authorization = self.authority.authorization_of(account, id).unwrap().unwrap();
        authorization.status(self.authority.clock().now())
    }

    pub(crate) fn order_view(&self, account: &Account, id: Id) -> OrderView {
        self.authority.order(account, id).unwrap().unwrap()
    }

    pub(crate) fn order_status(&self, account: &Account, id: Id) -> OrderStatus {
        self.order_view(account, id).status
    }

    /// An order whose every name was shown to be the account's.
    pub(crate) fn ready_order(&self, account: &Account, names: &[&str]) -> OrderView {
        let order = self.order(account, names);
        self.make_ready(account, &order)
    }

    pub(crate) fn make_ready(&self, account: &Account, order: &OrderView) -> OrderView {
        for id in &order.order.authorizations {
            self.answer_and_wait(account, *id, ChallengeType::Dns01);
        }
        let view = self.order_view(account, order.order.id);
        assert_eq!(view.status, OrderStatus::Ready);
        view
    }

    pub(crate) fn finalize(&self, account: &Account, id: Id, csr: &[u8]) -> Result<OrderView, Error> {
        self.run(self.authority.order_finalize(account, id, csr, &caller())).map(Option::unwrap)
    }

    /// Begins to finalize; what becomes of it is seen elsewhere.
    pub(crate) fn begin_finalize(&self, account: &Account, id: Id, csr: Vec<u8>) {
        let (authority, account, who) = (self.authority.clone(), account.clone(), caller());
        self.runtime.spawn(async move {
            let _ = authority.order_finalize(&account, id, &csr, &who).await;
        });
    }

    /// Finalizes until the claim is on record, and no further: the signer is not asked, as whoever would have asked it
    /// never runs again. What it left behind has to be ended by [`Process::kill_tasks`] or a crash.
    pub(crate) fn claim_and_stop(&self, account: &Account, id: Id, csr: &[u8]) -> Claim {
        let claim = || self.store.order_by_id(id).unwrap().unwrap().claim;
        let who = caller();
        let mut finalize = Box::pin(self.authority.order_finalize(account, id, csr, &who));
        self.run(std::future::poll_fn(|context| {
            assert!(finalize.as_mut().poll(context).is_pending(), "it ended before anybody could look");
            if claim().is_some() {
                return Poll::Ready(());
            }
            context.waker().wake_by_ref();
            Poll::Pending
        }));
        let order = self.store.order_by_id(id).unwrap().unwrap();
        assert_eq!(order.asked, None);
        claim().unwrap()
    }

    /// A certificate on record: its order and its DER.
    pub(crate) fn certificate(&self, account: &Account, key: &Key, name: &str) -> (OrderView, Vec<u8>) {
        let order = self.ready_order(account, &[name]);
        let view = self.finalize(account, order.order.id, &csr(key, &[name])).unwrap();
        assert_eq!(view.status, OrderStatus::Valid);
        let serial = view.order.certificate.as_ref().unwrap();
        let found = self.authority.certificate(account, view.issuer.as_ref().unwrap(), serial).unwrap();
        (view, found.unwrap().der)
    }
}

pub(crate) fn revocation(der: &[u8], reason: i64) -> Revocation {
    Revocation { certificate: base64url(der), reason: Some(reason) }
}
