//! Each state as a document.

use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, Response, StatusCode, header};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http_body_util::BodyExt;
use ingam_operator::Peer;
use ring::digest::{SHA256, digest};
use roxmltree::{Document, Node, ParsingOptions};
use tower::ServiceExt;

use crate::states::{self, HOSTILE, State, longest_name};
use crate::world::VISITOR;

struct Page {
    status: StatusCode,
    headers: HeaderMap,
    html: String,
}

async fn ask(state: &State, method: Method) -> Response<Body> {
    let mut request = Request::builder().method(method).uri("/").body(Body::empty()).unwrap();
    request.extensions_mut().insert(Peer { principal: VISITOR, from: "unix".to_owned() });
    state.router.clone().oneshot(request).await.unwrap()
}

async fn page(state: &State) -> Page {
    let (parts, body) = ask(state, Method::GET).await.into_parts();
    let html = String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap();
    Page { status: parts.status, headers: parts.headers, html }
}

impl Page {
    /// The page as XML, which it is too: nothing in it is open, unquoted or nameless.
    fn document(&self) -> Document<'_> {
        let options = ParsingOptions { allow_dtd: true, ..ParsingOptions::default() };
        Document::parse_with_options(&self.html, options)
            .unwrap_or_else(|error| panic!("{error}:\n{}", self.html))
    }

    fn header(&self, name: header::HeaderName) -> &str {
        self.headers.get(&name).map_or("", |value| value.to_str().unwrap())
    }
}

fn elements<'a>(document: &'a Document<'a>, name: &'static str) -> impl Iterator<Item = Node<'a, 'a>> {
    document.descendants().filter(move |node| node.has_tag_name(name))
}

