//! The last things that went wrong, for the status page: a short list in memory, beside the log, which has all of it.
//!
//! The page is for everybody with a role, so nothing of a person may get here. Of an event only what its place in the
//! program says is kept: its message, which is the same every time, and the fields `code` and `doing`, which are words of
//! the program too. Addresses, names, serial numbers and causes are in other fields, and stay in the log.

use std::collections::VecDeque;
use std::fmt::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ingam_operator::{LastError, Severity};
use ingam_protocol::Clock;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{FilterFn, LevelFilter};
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

/// At most this many kinds of things are kept; of the rest, the log has more.
const KEPT_MAX: usize = 50;
/// At most this many bytes has a message.
const MESSAGE_BYTES_MAX: usize = 300;
/// At most this many bytes has the name of a request.
const REQUEST_ID_BYTES_MAX: usize = 64;

/// The list. Things of one kind are one entry, with a count: what fails all the time pushes nothing else out.
pub(crate) struct LastErrors {
    clock: Arc<dyn Clock>,
    /// The one that happened last is at the end.
    kept: Mutex<VecDeque<LastError>>,
}

impl LastErrors {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Arc<Self> {
        Arc::new(Self { clock, kept: Mutex::default() })
    }

    /// What is kept, newest first.
    pub(crate) fn list(&self) -> Vec<LastError> {
        self.kept().iter().rev().cloned().collect()
    }

    fn kept(&self) -> MutexGuard<'_, VecDeque<LastError>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keep(&self, mut new: LastError) {
        let mut kept = self.kept();
        let is_same = |old: &LastError| {
            (old.severity, &old.code, &old.part, &old.message)
                == (new.severity, &new.code, &new.part, &new.message)
        };
        if let Some(old) = kept.iter().position(is_same).and_then(|place| kept.remove(place)) {
            new.count = old.count.saturating_add(1);
        }
        if kept.len() >= KEPT_MAX {
            kept.pop_front();
        }
        kept.push_back(new);
    }
}

/// What fills the list: warnings and errors of this program, whatever the log's own filter says.
pub(super) fn layer<S>(errors: Arc<LastErrors>) -> impl Layer<S> + Send + Sync
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let ours = |metadata: &Metadata<'_>| {
        let is_ours = metadata.target() == "ingam"
            || metadata.target().starts_with("ingam_")
            || metadata.target().starts_with("ingam::");
        // Spans have the request's name; those of traces, which are at a lower level, have nothing for here.
        let most = if metadata.is_span() { Level::INFO } else { Level::WARN };
        is_ours && *metadata.level() <= most
    };
    Listening(errors).with_filter(FilterFn::new(ours).with_max_level_hint(LevelFilter::INFO))
}

struct Listening(Arc<LastErrors>);

/// A span's field `id`: the name of its request.
struct RequestId(String);

impl<S> Layer<S> for Listening
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut name = Text::new("id", REQUEST_ID_BYTES_MAX);
        attributes.record(&mut name);
        if let (Some(span), false) = (context.span(id), name.text.is_empty()) {
            span.extensions_mut().insert(RequestId(name.text));
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let field = |name| {
            let mut field = Text::new(name, MESSAGE_BYTES_MAX);
            event.record(&mut field);
            field.text
        };
        let (code, doing, mut message) = (field("code"), field("doing"), field("message"));
        if !doing.is_empty() {
            message = format!("{message}: {doing}");
        }
        let metadata = event.metadata();
        let request_id = context.event_scope(event).and_then(|mut spans| {
            spans.find_map(|span| span.extensions().get::<RequestId>().map(|id| id.0.clone()))
        });
        self.0.keep(LastError {
            severity: if *metadata.level() == Level::ERROR { Severity::Error } else { Severity::Warning },
            code: (!code.is_empty()).then_some(code),
            part: metadata.target().to_owned(),
            message,
            count: 1,
            last: self.0.clock.now(),
            request_id,
        });
    }
}

