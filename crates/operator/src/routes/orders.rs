//! Accounts, orders and authorizations.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use ingam_authority::operator::{AccountView, IssuedBetween, OrderFilter};
use ingam_protocol::Id;
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::IntoParams;

use crate::Operator;
use crate::acts;
use crate::api::{Account, AccountContacts, Authorization, Order, Page};
use crate::around::Caller;
use crate::extract::{self, Asked, Named, optional};
use crate::problem::{Problem, Problems};
use crate::view;

/// Which accounts.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct AccountsAsked {
    /// With the key of this thumbprint.
    #[param(pattern = "^[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]$")]
    key: Option<String>,
    /// Bound to the external key of this id.
    #[param(pattern = "^[A-Za-z0-9_-]{21}[AQgw]$")]
    external_key: Option<String>,
    /// `valid` or `deactivated`.
    #[param(max_length = 16)]
    status: Option<String>,
    /// Made at this time or later (RFC 3339).
    #[param(max_length = 40, format = DateTime)]
    created_from: Option<String>,
    /// Made before this time (RFC 3339).
    #[param(max_length = 40, format = DateTime)]
    created_until: Option<String>,
    /// The `next` of the page before.
    #[param(max_length = 64)]
    after: Option<String>,
    /// How many at most: 1 to 1000.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
}

/// Accounts, oldest first.
#[utoipa::path(get, path = "/v1/accounts", tag = "accounts", params(AccountsAsked),
    responses((status = 200, body = Page<Account>), Problems))]
pub(crate) async fn accounts(
    State(operator): State<Arc<Operator>>,
    caller: Caller,
    Asked(asked): Asked<AccountsAsked>,
) -> Result<Json<Page<Account>>, Problem> {
    let rule = &acts::ACCOUNT_LIST;
    let act = operator.admit(&caller, rule, Value::Null, None).await?;
    let prefix = operator.authority.policy().account_url_prefix.clone();
    let one = |found| view::account(&found, &prefix);
    let limit = extract::limit(asked.limit)?;
    let status = optional(asked.status.as_ref(), extract::account_status)?;
    let made = IssuedBetween {
        from: optional(asked.created_from.as_ref(), extract::time)?,
        until: optional(asked.created_until.as_ref(), extract::time)?,
    };
    let after = optional(asked.after.as_ref(), extract::id)?;
    let thumbprint = optional(asked.key.as_ref(), extract::thumbprint)?;
    let external_key = optional(asked.external_key.as_ref(), extract::id)?;
    // A key, of either kind, has one account at most; the other conditions have to hold for it too.
    let one_at_most = match (thumbprint, external_key) {
        (Some(thumbprint), _) => Some(operator.authority.account_of_key(&thumbprint)),
        (None, Some(key)) => Some(operator.authority.account_of_external_key(key)),
        (None, None) => None,
    };
    if let Some(found) = one_at_most {
        let found = operator.finish(rule, &act, found).await?;
        let fits = |view: &AccountView| {
            let (id, made_at) = (view.account.id, view.account.id.time());
            let bound_to = view.account.external.as_ref().map(|external| external.key);
            status.is_none_or(|status| status == view.account.status())
                && external_key.is_none_or(|key| bound_to == Some(key))
                && made.from.is_none_or(|from| made_at >= from)
                && made.until.is_none_or(|until| made_at < until)
                && after.is_none_or(|after| id > after)
        };
        return Ok(Json(Page { items: found.into_iter().filter(fits).map(one).collect(), next: None }));
    }
    let authority = operator.authority.clone();
    let found = operator.search(move || authority.accounts(status, made, after, limit)).await?;
    let found = operator.finish(rule, &act, found).await?;
    Ok(Json(view::page(found, id_text, one)))
}

/// An account.
#[utoipa::path(get, path = "/v1/accounts/{id}", tag = "accounts", params(("id" = String, Path, pattern = "^[A-Za-z0-9_-]{21}[AQgw]$")),
    responses((status = 200, body = Account), Problems))]
pub(crate) async fn account(
    State(operator): State<Arc<Operator>>,
    caller: Caller,
    Named(name): Named,
) -> Result<Json<Account>, Problem> {
    let rule = &acts::ACCOUNT_SHOW;
    let act = operator.admit(&caller, rule, json!({ "account": name }), None).await?;
    let found = operator.authority.account_view(extract::id(&name)?);
    let found = operator.finish(rule, &act, found).await?;
    Ok(Json(view::account(&found, &operator.authority.policy().account_url_prefix)))
}

/// Why personal data is read.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ReasonAsked {
    /// Why, for the record.
    #[param(max_length = 1000)]
    pub(super) reason: Option<String>,
}

/// The contacts of an account: personal data, on record with the reason.
#[utoipa::path(get, path = "/v1/accounts/{id}/contacts", tag = "accounts",
    params(("id" = String, Path, pattern = "^[A-Za-z0-9_-]{21}[AQgw]$"), ReasonAsked),
    responses((status = 200, body = AccountContacts), Problems))]
