//! Records: searched, and followed as they come. Both are reads of personal data, as records hold addresses.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;
use ingam_authority::operator::{RecordQuery, RecordsPlace};
use ingam_protocol::record::{Class, RecordType};
use serde::Deserialize;
use serde_json::json;
use tokio::sync::OwnedSemaphorePermit;
use utoipa::IntoParams;

use crate::Operator;
use crate::acts;
use crate::admission::{count, to_its_end};
use crate::api::{LogEntry, Page};
use crate::around::Caller;
use crate::extract::{self, Asked, optional};
use crate::problem::{Problem, Problems};
use crate::view;
use ingam_authority::operator::Outcome;

/// How often a follower's log is looked at.
const FOLLOW_PERIOD: Duration = Duration::from_millis(500);
/// After so many looks without a record, an empty line shows that the connection is alive.
const LOOKS_PER_LINE: u32 = 20;
/// At most this many records are given to a follower at once; more come with the next lines.
const FOLLOW_BATCH_MAX: usize = 1000;
/// At most this many characters are looked for.
const TEXT_CHARS_MAX: usize = 200;

/// Which records.
#[derive(Default, Deserialize, IntoParams)]
#[serde(try_from = "Vec<(String, String)>")]
#[into_params(parameter_in = Query)]
pub(crate) struct RecordsAsked {
    /// Of these retention classes, with commas between them; it can come several times.
    #[param(max_length = 300)]
    class: Option<String>,
    /// Of these types, with commas between them; it can come several times.
    #[param(max_length = 1000)]
    r#type: Option<String>,
    /// About this account.
    #[param(pattern = "^[A-Za-z0-9_-]{21}[AQgw]$")]
    subject: Option<String>,
    /// With this text in what is readable, whatever the case.
    #[param(max_length = 200)]
    text: Option<String>,
    /// At this time or later (RFC 3339).
    #[param(max_length = 40, format = DateTime)]
    from: Option<String>,
    /// Before this time (RFC 3339).
    #[param(max_length = 40, format = DateTime)]
    until: Option<String>,
    /// How many at most: 1 to 1000.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
    /// Why, for the record.
    #[param(max_length = 1000)]
    reason: Option<String>,
}

/// As serde would read it, but for `class` and `type`, which add up.
impl TryFrom<Vec<(String, String)>> for RecordsAsked {
    type Error = String;

    fn try_from(pairs: Vec<(String, String)>) -> Result<Self, String> {
        let mut asked = Self::default();
        for (name, value) in pairs {
            let slot = match name.as_str() {
                "class" => &mut asked.class,
                "type" => &mut asked.r#type,
                "subject" => &mut asked.subject,
                "text" => &mut asked.text,
                "from" => &mut asked.from,
                "until" => &mut asked.until,
                "reason" => &mut asked.reason,
                "limit" if asked.limit.is_none() => {
                    asked.limit = Some(value.parse().map_err(|_| "limit is a number".to_owned())?);
                    continue;
                }
                "limit" => return Err("limit comes twice".to_owned()),
                _ => return Err(format!("nothing is known of {name}")),
            };
            *slot = match slot.take() {
                None => Some(value),
                Some(before) if matches!(name.as_str(), "class" | "type") => {
                    Some(format!("{before},{value}"))
                }
                Some(_) => return Err(format!("{name} comes twice")),
            };
        }
        Ok(asked)
    }
}

impl RecordsAsked {
    fn query(&self) -> Result<RecordQuery, Problem> {
        if self.text.as_ref().is_some_and(|text| text.chars().count() > TEXT_CHARS_MAX) {
            return Err(Problem::invalid(format!("text has at most {TEXT_CHARS_MAX} characters")));
        }
        Ok(RecordQuery {
            classes: list(self.class.as_ref(), "class", Class::from_name)?,
            kinds: list(self.r#type.as_ref(), "type", RecordType::from_name)?,
            from: optional(self.from.as_ref(), extract::time)?,
            until: optional(self.until.as_ref(), extract::time)?,
            subject: optional(self.subject.as_ref(), extract::id)?,
            text: self.text.clone(),
        })
    }

    fn told(&self) -> serde_json::Value {
        // The record outlives an erasure: it does not have what was looked for, which may be an address or a name.
        let text = self.text.as_deref().map(|text| json!({ "characters": text.chars().count() }));
        json!({
            "class": self.class, "type": self.r#type, "subject": self.subject, "text": text,
            "from": self.from, "until": self.until,
        })
    }
}

fn list<T: Ord>(
    text: Option<&String>,
    what: &str,
    read: impl Fn(&str) -> Option<T>,
) -> Result<BTreeSet<T>, Problem> {
    let Some(text) = text else { return Ok(BTreeSet::new()) };
    let unknown = |name: &str| {
        let shown: String = name.chars().filter(|c| !c.is_control()).take(64).collect();
        Problem::invalid(format!("there is no {what} \"{shown}\""))
    };
    text.split(',').map(|name| read(name.trim()).ok_or_else(|| unknown(name))).collect()
}

/// The newest records that fit, oldest first.
#[utoipa::path(get, path = "/v1/log", tag = "log", params(RecordsAsked),
    responses((status = 200, body = Page<LogEntry>), Problems))]
