//! The page as something that answers: made once for each state, and given out from memory.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use askama::Template;
use bytes::Bytes;
use http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_LANGUAGE, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG,
    IF_NONE_MATCH, REFERRER_POLICY, VARY, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};
use ingam_protocol::bytes::hex;
use ring::digest::{SHA256, digest};
use serde::Serialize;

use crate::changes::Version;
use crate::facts::Facts;
use crate::page::{Page, VERSIONS_MAX, policy};
use crate::statement::Statement;
use crate::words::Language;

/// Caches may give it out for so long without asking.
const CACHED: HeaderValue = HeaderValue::from_static("public, max-age=300");

/// The page, in all of its forms. Nothing of a request is written down, and nothing of it has an influence but its path,
/// its query's `lang`, and what it says of languages and of what it has already.
pub struct PrivacyPage {
    documents: RwLock<Arc<Documents>>,
}

struct Documents {
    html: [(Language, Document); 2],
    json: Document,
}

struct Document {
    body: Bytes,
    content_type: HeaderValue,
    etag: HeaderValue,
}

/// The digest of everything that the page says for these facts, in every language, but for its versions: as long as it is
/// the same, so is the version.
pub fn digest_of(facts: &Facts) -> String {
    let said: Vec<Statement> =
        Language::ALL.into_iter().map(|language| Statement::new(facts, language)).collect();
    // Plain data: it is always written.
    let written = serde_json::to_vec(&(facts, said)).unwrap_or_default();
    hex(digest(&SHA256, &written).as_ref())
}

#[derive(Serialize)]
struct Twin<'a> {
    version: u64,
    updated: Option<String>,
    digest: String,
    languages: Vec<Form>,
    changes: Vec<TwinVersion<'a>>,
    /// Consent that is older than this was to something else.
    #[serde(skip_serializing_if = "Option::is_none")]
    consent_since: Option<String>,
    #[serde(flatten)]
    facts: &'a Facts,
}

#[derive(Serialize)]
struct Form {
    language: Language,
    path: String,
}

#[derive(Serialize)]
struct TwinVersion<'a> {
    version: u64,
    at: String,
    changes: &'a [crate::changes::Change],
    asks_consent: bool,
}

impl PrivacyPage {
    /// The page for these facts; `versions` are the newest first.
    pub fn new(facts: &Facts, versions: &[Version]) -> Self {
        Self { documents: RwLock::new(Arc::new(Documents::new(facts, versions))) }
    }

    /// Says this from the next request on.
    pub fn replace(&self, facts: &Facts, versions: &[Version]) {
        let documents = Arc::new(Documents::new(facts, versions));
        *self.documents.write().unwrap_or_else(PoisonError::into_inner) = documents;
    }

    /// Whether the page is what is at this path: `/privacy`, and behind a dot a language, `json` or `html`.
    pub fn is_at(path: &str) -> bool {
        form(path).is_some()
    }

    /// Answers a request for [one of its paths](Self::is_at); not found for another.
    pub fn answer(
        &self,
        method: &Method,
        path: &str,
        query: Option<&str>,
        headers: &HeaderMap,
    ) -> Response<Bytes> {
        let Some(form) = form(path) else { return bare(StatusCode::NOT_FOUND) };
        if method != Method::GET && method != Method::HEAD {
            let mut refused = bare(StatusCode::METHOD_NOT_ALLOWED);
            refused.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return refused;
        }
        let documents = self.documents.read().unwrap_or_else(PoisonError::into_inner).clone();
        let language = match form {
            Shape::Json => None,
            Shape::In(language) => Some(language),
            Shape::Any => Some(chosen(query, headers)),
        };
        let document = match language {
            None => &documents.json,
            Some(language) => documents.html(language),
        };
        let is_known = headers.get_all(IF_NONE_MATCH).iter().any(|tags| document.is_one_of(tags));
        let mut response = Response::new(if is_known || method == Method::HEAD {
            Bytes::new()
        } else {
            document.body.clone()
        });
        let into = response.headers_mut();
        into.insert(ETAG, document.etag.clone());
        into.insert(CACHE_CONTROL, CACHED);
        if form == Shape::Any {
            into.insert(VARY, HeaderValue::from_static("Accept-Language"));
        }
        if is_known {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            return response;
        }
        into.insert(CONTENT_TYPE, document.content_type.clone());
        into.insert(CONTENT_LENGTH, HeaderValue::from(document.body.len()));
        into.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        into.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        if let Some(language) = language {
            into.insert(CONTENT_LANGUAGE, HeaderValue::from_static(language.tag()));
            into.insert(CONTENT_SECURITY_POLICY, policy());
        }
        response
    }
}

