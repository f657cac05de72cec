//! What perspectives saw, line by line. It is read from records as they are, of this version and of others: what is not there
//! is left out.

use ingam_protocol::Timestamp;
use serde_json::Value;

use crate::command::table::{Facts, Paper, Style};
use crate::command::text::{chop, clean, columns, wrap};

/// Lines that are indented below each other.
pub(super) struct Sheet<'a> {
    paper: &'a Paper,
    pub(super) text: String,
}

impl<'a> Sheet<'a> {
    pub(super) fn new(paper: &'a Paper) -> Self {
        Self { paper, text: String::new() }
    }

    pub(super) fn gap(&mut self) {
        self.text.push('\n');
    }

    pub(super) fn title(&mut self, indent: usize, text: &str) {
        let text = clean(text);
        self.text.push_str(&format!("{:indent$}{}\n", "", self.paper.paint(&text, Style::Strong)));
    }

    /// Facts, indented.
    pub(super) fn facts(&mut self, indent: usize, facts: &Facts) {
        let width = self.paper.width.map(|width| width.saturating_sub(indent));
        for line in facts.render(&Paper { width, ..*self.paper }).lines() {
            self.text.push_str(&format!("{:indent$}{line}\n", ""));
        }
    }

    /// One line, or as many as there is room for.
    pub(super) fn line(&mut self, indent: usize, text: &str) {
        let text = clean(text);
        let room = self.paper.width.map_or(usize::MAX, |width| width.saturating_sub(indent).max(20));
        let lines = if columns(&text) <= room {
            vec![text.into_owned()]
        } else {
            wrap(&text, room).into_iter().flat_map(|line| chop(&line, room)).collect()
        };
        for line in lines {
            self.text.push_str(&format!("{:indent$}{line}\n", ""));
        }
    }

    /// What the primary perspective saw, what the remote ones saw, and what that comes to.
    pub(super) fn perspectives(&mut self, indent: usize, primary: &Value, corroboration: Option<&Value>) {
        self.look(indent, "", primary);
        let Some(corroboration) = corroboration else {
            self.line(indent, "quorum: none, a single perspective looked");
            return;
        };
        for answer in list(corroboration, "answers") {
            self.answer(indent, answer);
        }
        let quorum = &corroboration["quorum"];
        let told = format!(
            "quorum {}: {} of {} remote perspectives agree, in {} registries' regions",
            text(corroboration, "line"),
            quorum["agreed"],
            quorum["remotes"],
            quorum["registries"]
        );
        self.line(indent, &told);
    }

    /// A remote perspective's answer.
    fn answer(&mut self, indent: usize, answer: &Value) {
        let registry = match text(answer, "registry") {
            "" => String::new(),
            registry => format!(" ({registry})"),
        };
        let verdict = match answer.get("failure").filter(|failure| !failure.is_null()) {
            None => "agrees".to_owned(),
            Some(failure) => {
                format!("does not agree: {}: {}", text(failure, "error"), text(failure, "detail"))
            }
        };
        let (name, asked, answered) =
            (text(answer, "perspective"), moment(answer, "asked"), moment(answer, "answered"));
        self.line(indent, &format!("{name}{registry} {verdict}; asked {asked}, answered {answered}"));
        if let Some(seen) = answer.get("evidence").filter(|seen| !seen.is_null()) {
            self.look(indent + 2, "saw as ", seen);
        }
        if let Some(details) = answer.get("details").filter(|details| !details.is_null()) {
            self.line(indent + 2, &details_line(details));
        }
    }

    /// What one perspective saw.
    fn look(&mut self, indent: usize, before: &str, seen: &Value) {
        let (name, started, finished) =
            (text(seen, "perspective"), moment(seen, "started"), moment(seen, "finished"));
        // CAA of a name and of its wildcard are two questions.
        let about = match seen["wildcard"].as_bool() {
            Some(true) => format!("about *.{}, ", text(seen, "name")),
            _ => String::new(),
        };
        self.line(indent, &format!("{before}{name}, {about}from {started} to {finished}"));
        for lookup in list(seen, "lookups") {
            self.lookup(indent + 2, lookup);
        }
        for hop in list(seen, "hops") {
            self.hop(indent + 2, hop);
        }
    }

    fn lookup(&mut self, indent: usize, lookup: &Value) {
        let mut head =
            format!("{} {}: {}", text(lookup, "record_type"), text(lookup, "name"), text(lookup, "response"));
        match text(lookup, "proof") {
            "" => {}
            proof => head.push_str(&format!(", DNSSEC {proof}")),
        }
        self.line(indent, &head);
        for alias in list(lookup, "aliases") {
            self.line(indent + 2, &format!("alias of {}", plain(alias)));
        }
        for value in list(lookup, "values") {
            self.line(indent + 2, &plain(value));
        }
        if let Some(left_out) = lookup.get("values_left_out") {
            self.line(indent + 2, &format!("and {left_out} more"));
        }
        for error in list(lookup, "extended_errors") {
            self.line(indent + 2, &format!("extended error {} {}", error["code"], text(error, "text")));
        }
    }

    fn hop(&mut self, indent: usize, hop: &Value) {
        let server = match text(hop, "url") {
            "" => text(hop, "hostname"),
            url => url,
        };
        self.line(indent, server);
        let addresses = |key| list(hop, key).iter().map(plain).collect::<Vec<_>>().join(", ");
        let mut told = vec![format!("resolved {}", addresses("addresses_resolved"))];
        match addresses("addresses_tried") {
            tried if tried.is_empty() => {}
            tried => told.push(format!("tried {tried}")),
        }
        match text(hop, "address_used") {
            "" => told.push(format!("connected to none, port {}", hop["port"])),
            used => told.push(format!("used {used}, port {}", hop["port"])),
        }
        if let Some(status) = hop.get("status") {
            told.push(format!("status {status}"));
        }
        self.line(indent + 2, &told.join("; "));
        if let Some(tls) = hop.get("tls") {
            self.line(indent + 2, &tls_line(tls));
            if let Some(certificate) = tls.get("certificate") {
                self.line(indent + 2, &format!("certificate {}", plain(certificate)));
            }
        }
        match text(hop, "body_start") {
            "" => {}
            body => self.line(indent + 2, &format!("body {body}")),
        }
    }
}

/// What another maker's perspective says that it saw, or why there is nothing of that.
fn details_line(details: &Value) -> String {
    if let Some(why) = details["unreached"].as_str() {
        return format!("why: {why}");
    }
    if let Some(bytes) = details["left_out_bytes"].as_u64() {
        return format!("what it saw was too large to be kept: {bytes} bytes");
    }
    match details["left_out"].as_bool() {
        Some(true) => "its evidence was too large to be sent".to_owned(),
        _ => format!("details {details}"),
    }
}

fn tls_line(tls: &Value) -> String {
    let parts = [
        ("", "version"),
        ("application protocol ", "application_protocol"),
        ("SHA-256 of the certificate ", "certificate_sha256"),
    ];
    let told = parts.into_iter().filter_map(|(name, key)| match text(tls, key) {
        "" => None,
        value => Some(format!("{name}{value}")),
    });
    format!("TLS: {}", told.collect::<Vec<_>>().join(", "))
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// Records have milliseconds since 1970.
fn moment(value: &Value, key: &str) -> String {
    match value.get(key).and_then(Value::as_u64) {
        Some(unix_ms) => Timestamp::from_unix_ms(unix_ms).to_rfc3339(),
        None => text(value, key).to_owned(),
    }
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// A text without its quotes, anything else as JSON has it.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