pub(crate) async fn search(
    State(operator): State<Arc<Operator>>,
    caller: Caller,
    Asked(asked): Asked<RecordsAsked>,
) -> Result<Json<Page<LogEntry>>, Problem> {
    let rule = &acts::LOG_SEARCH;
    let act = operator.admit(&caller, rule, asked.told(), asked.reason.as_deref()).await?;
    let (query, limit) = (asked.query()?, extract::limit(asked.limit)?);
    let turn = operator.search_turn().await?;
    let (authority, searched) = (operator.authority.clone(), act.clone());
    let found = to_its_end(async move {
        let _turn = turn;
        authority.log_search(&searched, query, limit).await
    });
    let found = operator.finish(rule, &act, found.await?).await?;
    Ok(Json(Page { items: found.records.iter().map(view::log_entry).collect(), next: None }))
}

/// Records as they come, one JSON object a line, for as long as the client stays.
#[utoipa::path(get, path = "/v1/log/follow", tag = "log", params(RecordsAsked),
    responses((status = 200, body = String, content_type = "application/x-ndjson"), Problems))]
pub(crate) async fn follow(
    State(operator): State<Arc<Operator>>,
    caller: Caller,
    Asked(asked): Asked<RecordsAsked>,
) -> Result<Response, Problem> {
    let rule = &acts::LOG_FOLLOW;
    let act = operator.admit(&caller, rule, asked.told(), asked.reason.as_deref()).await?;
    let query = asked.query()?;
    extract::limit(asked.limit)?;
    let turn = operator.followers.clone().try_acquire_owned().map_err(|_| {
        Problem::new(
            StatusCode::TOO_MANY_REQUESTS,
            "overloaded",
            "too many follow the log already: end one of these, or search instead",
        )
    })?;
    let begun = operator.authority.personal_data_read(&act, query.subject).await;
    begun.map_err(Problem::from)?;
    let place = operator.authority.log_end().await.map_err(Problem::from)?;
    count(rule.name, Outcome::Done);
    let follower = Follower { operator, query, place, is_behind: false, looks: 0, _turn: turn };
    let lines = stream::unfold(follower, |mut follower| async move {
        let lines = follower.next_lines().await?;
        Some((Ok::<_, std::convert::Infallible>(lines), follower))
    });
    let body = Body::from_stream(lines);
    Ok(([(header::CONTENT_TYPE, "application/x-ndjson")], body).into_response())
}

/// One client that follows the log.
struct Follower {
    operator: Arc<Operator>,
    query: RecordQuery,
    place: RecordsPlace,
    /// Whether more is there already.
    is_behind: bool,
    /// How many looks in a row found nothing.
    looks: u32,
    _turn: OwnedSemaphorePermit,
}

impl Follower {
    /// What came since, as lines; `None` when the process ends or the log cannot be read.
    async fn next_lines(&mut self) -> Option<Bytes> {
        let host = self.operator.host.clone();
        loop {
            let wait = if self.is_behind { Duration::ZERO } else { FOLLOW_PERIOD };
            tokio::select! {
                biased;
                () = host.stopped() => return None,
                () = tokio::time::sleep(wait) => {}
            }
            let place = std::mem::take(&mut self.place);
            let authority = &self.operator.authority;
            let since = authority.log_since(place, self.query.clone(), FOLLOW_BATCH_MAX).await;
            // The log of the process has what went wrong; an answer that was begun cannot say it any more.
            let (place, found) = since.map_err(Problem::from).ok()?;
            self.place = place;
            self.is_behind = found.len() == FOLLOW_BATCH_MAX;
            let mut lines = String::new();
            for record in &found {
                lines.push_str(&serde_json::to_string(&view::log_entry(record)).ok()?);
                lines.push('\n');
            }
            self.looks += 1;
            if !lines.is_empty() || self.looks >= LOOKS_PER_LINE {
                self.looks = 0;
                return Some(if lines.is_empty() { Bytes::from_static(b"\n") } else { lines.into() });
            }
        }
    }
}
