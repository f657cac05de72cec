//! Certificates: found, shown, revoked one by one.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use ingam_authority::operator::{ActError, CertificateFilter, CertificateSummary, Found, IssuedBetween};
use ingam_protocol::bytes::{base64url, from_base64url};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::IntoParams;

use crate::Operator;
use crate::acts;
use crate::admission::to_its_end;
use crate::api::{Certificate, CertificateDetail, CertificateEvidence, Done, Page, Revocation};
use crate::around::Caller;
use crate::extract::{self, Asked, Named, Sent, optional};
use crate::problem::{Problem, Problems};
use crate::routes::orders::ReasonAsked;
use crate::view;

/// Which certificates.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct CertificatesAsked {
    /// With this serial number, hexadecimal.
    #[param(max_length = 64)]
    serial: Option<String>,
    /// Ordered by this account.
    #[param(pattern = "^[A-Za-z0-9_-]{21}[AQgw]$")]
    account: Option<String>,
    /// With the key of this thumbprint.
    #[param(pattern = "^[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]$")]
    key: Option<String>,
    /// For this name, itself or as a wildcard's base.
    #[param(max_length = 260)]
    name: Option<String>,
    /// For any name below this one.
    #[param(max_length = 260)]
    below: Option<String>,
    /// By this issuer.
    #[param(max_length = 64)]
    issuer: Option<String>,
    /// Signed at this time or later (RFC 3339).
    #[param(max_length = 40, format = DateTime)]
    issued_from: Option<String>,
    /// Signed before this time (RFC 3339).
    #[param(max_length = 40, format = DateTime)]
    issued_until: Option<String>,
    /// Ending before this time (RFC 3339).
    #[param(max_length = 40, format = DateTime)]
    expires_until: Option<String>,
    /// `good`, `revoked` or `expired`.
    #[param(max_length = 16)]
    status: Option<String>,
    /// The `next` of the page before.
    #[param(max_length = 1200)]
    after: Option<String>,
    /// How many at most: 1 to 1000.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
}

impl CertificatesAsked {
    fn filter(&self) -> Result<CertificateFilter, Problem> {
        Ok(CertificateFilter {
            serials: optional(self.serial.as_ref(), extract::serial)?.map(|serial| vec![serial]),
            account: optional(self.account.as_ref(), extract::id)?,
            key: optional(self.key.as_ref(), extract::thumbprint)?,
            name: optional(self.name.as_ref(), extract::host)?,
            below: optional(self.below.as_ref(), extract::name)?,
            issuer: optional(self.issuer.as_ref(), view::issuer)?,
            profile: None,
            issued: IssuedBetween {
                from: optional(self.issued_from.as_ref(), extract::time)?,
                until: optional(self.issued_until.as_ref(), extract::time)?,
            },
            expires_until: optional(self.expires_until.as_ref(), extract::time)?,
            status: optional(self.status.as_ref(), extract::certificate_status)?,
        })
    }
}

/// Certificates, oldest first; below a name, name by name.
#[utoipa::path(get, path = "/v1/certificates", tag = "certificates", params(CertificatesAsked),
    responses((status = 200, body = Page<Certificate>), Problems))]
pub(crate) async fn certificates(
    State(operator): State<Arc<Operator>>,
    caller: Caller,
    Asked(asked): Asked<CertificatesAsked>,
) -> Result<Json<Page<Certificate>>, Problem> {
    let rule = &acts::CERT_LIST;
    let act = operator.admit(&caller, rule, Value::Null, None).await?;
    let (filter, limit) = (asked.filter()?, extract::limit(asked.limit)?);
    let found = find(&operator, filter, asked.after.as_ref(), limit).await?;
    let found = operator.finish(rule, &act, found).await?;
    Ok(Json(view::page(found, base64url, |one| view::certificate(&one))))
}

