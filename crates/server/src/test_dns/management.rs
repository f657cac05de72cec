//! The management API: POST of small JSON bodies to the paths of pebble-challtestsrv.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::{Method, Response, StatusCode, header};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::records::{Host, Policy, Records, Refused};

/// How deep a body's JSON may be nested; the bodies have three levels.
const DEPTH_MAX: usize = 8;

#[derive(Deserialize)]
struct Address {
    ip: String,
}

#[derive(Deserialize)]
struct OfHost {
    host: String,
}

#[derive(Deserialize)]
struct TxtOfHost {
    host: String,
    value: String,
}

#[derive(Deserialize)]
struct AddressesOfHost {
    host: String,
    addresses: Vec<IpAddr>,
}

#[derive(Deserialize)]
struct PoliciesOfHost {
    host: String,
    policies: Vec<PolicyBody>,
}

#[derive(Deserialize)]
struct PolicyBody {
    /// Not in pebble-challtestsrv, whose records all have the flags 0.
    #[serde(default)]
    flags: u8,
    tag: String,
    value: String,
}

#[derive(Deserialize)]
struct AliasOfHost {
    host: String,
    target: String,
}

#[derive(Deserialize)]
struct HistoryOfHost {
    host: String,
    #[serde(rename = "type")]
    kind: String,
}

/// Why a request was not done.
enum Problem {
    NotFound,
    Bad(String),
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        Self::Bad(refused.to_string())
    }
}

/// Does what one request asks for.
pub(super) fn respond(records: &Records, method: &Method, path: &str, body: &[u8]) -> Response<Full<Bytes>> {
    if *method != Method::POST {
        let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, "use POST\n".into());
        response.headers_mut().insert(header::ALLOW, header::HeaderValue::from_static("POST"));
        return response;
    }
    match apply(records, path, body) {
        Ok(None) => plain(StatusCode::OK, String::new()),
        Ok(Some(value)) => json_body(&value),
        Err(Problem::NotFound) => plain(StatusCode::NOT_FOUND, "there is nothing at this path\n".into()),
        Err(Problem::Bad(words)) => plain(StatusCode::BAD_REQUEST, format!("{words}\n")),
    }
}

/// For a body that did not come, or is too large.
pub(super) fn body_refused(bytes_max: usize) -> Response<Full<Bytes>> {
    plain(
        StatusCode::PAYLOAD_TOO_LARGE,
        format!("the body did not come, or has more than {bytes_max} bytes\n"),
    )
}

fn apply(records: &Records, path: &str, body: &[u8]) -> Result<Option<Value>, Problem> {
    match path {
        "/set-default-ipv4" => records.set_default_ipv4(address::<Ipv4Addr>(body)?),
        "/set-default-ipv6" => records.set_default_ipv6(address::<Ipv6Addr>(body)?),
        "/set-txt" => {
            let request: TxtOfHost = parse(body)?;
            records.add_txt(&request.host, request.value)?;
        }
        "/add-a" => add_addresses(records, body, IpAddr::is_ipv4, "IPv4")?,
        "/add-aaaa" => add_addresses(records, body, IpAddr::is_ipv6, "IPv6")?,
        "/add-caa" => add_caa(records, body)?,
        "/set-cname" => {
            let request: AliasOfHost = parse(body)?;
            records.set_alias(&request.host, &request.target)?;
        }
        "/set-servfail" => records.set_servfail(&parse::<OfHost>(body)?.host)?,
        "/clear-txt" => clear(records, body, |host| host.txt.clear())?,
        "/clear-a" => clear(records, body, |host| host.ipv4.clear())?,
        "/clear-aaaa" => clear(records, body, |host| host.ipv6.clear())?,
        "/clear-caa" => clear(records, body, |host| host.caa.clear())?,
        "/clear-cname" => clear(records, body, |host| host.alias = None)?,
        "/clear-servfail" => clear(records, body, |host| host.servfail = false)?,
        "/dns-request-history" => return history(records, body).map(Some),
        "/clear-request-history" => clear_history(records, body)?,
        _ => return Err(Problem::NotFound),
    }
    Ok(None)
}

fn clear(records: &Records, body: &[u8], clear: impl FnOnce(&mut Host)) -> Result<(), Problem> {
    Ok(records.clear(&parse::<OfHost>(body)?.host, clear)?)
}

fn add_addresses(
    records: &Records,
    body: &[u8],
    is_kind: impl Fn(&IpAddr) -> bool,
    kind: &str,
) -> Result<(), Problem> {
    let request: AddressesOfHost = parse(body)?;
    if request.addresses.is_empty() || !request.addresses.iter().all(is_kind) {
        return Err(Problem::Bad(format!("addresses must be a list of one or more {kind} addresses")));
    }
    Ok(records.add_addresses(&request.host, &request.addresses)?)
}

