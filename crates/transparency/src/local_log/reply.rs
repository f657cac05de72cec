//! What a log says.

use serde_json::Value;

/// An answer as HTTP carries it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The status.
    pub status: u16,
    /// The content type.
    pub content_type: &'static str,
    /// The body.
    pub body: Vec<u8>,
}

/// What happens to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reaction {
    /// It is answered.
    Reply(Reply),
    /// The connection ends without an answer.
    Close,
}

pub(super) fn text(status: u16, words: &str) -> Reply {
    Reply { status, content_type: "text/plain; charset=utf-8", body: format!("{words}\n").into_bytes() }
}

pub(super) fn json_reply(value: &Value) -> Reply {
    Reply { status: 200, content_type: "application/json", body: value.to_string().into_bytes() }
}