impl fmt::Debug for PrivacyPage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PrivacyPage").finish_non_exhaustive()
    }
}

/// In which form the page is asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// In the language that the client likes.
    Any,
    In(Language),
    Json,
}

fn form(path: &str) -> Option<Shape> {
    let rest = path.strip_prefix("/privacy")?;
    match rest.strip_prefix('.') {
        None if rest.is_empty() => Some(Shape::Any),
        None => None,
        Some("html") => Some(Shape::Any),
        Some("json") => Some(Shape::Json),
        Some(tag) => Language::ALL.into_iter().find(|language| language.tag() == tag).map(Shape::In),
    }
}

/// By the query, or else by what the browser likes.
fn chosen(query: Option<&str>, headers: &HeaderMap) -> Language {
    let asked = query.unwrap_or_default().split('&').find_map(|pair| pair.strip_prefix("lang="));
    let liked = || headers.get(header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok());
    asked.and_then(Language::from_tag).unwrap_or_else(|| Language::accepted(liked().unwrap_or_default()))
}

fn bare(status: StatusCode) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = status;
    response
}

impl Documents {
    fn new(facts: &Facts, versions: &[Version]) -> Self {
        let html = Language::ALL.map(|language| {
            let statement = Statement::new(facts, language);
            let body = Page::new(&statement, versions).render().unwrap_or_else(|cause| {
                let error: &dyn std::error::Error = &cause;
                tracing::error!(code = "privacy_template", error, "the privacy page could not be written");
                String::new()
            });
            (language, Document::new(body.into_bytes(), "text/html; charset=utf-8"))
        });
        let told = |version: &Version| version.at.to_rfc3339();
        let twin = Twin {
            version: versions.first().map_or(0, |version| version.number),
            updated: versions.first().map(told),
            digest: digest_of(facts),
            languages: Language::ALL
                .into_iter()
                .map(|language| Form { language, path: format!("/privacy.{}", language.tag()) })
                .collect(),
            changes: versions
                .iter()
                .take(VERSIONS_MAX)
                .map(|version| TwinVersion {
                    version: version.number,
                    at: told(version),
                    changes: &version.changes,
                    asks_consent: version.asks_consent,
                })
                .collect(),
            consent_since: versions.iter().find(|version| version.asks_consent).map(told),
            facts,
        };
        let json = serde_json::to_vec_pretty(&twin).unwrap_or_default();
        Self { html, json: Document::new(json, "application/json") }
    }

    fn html(&self, language: Language) -> &Document {
        let [(first, english), (_, korean)] = &self.html;
        if *first == language { english } else { korean }
    }
}

impl Document {
    fn new(body: Vec<u8>, content_type: &'static str) -> Self {
        let hash = hex(digest(&SHA256, &body).as_ref());
        let etag = HeaderValue::from_str(&format!("\"{hash}\"")).unwrap_or(HeaderValue::from_static("\"\""));
        Self { body: body.into(), content_type: HeaderValue::from_static(content_type), etag }
    }

    /// Compared weakly (RFC 9110, section 13.1.2).
    fn is_one_of(&self, tags: &HeaderValue) -> bool {
        let is_ours = |tag: &[u8]| {
            let tag = tag.trim_ascii();
            tag == b"*" || tag.strip_prefix(b"W/").unwrap_or(tag) == self.etag.as_bytes()
        };
        tags.as_bytes().split(|byte| *byte == b',').any(is_ours)
    }
}

