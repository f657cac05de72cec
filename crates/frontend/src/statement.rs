//! The privacy page.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{Response, StatusCode};
use ingam_privacy::PrivacyPage;

use crate::Frontend;
use crate::around::request_id;
use crate::problem::Problem;

pub(crate) async fn page(State(frontend): State<Arc<Frontend>>, request: Request) -> Response<Body> {
    let (config, path) = (frontend.config(), request.uri().path());
    let Some(page) = config.privacy.as_ref().filter(|_| PrivacyPage::is_at(path)) else {
        return frontend.answer(&request_id(&request), Err(Problem::not_found()));
    };
    let answer = page.answer(request.method(), path, request.uri().query(), request.headers());
    if answer.status() == StatusCode::METHOD_NOT_ALLOWED {
        return frontend.answer(&request_id(&request), Err(Problem::method_not_allowed("GET, HEAD")));
    }
    answer.map(Body::from)
}
