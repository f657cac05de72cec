//! Routes beside RFC 8555: what is held about an account's holder, and its erasure, asked for by the account key.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, Query, Request, State};
use axum::http::{Response, StatusCode};
use ingam_authority::subject::{ErasureWish, Section};
use ingam_protocol::bytes::{base64url, from_base64url};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::Frontend;
use crate::around::{Outcome, append_link, request_id};
use crate::problem::Problem;
use crate::resource::json_response;
use crate::signed::{FromAccount, empty_payload, read_payload};

/// Where a page of a section begins.
#[derive(Deserialize)]
pub(crate) struct SectionPage {
    after: Option<String>,
}

pub(crate) async fn report(State(frontend): State<Arc<Frontend>>, request: Request) -> Response<Body> {
    let id = request_id(&request);
    frontend.answer(&id, frontend.subject_report(request).await)
}

pub(crate) async fn section(
    State(frontend): State<Arc<Frontend>>,
    Path(section): Path<String>,
    Query(page): Query<SectionPage>,
    request: Request,
) -> Response<Body> {
    let id = request_id(&request);
    frontend.answer(&id, frontend.subject_section(&section, page, request).await)
}

pub(crate) async fn erase(State(frontend): State<Arc<Frontend>>, request: Request) -> Response<Body> {
    let id = request_id(&request);
    frontend.answer(&id, frontend.subject_erase(request).await)
}

impl Frontend {
    async fn subject_report(&self, request: Request) -> Outcome {
        let FromAccount { account, payload, caller } = self.signed_by_account(request).await?;
        empty_payload(&payload)?;
        let report = self.authority.subject_report_own(&account, &caller).await?;
        let mut body = serde_json::to_value(&report).unwrap_or_default();
        let pages = Section::ALL.map(|section| {
            (section.name().to_owned(), Value::from(self.urls.privacy_section(section.name(), None)))
        });
        if let Some(body) = body.as_object_mut() {
            body.insert("pages".to_owned(), Value::Object(Map::from_iter(pages)));
            body.insert("erase".to_owned(), self.urls.privacy_erase().into());
        }
        Ok(json_response(StatusCode::OK, &body))
    }

    async fn subject_section(&self, name: &str, page: SectionPage, request: Request) -> Outcome {
        let FromAccount { account, payload, caller } = self.signed_by_account(request).await?;
        empty_payload(&payload)?;
        let section = Section::from_name(name).ok_or_else(Problem::not_found)?;
        let after = match page.after {
            None => None,
            Some(after) => Some(from_base64url(&after).ok_or_else(Problem::not_found)?),
        };
        let found = self.authority.subject_section_own(&account, section, after, &caller).await?;
        let found = found.ok_or_else(Problem::not_found)?;
        let mut response = json_response(StatusCode::OK, &json!({ "items": found.items }));
        if let Some(next) = found.next {
            let next = self.urls.privacy_section(section.name(), Some(&base64url(&next)));
            append_link(response.headers_mut(), &next, "next");
        }
        Ok(response)
    }

    async fn subject_erase(&self, request: Request) -> Outcome {
        let FromAccount { account, payload, caller } = self.signed_by_account(request).await?;
        let wish: ErasureWish = read_payload(&payload)?;
        let authority = self.authority.clone();
        // What was begun is not left half done where the client hangs up: its answer alone is lost then.
        let erasing = tokio::spawn(async move { authority.subject_erase_own(&account, wish, &caller).await });
        let done = erasing.await.map_err(|_| Problem::passing_fault())??;
        Ok(json_response(StatusCode::OK, &serde_json::to_value(&done).unwrap_or_default()))
    }
}