fn add_caa(records: &Records, body: &[u8]) -> Result<(), Problem> {
    let request: PoliciesOfHost = parse(body)?;
    if request.policies.is_empty() {
        return Err(Problem::Bad("policies must be a list of one or more policies".into()));
    }
    let policies = request.policies.into_iter();
    let policies =
        policies.map(|policy| Policy { flags: policy.flags, tag: policy.tag, value: policy.value });
    Ok(records.add_caa(&request.host, policies.collect())?)
}

/// An address, or nothing where the text is empty, which takes the default away.
fn address<A: std::str::FromStr>(body: &[u8]) -> Result<Option<A>, Problem> {
    let request: Address = parse(body)?;
    if request.ip.is_empty() {
        return Ok(None);
    }
    request.ip.parse().map(Some).map_err(|_| Problem::Bad("ip is no address of this kind".into()))
}

fn history(records: &Records, body: &[u8]) -> Result<Value, Problem> {
    let questions = records.history(&parse::<OfHost>(body)?.host)?;
    Ok(questions
        .into_iter()
        .map(|question| {
            json!({ "Question": {
                "Name": question.name,
                "Qtype": question.record_type,
                "Qclass": question.class,
            } })
        })
        .collect())
}

/// Only DNS is asked here; the histories of other servers are always empty, so clearing them succeeds.
fn clear_history(records: &Records, body: &[u8]) -> Result<(), Problem> {
    let request: HistoryOfHost = parse(body)?;
    match request.kind.as_str() {
        "dns" => Ok(records.clear_history(&request.host)?),
        "http" | "tlsalpn" => Ok(()),
        _ => Err(Problem::Bad("type must be dns, http or tlsalpn".into())),
    }
}

/// Reads a body as Go's JSON reader does: keys in any case, unknown ones ignored.
fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    let bad =
        |error: serde_json::Error| Problem::Bad(format!("the body is not what this path takes: {error}"));
    let value: Value = serde_json::from_slice(body).map_err(bad)?;
    serde_json::from_value(fold_keys(value, DEPTH_MAX)).map_err(bad)
}

fn fold_keys(value: Value, depth: usize) -> Value {
    match (value, depth.checked_sub(1)) {
        (Value::Object(map), Some(depth)) => {
            let folded: Map<String, Value> = map
                .into_iter()
                .map(|(key, value)| (key.to_ascii_lowercase(), fold_keys(value, depth)))
                .collect();
            Value::Object(folded)
        }
        (Value::Array(values), Some(depth)) => {
            Value::Array(values.into_iter().map(|value| fold_keys(value, depth)).collect())
        }
        (value, _) => value,
    }
}

