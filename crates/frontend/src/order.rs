//! Routes of orders, authorizations and challenges (RFC 8555, sections 7.4 and 7.5).

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::{Response, StatusCode};
use ingam_authority::OrderView;
use ingam_protocol::Id;
use ingam_protocol::acme::{
    Authorization, AuthorizationStatus, AuthorizationUpdate, ChallengeStatus, ChallengeType, Finalize,
    NewAuthorization, NewOrder, OrderStatus,
};
use ingam_protocol::bytes::from_base64url;
use serde_json::{Map, Value};

use crate::Frontend;
use crate::around::{Outcome, append_link, request_id, set_location};
use crate::problem::Problem;
use crate::resource::{self, Shown, json_response, retry_later};
use crate::signed::{FromAccount, empty_payload, read_payload};

pub(crate) async fn new_order(State(frontend): State<Arc<Frontend>>, request: Request) -> Response<Body> {
    let id = request_id(&request);
    frontend.answer(&id, frontend.new_order(request).await)
}

pub(crate) async fn new_authorization(
    State(frontend): State<Arc<Frontend>>,
    request: Request,
) -> Response<Body> {
    let id = request_id(&request);
    frontend.answer(&id, frontend.new_authorization(request).await)
}

pub(crate) async fn order(
    State(frontend): State<Arc<Frontend>>,
    Path(order): Path<String>,
    request: Request,
) -> Response<Body> {
    let id = request_id(&request);
    frontend.answer(&id, frontend.order(&order, request).await)
}

pub(crate) async fn finalize(
    State(frontend): State<Arc<Frontend>>,
    Path(order): Path<String>,
    request: Request,
) -> Response<Body> {
    let id = request_id(&request);
    // Holds a CSR, a certificate and CAA answers on the way: too much for a connection's own future.
    let outcome = Box::pin(frontend.finalize(&order, request)).await;
    frontend.answer(&id, outcome)
}

pub(crate) async fn authorization(
    State(frontend): State<Arc<Frontend>>,
    Path(authorization): Path<String>,
    request: Request,
) -> Response<Body> {
    let id = request_id(&request);
    frontend.answer(&id, frontend.authorization(&authorization, request).await)
}

pub(crate) async fn challenge(
    State(frontend): State<Arc<Frontend>>,
    Path((authorization, kind)): Path<(String, String)>,
    request: Request,
) -> Response<Body> {
    let id = request_id(&request);
    frontend.answer(&id, frontend.challenge(&authorization, &kind, request).await)
}

impl Frontend {
    async fn new_order(&self, request: Request) -> Outcome {
        let FromAccount { account, payload, caller } = self.signed_by_account(request).await?;
        let wish: NewOrder = read_payload(&payload)?;
        let view = self.authority.order_create(&account, wish, &caller).await?;
        Ok(self.order_response(StatusCode::CREATED, &view))
    }

    /// Pre-authorization (RFC 8555, section 7.4.1).
    async fn new_authorization(&self, request: Request) -> Outcome {
        let FromAccount { account, payload, caller } = self.signed_by_account(request).await?;
        let wish: NewAuthorization = read_payload(&payload)?;
        let authorization = self.authority.authorization_create(&account, wish, &caller).await?;
        let mut response = self.authorization_response(StatusCode::CREATED, &authorization);
        set_location(response.headers_mut(), &self.urls.authorization(authorization.id));
        Ok(response)
    }

    async fn order(&self, id: &str, request: Request) -> Outcome {
        let FromAccount { account, payload, .. } = self.signed_by_account(request).await?;
        empty_payload(&payload)?;
        let view = self.authority.order(&account, read_id(id)?)?.ok_or_else(Problem::not_found)?;
        Ok(self.order_response(StatusCode::OK, &view))
    }

    async fn finalize(&self, id: &str, request: Request) -> Outcome {
        let FromAccount { account, payload, caller } = self.signed_by_account(request).await?;
        let id = read_id(id)?;
        let wish: Finalize = read_payload(&payload)?;
        let csr = from_base64url(&wish.csr).ok_or_else(|| {
            Problem::malformed("\"csr\" is not base64url without padding: send the DER, not PEM")
        })?;
        let view = self.authority.order_finalize(&account, id, &csr, &caller).await?;
        Ok(self.order_response(StatusCode::OK, &view.ok_or_else(Problem::not_found)?))
    }

    async fn authorization(&self, id: &str, request: Request) -> Outcome {
        let FromAccount { account, payload, caller } = self.signed_by_account(request).await?;
        let id = read_id(id)?;
        let found = if payload.payload().is_empty() {
            self.authority.authorization_of(&account, id)?
        } else {
            let update: AuthorizationUpdate = read_payload(&payload)?;
            match update.status.as_deref() {
                Some("deactivated") => self.authority.authorization_deactivate(&account, id, &caller).await?,
                _ => {
                    let detail = "an authorization's \"status\" can only be changed to \"deactivated\"";
                    return Err(Problem::malformed(detail));
                }
            }
        };
        let authorization = found.ok_or_else(Problem::not_found)?;
        Ok(self.authorization_response(StatusCode::OK, &authorization))
    }

    fn authorization_response(&self, code: StatusCode, authorization: &Authorization) -> Response<Body> {
        let status = authorization.status(self.authority.clock().now());
        let mut response =
            json_response(code, &resource::authorization(&self.shown(), authorization, status));
        let processing = authorization
            .challenges
            .iter()
            .any(|challenge| challenge.status() == ChallengeStatus::Processing);
        if status == AuthorizationStatus::Pending && processing {
            retry_later(&mut response);
        }
        response
    }

    async fn challenge(&self, id: &str, kind: &str, request: Request) -> Outcome {
        let FromAccount { account, payload, caller } = self.signed_by_account(request).await?;
        let id = read_id(id)?;
        let kind = ChallengeType::from_name(kind).ok_or_else(Problem::not_found)?;
        let found = if payload.payload().is_empty() {
            self.authority.authorization_of(&account, id)?
        } else {
            // Section 7.5.1: an empty object. What an older client puts into it (a keyAuthorization) is ignored.
            let _ignored: Map<String, Value> = read_payload(&payload)?;
            self.authority.challenge_answer(&account, id, kind, &caller).await?
        };
        let authorization = found.ok_or_else(Problem::not_found)?;
        let challenge = authorization
            .challenges
            .iter()
            .find(|challenge| challenge.kind == kind)
            .ok_or_else(Problem::not_found)?;
        let body = resource::challenge(&self.shown(), &authorization, challenge);
        let mut response = json_response(StatusCode::OK, &body);
        append_link(response.headers_mut(), &self.urls.authorization(authorization.id), "up");
        if challenge.status() == ChallengeStatus::Processing {
            retry_later(&mut response);
        }
        Ok(response)
    }

    fn shown(&self) -> Shown<'_> {
        Shown { urls: &self.urls, issuer_domain_names: self.config().issuer_domain_names() }
    }

    fn order_response(&self, status: StatusCode, view: &OrderView) -> Response<Body> {
        let mut response = json_response(status, &resource::order(&self.urls, view));
        set_location(response.headers_mut(), &self.urls.order(view.order.id));
        if view.status == OrderStatus::Processing {
            retry_later(&mut response);
        }
        response
    }
}

fn read_id(text: &str) -> Result<Id, Problem> {
    text.parse().map_err(|_| Problem::not_found())
}
