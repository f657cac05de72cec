//! Routes of accounts (RFC 8555, section 7.3).

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, Query, Request, State};
use axum::http::{Response, StatusCode};
use ingam_authority::{AccountFound, Error};
use ingam_protocol::Id;
use ingam_protocol::acme::{Account, AccountUpdate, ErrorType, KeyChange, NewAccount};
use ingam_protocol::jws::{Jws, KeyReference};
use ingam_protocol::key::PublicKey;
use serde::Deserialize;
use serde_json::json;

use crate::Frontend;
use crate::around::{Outcome, append_link, request_id, set_location};
use crate::problem::Problem;
use crate::resource::{self, json_response};
use crate::signed::{FromAccount, FromKey, empty_payload, read_payload};

/// Where a page of an account's orders begins.
#[derive(Deserialize)]
pub(crate) struct OrdersPage {
    after: Option<String>,
}

pub(crate) async fn new_account(State(frontend): State<Arc<Frontend>>, request: Request) -> Response<Body> {
    let id = request_id(&request);
    frontend.answer(&id, frontend.new_account(request).await)
}

pub(crate) async fn account(
    State(frontend): State<Arc<Frontend>>,
    Path(account): Path<String>,
    request: Request,
) -> Response<Body> {
    let id = request_id(&request);
    frontend.answer(&id, frontend.account(&account, request).await)
}

pub(crate) async fn orders(
    State(frontend): State<Arc<Frontend>>,
    Path(account): Path<String>,
    Query(page): Query<OrdersPage>,
    request: Request,
) -> Response<Body> {
    let id = request_id(&request);
    frontend.answer(&id, frontend.orders(&account, page, request).await)
}

pub(crate) async fn key_change(State(frontend): State<Arc<Frontend>>, request: Request) -> Response<Body> {
    let id = request_id(&request);
    frontend.answer(&id, frontend.key_change(request).await)
}

impl Frontend {
    async fn new_account(&self, request: Request) -> Outcome {
        let FromKey { key, payload, caller } = self.signed_by_key(request).await?;
        let wish: NewAccount = read_payload(&payload)?;
        let found = self.authority.account_create(key, wish, &caller).await.map_err(|error| {
            let ended = matches!(&error, Error::Refusal(refusal) if refusal.account_ended);
            let problem = Problem::from(error);
            // RFC 8555, section 7.3.6; whoever is refused otherwise may come back with something better.
            if ended { problem.with_status(StatusCode::UNAUTHORIZED) } else { problem }
        })?;
        let status = match found {
            AccountFound::New(_) => StatusCode::CREATED,
            AccountFound::Existing(_) => StatusCode::OK,
        };
        self.account_response(status, found.account())
    }

    async fn account(&self, id: &str, request: Request) -> Outcome {
        let FromAccount { account, payload, caller } = self.own_account(id, request).await?;
        if payload.payload().is_empty() {
            return self.account_response(StatusCode::OK, &account);
        }
        let update: AccountUpdate = read_payload(&payload)?;
        let changed = self.authority.account_update(&account, update, &caller).await?;
        self.account_response(StatusCode::OK, &changed)
    }

    async fn orders(&self, id: &str, page: OrdersPage, request: Request) -> Outcome {
        let FromAccount { account, payload, .. } = self.own_account(id, request).await?;
        empty_payload(&payload)?;
        let after =
            page.after.map(|after| after.parse::<Id>()).transpose().map_err(|_| Problem::not_found())?;
        let (orders, next) = self.authority.orders(&account, after)?;
        let urls: Vec<String> = orders.into_iter().map(|order| self.urls.order(order)).collect();
        let mut response = json_response(StatusCode::OK, &json!({ "orders": urls }));
        if let Some(next) = next {
            append_link(response.headers_mut(), &self.urls.orders(account.id, Some(next)), "next");
        }
        Ok(response)
    }

    /// Key rollover, with every check of RFC 8555, section 7.3.5.
    async fn key_change(&self, request: Request) -> Outcome {
        let FromAccount { account, payload, caller } = self.signed_by_account(request).await?;
        let inner = Jws::parse(payload.payload())?;
        let KeyReference::Key(new) = &inner.key else {
            return Err(Problem::malformed("the inner JWS names no new key: send it as \"jwk\""));
        };
        if inner.url != caller.url {
            return Err(Problem::malformed("the inner JWS has another \"url\" than the outer one"));
        }
        if inner.nonce.is_some() {
            return Err(Problem::malformed("the inner JWS has a \"nonce\": leave it out"));
        }
        let change: KeyChange = read_payload(&inner.verify(new)?)?;
        if self.urls.account_id(&change.account) != Some(account.id) {
            return Err(Problem::malformed(
                "\"account\" in the inner JWS is not the account that signed the outer one",
            ));
        }
        let old = PublicKey::from_jwk(&change.old_key).ok();
        if old.as_ref() != Some(&account.key) {
            return Err(Problem::malformed("\"oldKey\" in the inner JWS is not the account's key"));
        }
        let changed = self.authority.account_key_change(&account, new.clone(), &caller).await?;
        self.account_response(StatusCode::OK, &changed)
    }

    /// A request to an account's own URL, signed by that account.
    async fn own_account(&self, id: &str, request: Request) -> Result<FromAccount, Problem> {
        let from = self.signed_by_account(request).await?;
        if id.parse() != Ok(from.account.id) {
            return Err(Problem::new(
                ErrorType::Unauthorized,
                "the request is signed by another account than the one at this URL",
            ));
        }
        Ok(from)
    }

    fn account_response(&self, status: StatusCode, account: &Account) -> Outcome {
        let contacts = match account.deactivated {
            None => self.authority.account_contacts(account)?,
            Some(_) => Vec::new(),
        };
        let mut response = json_response(status, &resource::account(&self.urls, account, &contacts));
        set_location(response.headers_mut(), &self.urls.account(account.id));
        if let Some(terms) = &self.authority.policy().terms_of_service {
            append_link(response.headers_mut(), terms, "terms-of-service");
        }
        Ok(response)
    }
}