/// The text of one field, up to a length.
struct Text {
    name: &'static str,
    bytes_max: usize,
    text: String,
}

impl Text {
    fn new(name: &'static str, bytes_max: usize) -> Self {
        Self { name, bytes_max, text: String::new() }
    }
}

impl Visit for Text {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == self.name {
            // A text that is cut is the error that the writer below has to give.
            let _ = self.write_str(value);
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == self.name {
            let _ = write!(self, "{value:?}");
        }
    }
}

impl Write for Text {
    fn write_str(&mut self, more: &str) -> fmt::Result {
        for character in more.chars() {
            if self.text.len() + character.len_utf8() > self.bytes_max {
                return Err(fmt::Error);
            }
            self.text.push(if character.is_control() { ' ' } else { character });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use ingam_protocol::Timestamp;
    use ingam_protocol::time::FixedClock;
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    /// What is kept of what `work` tells.
    fn kept_of(work: impl FnOnce(&FixedClock)) -> Vec<LastError> {
        let clock = Arc::new(FixedClock::new(Timestamp::from_unix_s(1_795_255_200)));
        let errors = LastErrors::new(clock.clone());
        let subscriber = tracing_subscriber::registry().with(layer(errors.clone()));
        tracing::subscriber::with_default(subscriber, || work(&clock));
        errors.list()
    }

    #[test]
    fn what_went_wrong_is_kept_with_its_request_and_nothing_of_a_person() {
        let kept = kept_of(|_| {
            let span = tracing::info_span!("request", id = %"6f0d5c1be2a94437", route = "/new-order");
            let _request = span.enter();
            let cause: &dyn std::error::Error = &std::io::Error::other("mail@example.org");
            tracing::error!(code = "engine", doing = "reading a row", address = %"192.0.2.1", name = "www.example.org",
                error = cause, "a request failed");
        });
        let [error] = kept.as_slice() else { panic!("{kept:?}") };
        assert_eq!(error.severity, Severity::Error);
        assert_eq!(error.code.as_deref(), Some("engine"));
        assert_eq!(error.message, "a request failed: reading a row");
        assert_eq!(error.part, "ingam::telemetry::last_errors::tests");
        assert_eq!(error.request_id.as_deref(), Some("6f0d5c1be2a94437"));
        assert!(!format!("{error:?}").contains("192.0.2.1") && !format!("{error:?}").contains("example.org"));
    }

    #[test]
    fn things_of_one_kind_are_counted_and_the_newest_comes_first() {
        let kept = kept_of(|clock| {
            for code in ["first", "second", "first"] {
                clock.advance(Duration::from_secs(1));
                tracing::warn!(code, "it failed");
            }
            tracing::error!(code = "second", "it failed");
            tracing::info!(code = "third", "it went well");
            tracing::error!(target: "hyper::proto", "somebody else's words");
            tracing::error!(target: "ingamus", "somebody else's words");
        });
        let told =
            kept.iter().map(|error| (error.code.as_deref().unwrap_or(""), error.severity, error.count));
        assert_eq!(
            told.collect::<Vec<_>>(),
            [
                ("second", Severity::Error, 1),
                ("first", Severity::Warning, 2),
                ("second", Severity::Warning, 1)
            ]
        );
        assert_eq!(kept[1].last, Timestamp::from_unix_s(1_795_255_203));
        assert_eq!(kept[1].request_id, None);
    }

    #[test]
    fn the_list_and_its_texts_have_an_end() {
        let kept = kept_of(|_| {
            for number in 0..KEPT_MAX + 7 {
                let code = number.to_string();
                tracing::error!(code = code.as_str(), "{}\n", "ä".repeat(MESSAGE_BYTES_MAX));
            }
        });
        assert_eq!(kept.len(), KEPT_MAX);
        assert_eq!(kept.last().and_then(|oldest| oldest.code.as_deref()), Some("7"));
        assert!(kept.iter().all(|error| error.message.len() <= MESSAGE_BYTES_MAX));
    }
}