pub(crate) async fn account_contacts(
    State(operator): State<Arc<Operator>>,
    caller: Caller,
    Named(name): Named,
    Asked(asked): Asked<ReasonAsked>,
) -> Result<Json<AccountContacts>, Problem> {
    let rule = &acts::ACCOUNT_CONTACTS;
    let what = json!({ "account": name });
    let act = operator.admit(&caller, rule, what, asked.reason.as_deref()).await?;
    let id = extract::id(&name)?;
    let contacts = operator.authority.contacts_for_operator(&act, id).await;
    let contacts = operator.finish(rule, &act, contacts).await?;
    let contacts = contacts.iter().map(|contact| contact.expose().to_owned()).collect();
    Ok(Json(AccountContacts { account: id.to_string(), contacts }))
}

/// Which orders.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct OrdersAsked {
    /// Of this account.
    #[param(pattern = "^[A-Za-z0-9_-]{21}[AQgw]$")]
    account: Option<String>,
    /// `pending`, `ready`, `processing`, `valid` or `invalid`.
    #[param(max_length = 16)]
    status: Option<String>,
    /// For this name.
    #[param(max_length = 260)]
    name: Option<String>,
    /// Made at this time or later (RFC 3339).
    #[param(max_length = 40, format = DateTime)]
    created_from: Option<String>,
    /// Made before this time (RFC 3339).
    #[param(max_length = 40, format = DateTime)]
    created_until: Option<String>,
    /// The `next` of the page before.
    #[param(max_length = 64)]
    after: Option<String>,
    /// How many at most: 1 to 1000.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
}

/// Orders, oldest first.
#[utoipa::path(get, path = "/v1/orders", tag = "orders", params(OrdersAsked),
    responses((status = 200, body = Page<Order>), Problems))]
pub(crate) async fn orders(
    State(operator): State<Arc<Operator>>,
    caller: Caller,
    Asked(asked): Asked<OrdersAsked>,
) -> Result<Json<Page<Order>>, Problem> {
    let rule = &acts::ORDER_LIST;
    let act = operator.admit(&caller, rule, Value::Null, None).await?;
    let filter = OrderFilter {
        account: optional(asked.account.as_ref(), extract::id)?,
        status: optional(asked.status.as_ref(), extract::order_status)?,
        name: optional(asked.name.as_ref(), extract::host)?,
        from: optional(asked.created_from.as_ref(), extract::time)?,
        until: optional(asked.created_until.as_ref(), extract::time)?,
    };
    let after = optional(asked.after.as_ref(), extract::id)?;
    let (authority, limit) = (operator.authority.clone(), extract::limit(asked.limit)?);
    let found = operator.search(move || authority.orders_find(&filter, after, limit)).await?;
    let found = operator.finish(rule, &act, found).await?;
    Ok(Json(view::page(found, id_text, |order| view::order(&order))))
}

/// An order.
#[utoipa::path(get, path = "/v1/orders/{id}", tag = "orders", params(("id" = String, Path, pattern = "^[A-Za-z0-9_-]{21}[AQgw]$")),
    responses((status = 200, body = Order), Problems))]
pub(crate) async fn order(
    State(operator): State<Arc<Operator>>,
    caller: Caller,
    Named(name): Named,
) -> Result<Json<Order>, Problem> {
    let rule = &acts::ORDER_SHOW;
    let act = operator.admit(&caller, rule, json!({ "order": name }), None).await?;
    let found = operator.authority.any_order(extract::id(&name)?);
    Ok(Json(view::order(&operator.finish(rule, &act, found).await?)))
}

/// Which authorizations.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct AuthorizationsAsked {
    /// Of this order.
    #[param(max_length = 64)]
    order: String,
}

/// The authorizations of an order, in the order of its identifiers.
#[utoipa::path(get, path = "/v1/authorizations", tag = "orders", params(AuthorizationsAsked),
    responses((status = 200, body = Page<Authorization>), Problems))]
pub(crate) async fn authorizations(
    State(operator): State<Arc<Operator>>,
    caller: Caller,
    Asked(asked): Asked<AuthorizationsAsked>,
) -> Result<Json<Page<Authorization>>, Problem> {
    let rule = &acts::AUTHZ_LIST;
    let act = operator.admit(&caller, rule, json!({ "order": asked.order }), None).await?;
    let order = operator.authority.any_order(extract::id(&asked.order)?);
    let order = operator.finish(rule, &act, order).await?;
    let now = operator.authority.clock().now();
    let mut items = Vec::with_capacity(order.order.authorizations.len());
    for id in &order.order.authorizations {
        let found = operator.authority.any_authorization(*id).map_err(Problem::from)?;
        items.push(view::authorization(&found, now));
    }
    Ok(Json(Page { items, next: None }))
}

/// An authorization.
#[utoipa::path(get, path = "/v1/authorizations/{id}", tag = "orders", params(("id" = String, Path, pattern = "^[A-Za-z0-9_-]{21}[AQgw]$")),
    responses((status = 200, body = Authorization), Problems))]
pub(crate) async fn authorization(
    State(operator): State<Arc<Operator>>,
    caller: Caller,
    Named(name): Named,
) -> Result<Json<Authorization>, Problem> {
    let rule = &acts::AUTHZ_SHOW;
    let act = operator.admit(&caller, rule, json!({ "authorization": name }), None).await?;
    let found = operator.authority.any_authorization(extract::id(&name)?);
    let found = operator.finish(rule, &act, found).await?;
    Ok(Json(view::authorization(&found, operator.authority.clock().now())))
}

/// The place of a page that goes by ids.
pub(crate) fn id_text(place: &[u8]) -> String {
    place.try_into().map(Id::from_bytes).map(|id| id.to_string()).unwrap_or_default()
}