fn plain(status: StatusCode, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, header::HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

fn json_body(value: &Value) -> Response<Full<Bytes>> {
    let mut response = plain(StatusCode::OK, format!("{value:#}\n"));
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json; charset=utf-8"));
    response
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    fn post(records: &Records, path: &str, body: &str) -> StatusCode {
        respond(records, &Method::POST, path, body.as_bytes()).status()
    }

    fn host(records: &Records, name: &str) -> Host {
        records.host(&hickory_proto::rr::Name::from_ascii(name).unwrap())
    }

    #[test]
    fn every_path_does_what_it_says() {
        let records = Records::new();
        for (path, body) in [
            ("/set-default-ipv4", r#"{"ip": "10.0.0.1"}"#),
            ("/set-default-ipv6", r#"{"ip": "::1"}"#),
            ("/set-txt", r#"{"host": "_acme-challenge.a.example.", "value": "v"}"#),
            ("/add-a", r#"{"host": "b.example", "addresses": ["10.0.0.2", "10.0.0.3"]}"#),
            ("/add-aaaa", r#"{"host": "b.example", "addresses": ["::2"]}"#),
            ("/add-caa", r#"{"Host": "b.example", "Policies": [{"Tag": "issue", "Value": "ca.example"}]}"#),
            ("/set-cname", r#"{"host": "c.example", "target": "d.example"}"#),
            ("/set-servfail", r#"{"host": "e.example", "more": 1}"#),
        ] {
            assert_eq!(post(&records, path, body), StatusCode::OK, "{path}");
        }
        assert_eq!(host(&records, "x.example.").ipv4, [Ipv4Addr::new(10, 0, 0, 1)]);
        assert_eq!(host(&records, "x.example.").ipv6, [Ipv6Addr::LOCALHOST]);
        assert_eq!(host(&records, "_acme-challenge.a.example.").txt, ["v"]);
        assert_eq!(host(&records, "B.EXAMPLE.").ipv4.len(), 2);
        assert_eq!(host(&records, "b.example.").caa[0].value, "ca.example");
        assert_eq!(host(&records, "c.example.").alias.unwrap().to_ascii(), "d.example.");
        assert!(host(&records, "e.example.").servfail);
        for path in ["/clear-txt", "/clear-a", "/clear-aaaa", "/clear-caa", "/clear-cname", "/clear-servfail"]
        {
            for name in ["_acme-challenge.a.example", "b.example.", "C.example", "e.example"] {
                assert_eq!(
                    post(&records, path, &format!(r#"{{"host": "{name}"}}"#)),
                    StatusCode::OK,
                    "{path}"
                );
            }
        }
        for name in ["_acme-challenge.a.example.", "b.example.", "c.example.", "e.example."] {
            assert_eq!(host(&records, name), host(&records, "x.example."), "{name}");
        }
        assert_eq!(post(&records, "/set-default-ipv4", r#"{"ip": ""}"#), StatusCode::OK);
        assert!(host(&records, "x.example.").ipv4.is_empty());
    }

    #[test]
    fn what_cannot_be_done_is_said() {
        let records = Records::new();
        for (path, body) in [
            ("/set-txt", ""),
            ("/set-txt", "{"),
            ("/set-txt", "[]"),
            ("/set-txt", r#"{"host": ""  , "value": "x"}"#),
            ("/set-txt", r#"{"host": "a..example", "value": "x"}"#),
            ("/set-txt", r#"{"host": "a.example"}"#),
            ("/set-default-ipv4", r#"{"ip": "::1"}"#),
            ("/set-default-ipv6", r#"{"ip": "10.0.0.1"}"#),
            ("/add-a", r#"{"host": "a.example", "addresses": []}"#),
            ("/add-a", r#"{"host": "a.example", "addresses": ["::1"]}"#),
            ("/add-aaaa", r#"{"host": "a.example", "addresses": ["10.0.0.1"]}"#),
            ("/add-caa", r#"{"host": "a.example", "policies": []}"#),
            ("/add-caa", r#"{"host": "a.example", "policies": [{"tag": "not a tag", "value": ""}]}"#),
            ("/set-cname", r#"{"host": "a.example", "target": ""}"#),
            ("/clear-request-history", r#"{"host": "a.example", "type": "smtp"}"#),
        ] {
            assert_eq!(post(&records, path, body), StatusCode::BAD_REQUEST, "{path} {body}");
        }
        assert_eq!(post(&records, "/nothing", "{}"), StatusCode::NOT_FOUND);
        let get = respond(&records, &Method::GET, "/set-txt", b"");
        assert_eq!(get.status(), StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(get.headers()[header::ALLOW], "POST");
    }

    #[tokio::test]
    async fn questions_are_remembered_until_they_are_cleared() {
        let records = Records::new();
        records.remember(&hickory_proto::rr::Name::from_ascii("A.example.").unwrap(), 16, 1);
        let read = async |path: &str, body: &str| -> Value {
            let response = respond(&records, &Method::POST, path, body.as_bytes());
            serde_json::from_slice(&response.into_body().collect().await.unwrap().to_bytes()).unwrap()
        };
        let expected = json!([{ "Question": { "Name": "A.example.", "Qtype": 16, "Qclass": 1 } }]);
        assert_eq!(read("/dns-request-history", r#"{"host": "a.example"}"#).await, expected);
        assert_eq!(read("/dns-request-history", r#"{"host": "b.example"}"#).await, json!([]));
        assert_eq!(
            post(&records, "/clear-request-history", r#"{"host": "a.example.", "type": "dns"}"#),
            StatusCode::OK
        );
        assert_eq!(read("/dns-request-history", r#"{"host": "a.example"}"#).await, json!([]));
    }

    #[test]
    fn nothing_grows_without_bounds() {
        let records = Records::new();
        for _ in 0..300 {
            post(&records, "/set-txt", r#"{"host": "a.example", "value": "x"}"#);
        }
        assert_eq!(host(&records, "a.example.").txt.len(), 256);
        let long = format!(r#"{{"host": "b.example", "value": "{}"}}"#, "x".repeat(3000));
        assert_eq!(post(&records, "/set-txt", &long), StatusCode::BAD_REQUEST);
        let name = hickory_proto::rr::Name::from_ascii("a.example.").unwrap();
        for _ in 0..20_000 {
            records.remember(&name, 1, 1);
        }
        assert_eq!(records.history("a.example").unwrap().len(), 16_384);
    }
}