#[cfg(test)]
mod tests {
    use ingam_protocol::Timestamp;

    use super::*;
    use crate::facts::tests::facts;

    fn page() -> PrivacyPage {
        let at = Timestamp::from_unix_s(1_795_255_200);
        PrivacyPage::new(&facts(), &[Version { number: 1, at, changes: Vec::new(), asks_consent: false }])
    }

    fn ask(path: &str, query: Option<&str>, liked: &str) -> Response<Bytes> {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT_LANGUAGE, HeaderValue::from_str(liked).unwrap());
        page().answer(&Method::GET, path, query, &headers)
    }

    #[test]
    fn the_language_is_asked_for_by_path_by_query_or_by_what_is_liked() {
        for (path, query, liked, language) in [
            ("/privacy", None, "ko", "ko"),
            ("/privacy", None, "de", "en"),
            ("/privacy", Some("lang=ko"), "en", "ko"),
            ("/privacy", Some("a=b&lang=en"), "ko", "en"),
            ("/privacy", Some("lang=xx"), "ko", "ko"),
            ("/privacy.ko", Some("lang=en"), "en", "ko"),
            ("/privacy.en", None, "ko", "en"),
        ] {
            let answer = ask(path, query, liked);
            assert_eq!(answer.status(), StatusCode::OK);
            assert_eq!(answer.headers()[CONTENT_LANGUAGE], language, "{path} {query:?} {liked}");
            let varies = answer.headers().get(VARY).is_some();
            assert_eq!(varies, path == "/privacy", "{path}");
            assert!(answer.headers().get(header::SET_COOKIE).is_none());
        }
    }

    #[test]
    fn what_is_known_already_is_not_sent_again_and_nothing_else_is_there() {
        let first = ask("/privacy.json", None, "en");
        assert_eq!(first.headers()[CONTENT_TYPE], "application/json");
        let mut headers = HeaderMap::new();
        headers.insert(IF_NONE_MATCH, first.headers()[ETAG].clone());
        let again = page().answer(&Method::GET, "/privacy.json", None, &headers);
        assert_eq!((again.status(), again.body().len()), (StatusCode::NOT_MODIFIED, 0));
        let head = page().answer(&Method::HEAD, "/privacy", None, &HeaderMap::new());
        assert!(head.body().is_empty() && head.headers()[CONTENT_LENGTH] != "0");
        let post = page().answer(&Method::POST, "/privacy", None, &HeaderMap::new());
        assert_eq!(
            (post.status(), &post.headers()[ALLOW]),
            (StatusCode::METHOD_NOT_ALLOWED, &HeaderValue::from_static("GET, HEAD"))
        );
        for elsewhere in ["/privacy/", "/privacy/report", "/privacy.", "/privacy.KO", "/privacyx", "/", ""] {
            assert!(!PrivacyPage::is_at(elsewhere), "{elsewhere}");
            assert_eq!(ask(elsewhere, None, "en").status(), StatusCode::NOT_FOUND);
        }
    }

    #[test]
    fn the_twin_has_every_fact() {
        let answer = ask("/privacy.json", None, "en");
        let twin: serde_json::Value = serde_json::from_slice(answer.body()).unwrap();
        let own = serde_json::to_value(facts()).unwrap();
        for (key, value) in own.as_object().unwrap() {
            assert_eq!(&twin[key], value, "{key}");
        }
        assert_eq!(twin["version"], 1);
        assert_eq!(twin["digest"], digest_of(&facts()));
        assert_eq!(serde_json::from_value::<Facts>(twin).unwrap(), facts());
    }

    #[test]
    fn the_digest_is_that_of_what_is_said() {
        let mut other = facts();
        other.request_log.mode = "off".to_owned();
        assert_ne!(digest_of(&facts()), digest_of(&other));
        assert_eq!(digest_of(&facts()), digest_of(&facts()));
    }
}
