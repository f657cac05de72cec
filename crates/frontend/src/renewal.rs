//! The route of renewal information (RFC 9773, section 4): for everybody, without a signature.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderValue, Response, StatusCode, header};
use ingam_authority::RenewalView;
use serde_json::{Value, json};

use crate::Frontend;
use crate::around::{Outcome, request_id};
use crate::problem::Problem;
use crate::resource::json_response;

pub(crate) async fn renewal(
    State(frontend): State<Arc<Frontend>>,
    Path(certificate): Path<String>,
    request: Request,
) -> Response<Body> {
    frontend.answer(&request_id(&request), frontend.renewal(&certificate))
}

impl Frontend {
    fn renewal(&self, certificate: &str) -> Outcome {
        let view = self.authority.renewal(certificate)?.ok_or_else(|| {
            let detail = "this CA has not issued that certificate: ask the CA that did";
            Problem::malformed(detail).with_status(StatusCode::NOT_FOUND)
        })?;
        let mut response = json_response(StatusCode::OK, &document(&view));
        let headers = response.headers_mut();
        headers.insert(header::RETRY_AFTER, HeaderValue::from(view.check_after.as_secs().max(1)));
        let fresh = format!("public, max-age={}", view.fresh_for.as_secs());
        if let Ok(fresh) = HeaderValue::from_str(&fresh) {
            headers.insert(header::CACHE_CONTROL, fresh);
        }
        Ok(response)
    }
}

/// The RenewalInfo object (section 4.2).
fn document(view: &RenewalView) -> Value {
    let (start, end) = (view.window.start.to_rfc3339(), view.window.end.to_rfc3339());
    let mut document = json!({ "suggestedWindow": { "start": start, "end": end } });
    if let (Some(url), Some(members)) = (&view.explanation_url, document.as_object_mut()) {
        members.insert("explanationURL".to_owned(), url.as_str().into());
    }
    document
}
