//! What the responder gives out, for export: nothing in it is not given to whoever asks for it.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use ingam_authority::operator::CertificateFilter;
use ingam_protocol::bytes::{base64url, hex};
use ingam_protocol::ocsp::Response;
use ring::digest::{SHA256, digest};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::IntoParams;

use crate::Operator;
use crate::acts;
use crate::admission::read;
use crate::api::{OcspAnswers, Page, PublicationPart, PublicationPaths};
use crate::around::Caller;
use crate::extract::{self, Asked, optional};
use crate::problem::{Problem, Problems};
use crate::routes::certificates::find;
use crate::view;

/// A page has answers about at most so many certificates: most of them may have to be signed.
const CERTIFICATES_PER_PAGE_MAX: usize = 100;
/// A part of a file has at most so many bytes.
const PART_BYTES_MAX: usize = 8 << 20;

/// Answers about which certificates.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct AnswersAsked {
    /// About the certificate with this serial number, hexadecimal.
    #[param(max_length = 64)]
    serial: Option<String>,
    /// About those of this issuer.
    #[param(max_length = 64)]
    issuer: Option<String>,
    /// About those with this profile.
    #[param(max_length = 64)]
    profile: Option<String>,
    /// The `next` of the page before.
    #[param(max_length = 1200)]
    after: Option<String>,
    /// About how many at most: 1 to 1000; there are never more than 100 in a page.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
}

/// OCSP answers about all certificates that have not ended, oldest first, as the responder gives them out.
#[utoipa::path(get, path = "/v1/ocsp/answers", tag = "publication", params(AnswersAsked),
    responses((status = 200, body = Page<OcspAnswers>), Problems))]
pub(crate) async fn answers(
    State(operator): State<Arc<Operator>>,
    caller: Caller,
    Asked(asked): Asked<AnswersAsked>,
) -> Result<Json<Page<OcspAnswers>>, Problem> {
    let rule = &acts::OCSP_EXPORT;
    let act = operator.admit(&caller, rule, Value::Null, None).await?;
    let filter = CertificateFilter {
        serials: optional(asked.serial.as_ref(), extract::serial)?.map(|serial| vec![serial]),
        issuer: optional(asked.issuer.as_ref(), view::issuer)?,
        profile: optional(asked.profile.as_ref(), view::profile)?,
        ..CertificateFilter::default()
    };
    let limit = extract::limit(asked.limit)?.min(CERTIFICATES_PER_PAGE_MAX);
    let found = find(&operator, filter, asked.after.as_ref(), limit).await?;
    let found = operator.finish(rule, &act, found).await?;
    let mut items = Vec::with_capacity(found.items.len());
    for one in &found.items {
        let mut answers = Vec::new();
        for request in operator.authority.ocsp_requests(one) {
            let answer = operator.host.ocsp_answer(&request).await;
            if !matches!(Response::read(&answer), Ok(Response::Answer(_))) {
                return Err(unavailable(
                    "an OCSP answer cannot be had now: see what the responder lacks, and ask again",
                ));
            }
            answers.push(answer.to_vec().into());
        }
        if !answers.is_empty() {
            items.push(OcspAnswers {
                serial: one.serial.to_string(),
                issuer: one.issuer.to_string(),
                answers,
            });
        }
    }
    Ok(Json(Page { items, next: found.next.as_deref().map(base64url) }))
}

/// The files that the responder publishes beside OCSP: CRLs and certificates of CAs.
#[utoipa::path(get, path = "/v1/publication", tag = "publication",
    responses((status = 200, body = PublicationPaths), Problems))]
pub(crate) async fn paths(
    State(operator): State<Arc<Operator>>,
    caller: Caller,
) -> Result<Json<PublicationPaths>, Problem> {
    let rule = &acts::OCSP_EXPORT;
    let act = operator.admit(&caller, rule, Value::Null, None).await?;
    let published = operator.host.published_paths().await;
    let published = operator.finish(rule, &act, Ok(published)).await?;
    Ok(Json(PublicationPaths { base: published.base, paths: published.paths }))
}

/// Which part of a file.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct PartAsked {
    /// The path, as `/v1/publication` lists it.
    #[param(max_length = 256)]
    path: String,
    /// From which byte on.
    from: Option<u64>,
}

/// A published file, from a byte on, 8 MiB at most.
#[utoipa::path(get, path = "/v1/publication/file", tag = "publication", params(PartAsked),
    responses((status = 200, body = PublicationPart), Problems))]
pub(crate) async fn part(
    State(operator): State<Arc<Operator>>,
    caller: Caller,
    Asked(asked): Asked<PartAsked>,
) -> Result<Json<PublicationPart>, Problem> {
    let rule = &acts::OCSP_EXPORT;
    let act = operator.admit(&caller, rule, json!({ "path": asked.path }), None).await?;
    let is_listed = operator.host.published_paths().await.paths.contains(&asked.path);
    if !is_listed {
        let detail = "nothing is published at this path: /v1/publication lists what is";
        return Err(Problem::new(StatusCode::NOT_FOUND, "not-found", detail));
    }
    let Some(file) = operator.host.published(&asked.path).await else {
        return Err(unavailable("this file cannot be had now: see what the responder lacks, and ask again"));
    };
    let from = usize::try_from(asked.from.unwrap_or(0)).unwrap_or(usize::MAX);
    let Some(rest) = file.body.get(from..) else {
        return Err(Problem::invalid(
            "from lies behind the end of the file: begin again, it may be another by now",
        ));
    };
    let body = rest.get(..PART_BYTES_MAX).unwrap_or(rest).to_vec().into();
    let size = u64::try_from(file.body.len()).unwrap_or(u64::MAX);
    // A CRL can be long.
    let sha256 = read(move || hex(digest(&SHA256, &file.body).as_ref())).await?;
    let part = PublicationPart { content_type: file.content_type, sha256, size, body };
    Ok(Json(operator.finish(rule, &act, Ok(part)).await?))
}

fn unavailable(detail: &str) -> Problem {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail)
}