/// A page of certificates that fit, behind a page's `next`.
pub(super) async fn find(
    operator: &Operator,
    filter: CertificateFilter,
    after: Option<&String>,
    limit: usize,
) -> Result<Result<Found<CertificateSummary>, ActError>, Problem> {
    let after = optional(after, |text| {
        from_base64url(text).ok_or_else(|| Problem::invalid("after is the next of a page before"))
    })?;
    let authority = operator.authority.clone();
    operator.search(move || authority.certificates_find(&filter, after.as_deref(), limit)).await
}

/// A certificate with its text.
#[utoipa::path(get, path = "/v1/certificates/{serial}", tag = "certificates", params(("serial" = String, Path, pattern = "^([0-9A-Fa-f]{2}){1,20}$")),
    responses((status = 200, body = CertificateDetail), Problems))]
pub(crate) async fn certificate(
    State(operator): State<Arc<Operator>>,
    caller: Caller,
    Named(name): Named,
) -> Result<Json<CertificateDetail>, Problem> {
    let rule = &acts::CERT_SHOW;
    let act = operator.admit(&caller, rule, json!({ "serial": name }), None).await?;
    let found = operator.authority.certificate_of_serial(&extract::serial(&name)?);
    let found = found.and_then(|found| Ok((operator.authority.renewal_summary(&found)?, found)));
    let (renewal, found) = operator.finish(rule, &act, found).await?;
    let chain = operator.authority.chain_of(&found.issuer);
    Ok(Json(view::certificate_detail(&found, &chain, &renewal)))
}

/// What a certificate rests on: personal data, on record with the reason.
#[utoipa::path(get, path = "/v1/certificates/{serial}/evidence", tag = "certificates",
    params(("serial" = String, Path, pattern = "^([0-9A-Fa-f]{2}){1,20}$"), ReasonAsked),
    responses((status = 200, body = CertificateEvidence), Problems))]
pub(crate) async fn evidence(
    State(operator): State<Arc<Operator>>,
    caller: Caller,
    Named(name): Named,
    Asked(asked): Asked<ReasonAsked>,
) -> Result<Json<CertificateEvidence>, Problem> {
    let rule = &acts::CERT_EVIDENCE;
    let what = json!({ "serial": name });
    let act = operator.admit(&caller, rule, what, asked.reason.as_deref()).await?;
    let serial = extract::serial(&name)?;
    let turn = operator.search_turn().await?;
    let (authority, reads) = (operator.authority.clone(), act.clone());
    let found = to_its_end(async move {
        let _turn = turn;
        authority.certificate_evidence(&reads, &serial).await
    });
    let found = operator.finish(rule, &act, found.await?).await?;
    Ok(Json(view::certificate_evidence(&found)))
}

/// Revokes a certificate.
#[utoipa::path(post, path = "/v1/certificates/{serial}/revoke", tag = "certificates",
    params(("serial" = String, Path, pattern = "^([0-9A-Fa-f]{2}){1,20}$")), request_body = Revocation,
    responses((status = 200, body = Done), Problems))]
pub(crate) async fn revoke(
    State(operator): State<Arc<Operator>>,
    caller: Caller,
    Named(name): Named,
    Sent(sent): Sent<Revocation>,
) -> Result<Json<Done>, Problem> {
    let rule = &acts::CERT_REVOKE;
    let what = json!({
        "serial": name, "revocation_reason": sent.revocation_reason, "block_key": sent.block_key,
    });
    let act = operator.admit(&caller, rule, what, Some(&sent.reason)).await?;
    let serial = extract::serial(&name)?;
    let reason = view::revocation_reason(&sent.revocation_reason)?;
    let revoked = operator.authority.revoke_for_operator(&act, &serial, reason, sent.block_key).await;
    let found = operator.finish(rule, &act, revoked).await?;
    let key = if sent.block_key { "; its key is blocked" } else { "" };
    Ok(Json(Done { done: format!("the certificate {} is revoked ({reason}){key}", found.serial) }))
}
