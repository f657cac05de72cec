//! The certificate of the CA's own https endpoint (docs/decisions/0010).
//!
//! It goes the way of every other certificate: an order on record, prepared and linted bytes, a claim, the signer asked on
//! record, the certificate on record with its status. What is different comes before that: the operator's configuration
//! says which names are the CA's own, so the order has no authorizations; its account has a key that nobody kept. Only
//! private profiles allow that.

use std::sync::Arc;

use ingam_protocol::Id;
use ingam_protocol::acme::{Account, ErrorType, Order};
use ingam_protocol::identifier::Identifier;
use ingam_protocol::key::PublicKey;
use ingam_protocol::profile::Profile;
use ingam_protocol::record::RecordType;
use ingam_store::{AccountInserted, Admission};

use crate::error::{Error, Fault};
use crate::evidence::{AccountEvidence, Looked, OrderEvidence};
use crate::issuance::{Away, Claimant, read_request};
use crate::{Authority, CertificateView};

/// What the CA asks of itself.
#[derive(Clone, Debug)]
pub struct OwnRequest {
    /// A private profile.
    pub profile: String,
    /// The CA's own names, sorted, each once.
    pub identifiers: Vec<Identifier>,
    /// DER of a request for them.
    pub csr: Vec<u8>,
    /// The key of the CA's account, where there is none yet.
    pub account_key: PublicKey,
    /// DER of the certificate before this one, whose account goes on.
    pub previous: Option<Vec<u8>>,
}

impl Authority {
    /// Issues the certificate of the CA's own endpoint, and waits for it.
    ///
    /// # Errors
    /// Refusals: `invalidProfile` for one that is not there or public; `badCSR`; `rejectedIdentifier` for a name that
    /// operators blocked.
    pub async fn own_certificate(self: &Arc<Self>, request: OwnRequest) -> Result<CertificateView, Error> {
        let profile =
            self.policy().catalog.by_name(&request.profile).filter(|profile| !profile.is_public).cloned();
        let profile = profile.ok_or_else(|| {
            let why = format!(
                "the CA's own certificate needs a private profile, and '{}' is none",
                request.profile
            );
            Error::refusal(ErrorType::InvalidProfile, why)
        })?;
        let account = match self.own_account(request.previous.as_deref())? {
            Some(account) => account,
            None => self.own_account_create(request.account_key).await?,
        };
        let order = self.own_order(&account, request.identifiers, &profile).await?;
        let signing = read_request(&request.csr, &account, &order, &profile)?;
        let prepared = self.prepare(&signing, &order, profile).await?.map_err(|Away(why)| {
            Error::signer("preparing the CA's own certificate", ingam_signer::Error::Away(why))
        })?;
        self.lint_outside(&prepared, &order, None).await?;
        let nobody = Claimant { looked: &Looked::default(), caller: None, is_counted: false };
        let claimed = self.claim(&order, &prepared, &signing, &request.csr, nobody).await?;
        let token = claimed.map_err(|status| {
            Error::refusal(ErrorType::OrderNotReady, format!("the CA's own order became {status:?}"))
        })?;
        let (issuer, serial) = (prepared.issuer().clone(), prepared.serial().clone());
        let held = self.in_hand.hold();
        let signed = self.sign(order.id, token, prepared).await;
        drop(held);
        signed?;
        self.certificate(&account, &issuer, &serial)?.ok_or_else(|| {
            Error::Fault(Fault {
                code: "own_certificate",
                doing: "issuing the CA's own https certificate",
                passing: true,
                source: "its signature came too late".into(),
            })
        })
    }

    /// The account of the certificate before, if it has not ended.
    fn own_account(&self, previous: Option<&[u8]>) -> Result<Option<Account>, Error> {
        let Some(previous) = previous else { return Ok(None) };
        match self.issued(previous) {
            Ok((_, _, row)) => {
                let account = self.store.account_by_id(row.account)?;
                Ok(account.filter(|account| account.deactivated.is_none()))
            }
            // It is another CA's, of a folder that came from elsewhere.
            Err(Error::Refusal(_)) => Ok(None),
            Err(fault) => Err(fault),
        }
    }

    async fn own_account_create(&self, key: PublicKey) -> Result<Account, Error> {
        let now = self.clock.now();
        let id = Id::new(now, self.random.as_ref());
        let account = Account {
            id,
            key,
            created: now,
            terms_agreed: None,
            deactivated: None,
            external: None,
            earlier_keys: Vec::new(),
        };
        let evidence = AccountEvidence::of(&account);
        let record = self.record(RecordType::AccountCreated, Some(account.id), None, &evidence)?;
        match self.store.account_insert(account.clone(), &[], record, Vec::new()).await? {
            Ok(AccountInserted::New) => Ok(account),
            Ok(AccountInserted::Limited(limited)) => Err(self.limited(limited)),
            Ok(AccountInserted::Taken(_) | AccountInserted::Blocked) | Err(_) => {
                let why = "the key that was made for the CA's own account is known already";
                Err(Error::refusal(ErrorType::BadPublicKey, why))
            }
        }
    }

    /// An order that is ready at once: there is nothing to show.
    async fn own_order(
        &self,
        account: &Account,
        identifiers: Vec<Identifier>,
        profile: &Profile,
    ) -> Result<Order, Error> {
        let now = self.clock.now();
        let order = Order {
            id: Id::new(now, self.random.as_ref()),
            account: account.id,
            created: now,
            expires: now.plus(profile.order_lifetime),
            identifiers,
            profile: profile.name.clone(),
            authorizations: Vec::new(),
            not_before: None,
            not_after: None,
            replaces: None,
            waiting: None,
            claim: None,
            asked: None,
            precertificate: None,
            certificate: None,
            failure: None,
        };
        let evidence = OrderEvidence { order: &order, authorizations: &[] };
        let record = self.record(RecordType::OrderCreated, Some(account.id), None, &evidence)?;
        // Nobody's limits are touched: it is the CA that asks.
        let nothing = Admission::default();
        let admitted = self.store.order_insert(order.clone(), Vec::new(), record, nothing).await?;
        self.admitted(admitted, &order.identifiers)?;
        Ok(order)
    }
}