/// Everything that somebody reads in it, in order.
fn text(node: Node<'_, '_>) -> String {
    let words =
        node.descendants().filter(|node| node.is_text() && !node.parent().unwrap().has_tag_name("style"));
    let all: String = words.filter_map(|node| node.text()).collect();
    all.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn every_state_is_one_whole_document_that_may_use_nothing_else() {
    for state in states::all().await {
        let page = page(&state).await;
        let expected = if state.name == "stranger" { StatusCode::FORBIDDEN } else { StatusCode::OK };
        assert_eq!(page.status, expected, "{}", state.name);
        assert_eq!(page.header(header::CONTENT_TYPE), "text/html; charset=utf-8");
        assert_eq!(page.header(header::CACHE_CONTROL), "no-store");
        assert!(page.headers.get(header::SET_COOKIE).is_none(), "no cookie");

        let document = page.document();
        let style = elements(&document, "style").next().unwrap().text().unwrap();
        let hash = STANDARD.encode(digest(&SHA256, style.as_bytes()));
        let policy = page.header(header::CONTENT_SECURITY_POLICY);
        assert!(policy.starts_with(&format!("default-src 'none'; style-src 'sha256-{hash}';")), "{policy}");
        assert!(!policy.contains("unsafe"), "{policy}");

        let forbidden = ["script", "img", "link", "iframe", "form", "object", "base", "font"];
        for node in document.descendants().filter(Node::is_element) {
            assert!(!forbidden.contains(&node.tag_name().name()), "{}: {node:?}", state.name);
            let inline = |name: &str| name == "style" || name.starts_with("on");
            assert!(!node.attributes().any(|attribute| inline(attribute.name())), "{}: {node:?}", state.name);
        }
        for address in
            document.descendants().filter_map(|node| node.attribute("href").or(node.attribute("src")))
        {
            let own = address.starts_with('#') || ["/", "/openapi.json"].contains(&address);
            assert!(own, "{}: {address} is elsewhere", state.name);
        }
        assert_eq!(elements(&document, "h1").count(), 1, "{}", state.name);
    }
}

#[tokio::test]
async fn what_is_linked_and_named_on_the_page_is_there() {
    for state in states::all().await {
        let page = page(&state).await;
        let document = page.document();
        let ids: Vec<_> = document.descendants().filter_map(|node| node.attribute("id")).collect();
        let unique: std::collections::BTreeSet<_> = ids.iter().collect();
        assert_eq!(unique.len(), ids.len(), "{}: every id is there once", state.name);
        for node in document.descendants() {
            let named = node.attribute("aria-labelledby");
            let linked = node.attribute("href").and_then(|address| address.strip_prefix('#'));
            for id in [named, linked].into_iter().flatten() {
                assert!(ids.contains(&id), "{}: there is no {id}", state.name);
            }
        }
        // A table that a narrow screen shows as cards has the heads of its columns at each value.
        for row in elements(&document, "tbody")
            .flat_map(|body| body.children().filter(Node::is_element).collect::<Vec<_>>())
        {
            let heads = row.ancestors().find(|node| node.has_tag_name("table")).unwrap().descendants();
            let heads = heads.filter(|node| node.attribute("scope") == Some("col")).count();
            let cells: Vec<_> = row.children().filter(Node::is_element).collect();
            assert_eq!(cells.len(), heads, "{}: {}", state.name, text(row));
            assert_eq!(cells[0].attribute("scope"), Some("row"));
            assert!(
                cells[1..]
                    .iter()
                    .all(|cell| cell.attribute("data-label").is_some_and(|label| !label.is_empty()))
            );
        }
    }
}

#[tokio::test]
async fn what_comes_from_outside_stays_text() {
    let state = states::hostile().await;
    let page = page(&state).await;
    let document = page.document();
    let shown = text(document.root_element());
    let times = shown.matches(HOSTILE).count();
    assert!(times >= 10, "each place shows it as it is: {times} in\n{shown}");
    assert!(shown.contains(&longest_name()), "{shown}");
    assert!(shown.contains("and 96 more names"), "{shown}");
    assert!(elements(&document, "title").next().unwrap().text().unwrap().ends_with(HOSTILE));
}

#[tokio::test]
async fn the_page_tells_what_is_known() {
    let state = states::busy().await;
    let page = page(&state).await;
    let document = page.document();
    let shown = text(document.root_element());
    for words in [
        "All parts are ready, with 1 warning",
        "The certificate of the https listeners ends in 9 days.",
        "Keys of the build farm were in a public repository",
        "rsa rsa-2048",
        "number 1,204, 37 entries",
        "Transactions to commit 2 of 4,096",
        "183.0 GiB free of 252.0 GiB",
        "1,240, the oldest 2 seconds old",
        "www.example.org example.org",
        "and 2 more names",
        "revoked keyCompromise",
        "expired",
        "1,250 of 4,000; 10 by others",
        "a request failed: waiting for the store",
        "14 times",
        "You are uid:1000, administrator.",
    ] {
        assert!(shown.contains(words), "\"{words}\" in\n{shown}");
    }
    let newest = shown.find("www.example.org").unwrap();
    assert!(newest < shown.find("old.example.org").unwrap(), "the newest comes first");
    for time in elements(&document, "time") {
        let machine = time.attribute("datetime").unwrap();
        assert_eq!(machine.replace('T', " ").trim_end_matches('Z'), text(time));
    }
}

#[tokio::test]
async fn an_empty_ca_says_that_it_is_empty() {
    let state = states::empty().await;
    let page = page(&state).await;
    let shown = text(page.document().root_element());
    assert!(
        shown.contains("All parts are ready Version 0.1.0, started 2026-11-18 10:00:00 3 days ago"),
        "{shown}"
    );
    for words in ["Nobody has a certificate yet.", "No error and no warning since this process started."] {
        assert!(shown.contains(words), "\"{words}\" in\n{shown}");
    }
    assert!(!shown.contains("What to look at"), "{shown}");
}

#[tokio::test]
async fn what_fails_comes_first() {
    let state = states::failing().await;
    let page = page(&state).await;
    let shown = text(page.document().root_element());
    assert!(shown.contains("2 parts are not ready"), "{shown}");
    let failing = shown.rfind("Failing").unwrap();
    assert!(failing < shown.find("The certificate of the issuer ecdsa ends").unwrap(), "{shown}");
    assert!(shown.contains("Disk of the state folder not known"), "{shown}");
    assert!(shown.contains("3605.2 s ahead since the start"), "{shown}");
}

#[tokio::test]
async fn without_a_report_the_rest_is_there() {
    let state = states::unread().await;
    let page = page(&state).await;
    assert_eq!(page.status, StatusCode::OK);
    let shown = text(page.document().root_element());
    assert!(shown.contains("It is not known whether this CA is ready"), "{shown}");
    assert!(shown.contains("Last issuances"), "{shown}");
}

#[tokio::test]
async fn support_sees_no_more_than_the_api_shows_it() {
    let state = states::support().await;
    let page = page(&state).await;
    let shown = text(page.document().root_element());
    assert!(shown.contains("www.example.org"), "{shown}");
    for hidden in ["Waiting", "Revocation jobs", "Misissued", "build farm", "uid:1002"] {
        assert!(!shown.contains(hidden), "\"{hidden}\" in\n{shown}");
    }
}

#[tokio::test]
async fn somebody_without_a_role_is_told_what_to_do_and_nothing_else() {
    let state = states::stranger();
    let page = page(&state).await;
    assert_eq!(page.status, StatusCode::FORBIDDEN);
    let shown = text(page.document().root_element());
    assert!(shown.contains("You have no role at this CA"), "{shown}");
    assert!(shown.contains("ingam admin role grant uid:1000 support --reason"), "{shown}");
    assert!(shown.contains(page.headers.get("x-request-id").unwrap().to_str().unwrap()), "{shown}");
    for secret in ["0.1.0", "staging", "ready", "ecdsa", "overloaded"] {
        assert!(
            !page.document().root_element().descendants().any(|node| node.is_text()
                && !node.parent().unwrap().has_tag_name("style")
                && node.text().unwrap().contains(secret)),
            "{secret}"
        );
    }
}

#[tokio::test]
async fn the_page_is_only_read() {
    let state = states::empty().await;
    let head = ask(&state, Method::HEAD).await;
    assert_eq!(head.status(), StatusCode::OK);
    assert!(head.into_body().collect().await.unwrap().to_bytes().is_empty());
    for method in [Method::POST, Method::PUT, Method::DELETE] {
        assert_eq!(ask(&state, method).await.status(), StatusCode::METHOD_NOT_ALLOWED);
    }
}
