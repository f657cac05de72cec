//! The statement as HTML: one whole document, with a policy (CSP) that lets a browser use its stylesheet and nothing else.

use std::sync::LazyLock;

use askama::Template;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use ring::digest::{SHA256, digest};

use crate::changes::Version;
use crate::statement::{Block, Statement};
use crate::words::Language;

/// How many versions the page tells of; the JSON twin tells of as many.
pub(crate) const VERSIONS_MAX: usize = 50;

/// What stands in the page's `<style>`, byte for byte: its hash is in the policy.
pub(crate) const STYLE: &str = include_str!("../templates/privacy.css");

#[derive(Template)]
#[template(path = "privacy.html", whitespace = "minimize")]
pub(crate) struct Page<'a> {
    statement: &'a Statement,
    other: Language,
    /// Machine and people's form of the day since which it is in force.
    since: (String, String),
    number: u64,
    versions: Vec<Told>,
}

/// A version, in words.
struct Told {
    number: u64,
    machine: String,
    day: String,
    asks_consent: bool,
    rows: Vec<Row>,
}

struct Row {
    what: String,
    before: String,
    after: String,
    /// Neither before nor after can be told.
    is_bare: bool,
}

impl<'a> Page<'a> {
    /// `versions` are the newest first.
    pub(crate) fn new(statement: &'a Statement, versions: &[Version]) -> Self {
        let language = statement.language;
        let tell = |version: &Version| Told {
            number: version.number,
            machine: version.at.to_rfc3339(),
            day: language.day(version.at),
            asks_consent: version.asks_consent,
            rows: version
                .changes
                .iter()
                .map(|change| Row {
                    what: language.row(&change.what),
                    before: language.value(&change.what, change.before.as_ref()),
                    after: language.value(&change.what, change.after.as_ref()),
                    is_bare: change.before.is_none() && change.after.is_none(),
                })
                .collect(),
        };
        let newest = versions.first();
        Self {
            statement,
            other: if language == Language::En { Language::Ko } else { Language::En },
            since: newest.map_or_else(Default::default, |at| (at.at.to_rfc3339(), language.day(at.at))),
            number: newest.map_or(0, |version| version.number),
            versions: versions.iter().take(VERSIONS_MAX).map(tell).collect(),
        }
    }

    fn say(&self, english: &'static str, korean: &'static str) -> &'static str {
        self.statement.language.of(english, korean)
    }
}

/// The Content-Security-Policy (CSP level 3): its own stylesheet by hash; no script, image, font, frame, form, connection.
pub(crate) fn policy() -> HeaderValue {
    static POLICY: LazyLock<HeaderValue> = LazyLock::new(|| {
        let hash = STANDARD.encode(digest(&SHA256, STYLE.as_bytes()));
        let policy = format!(
            "default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        );
        // Base64 and the words above are all ASCII: this is never the other one, which would allow nothing at all.
        HeaderValue::from_str(&policy).unwrap_or(HeaderValue::from_static("default-src 'none'"))
    });
    POLICY.clone()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use ingam_protocol::Timestamp;
    use roxmltree::{Document, Node, ParsingOptions};

    use super::*;
    use crate::changes::changes;
    use crate::facts::tests::facts;

    fn pages() -> Vec<String> {
        let mut old = facts();
        old.request_log.mode = "full".to_owned();
        old.contacts.purposes.pop_first();
        let told = changes(&old, &facts());
        let at = Timestamp::from_unix_s(1_795_255_200);
        let versions = [
            Version { number: 2, at, asks_consent: told.iter().any(|change| change.purpose), changes: told },
            Version { number: 1, at, asks_consent: false, changes: Vec::new() },
        ];
        let render = |language| Page::new(&Statement::new(&facts(), language), &versions).render().unwrap();
        Language::ALL.into_iter().map(render).collect()
    }

    fn read(html: &str) -> Document<'_> {
        let options = ParsingOptions { allow_dtd: true, ..ParsingOptions::default() };
        Document::parse_with_options(html, options).unwrap_or_else(|error| panic!("{error}:\n{html}"))
    }

    #[test]
    fn each_is_one_whole_document_that_uses_nothing_else() {
        for html in pages() {
            let document = read(&html);
            let elements = || document.descendants().filter(Node::is_element);
            let forbidden = ["script", "img", "link", "iframe", "form", "object", "base", "font"];
            for node in elements() {
                assert!(!forbidden.contains(&node.tag_name().name()), "{node:?}");
                assert!(!node.attributes().any(|one| one.name() == "style" || one.name().starts_with("on")));
                if let Some(address) = node.attribute("href") {
                    let is_sound =
                        ["#", "privacy", "mailto:", "https://"].iter().any(|one| address.starts_with(one));
                    assert!(is_sound, "{address}");
                }
            }
            let style = elements().find(|node| node.has_tag_name("style")).unwrap().text().unwrap();
            let hash = STANDARD.encode(digest(&SHA256, style.as_bytes()));
            assert!(policy().to_str().unwrap().contains(&hash));
            assert_eq!(elements().filter(|node| node.has_tag_name("h1")).count(), 1);
            let ids: Vec<_> = elements().filter_map(|node| node.attribute("id")).collect();
            assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len(), "every id is there once");
            for node in elements() {
                let linked = node.attribute("href").and_then(|address| address.strip_prefix('#'));
                for id in [node.attribute("aria-labelledby"), linked].into_iter().flatten() {
                    assert!(ids.contains(&id), "there is no {id}");
                }
            }
        }
    }

    #[test]
    fn what_comes_from_the_configuration_stays_text() {
        for html in pages() {
            assert!(!html.contains("KISA <118>"));
            let document = read(&html);
            let text: String = document.descendants().filter_map(|node| node.text()).collect();
            assert!(text.contains("Example & Sons") || text.contains("예시 인증"), "{text}");
        }
    }

    #[test]
    fn changes_are_told_with_their_day_and_ask_for_consent() {
        let [english, korean] = <[String; 2]>::try_from(pages()).unwrap();
        for words in [
            "21 November 2026",
            "OCSP requests: what is written down",
            "full",
            "truncated",
            "asks for fresh consent",
        ] {
            assert!(english.contains(words), "{words} in {english}");
        }
        for words in ["2026년 11월 21일", "OCSP 요청 기록 방식", "새로 동의"] {
            assert!(korean.contains(words), "{words} in {korean}");
        }
        assert!(korean.contains(r#"lang="ko""#) && english.contains(r#"lang="en""#));
    }
}
