//! open-mpic-core of PyPI on either side: as one of the perspectives of our CA, and as the coordinator of perspectives of ours.
//! It is installed by scripts/test; what it leaves to others (the server, the transport) is in tests/clients/open-mpic.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use ingam_tests::challenge::{WebAnswers, serve_tls_alpn};
use ingam_tests::client::{Client, challenge_of};
use ingam_tests::command::target_folder;
use ingam_tests::jws::base64url;
use ingam_tests::names::Names;
use ingam_tests::operator::{ClientCa, Person, hex};
use ingam_tests::perspective::{Asked, FIVE_REGIONS, PATIENT_MS, Perspectives, Place, ground};
use ingam_tests::ports;
use ingam_tests::server::Ports;
use ring::digest::{SHA256, digest};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::{finalized, record};

const READY_WITHIN: Duration = Duration::from_secs(60);

fn python(script: &str, settings: &Value) -> Command {
    let program = target_folder().join("clients/open-mpic/bin/python");
    assert!(program.is_file(), "{} is not there. Run scripts/test, which installs it", program.display());
    let mut command = Command::new(program);
    let folder: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/open-mpic");
    command.arg(folder.join(script)).arg(settings.to_string()).kill_on_drop(true);
    command
}

/// The library as a perspective, behind https.
struct Foreign {
    names: Names,
    port: u16,
    _child: Child,
}

impl Foreign {
    async fn start(ca: &ClientCa, at: &Ports) -> Self {
        let (names, port) = (Names::listen().await, ports::free());
        let Person { certificate, key, .. } = ca.server("open-mpic");
        let settings = json!({
            "port": port, "dns": names.address.port(), "tls": at.tls_alpn,
            "certificate": certificate, "key": key, "client_ca": ca.path,
        });
        let mut command = python("perspective.py", &settings);
        // The library knows port 80 alone: its proxy is the web server itself.
        command.env("http_proxy", format!("http://127.0.0.1:{}", at.http)).env_remove("no_proxy");
        let mut child = command.stdout(Stdio::piped()).spawn().expect("python can be started");
        let mut lines = BufReader::new(child.stdout.take().expect("standard output is a pipe")).lines();
        let first = timeout(READY_WITHIN, lines.next_line()).await.expect("ready in time").expect("a line");
        assert_eq!(first.as_deref(), Some("ready"));
        Self { names, port, _child: child }
    }
}

/// Four places of ours, and the library as the fifth.
async fn with_foreign() -> (Perspectives, Foreign, WebAnswers) {
    let ground = ground();
    let (home, at, ca) = &ground;
    let foreign = Foreign::start(ca, at).await;
    let mut places = Vec::new();
    for index in 0..4 {
        places.push(Place::start(home.path(), &format!("place-{index}"), ca, at).await);
    }
    let own = places.iter().map(|place| (place.name.clone(), place.url()));
    let library = ("open-mpic".to_owned(), format!("https://localhost:{}", foreign.port));
    let all = own.chain([library]).zip(FIVE_REGIONS);
    let asked: Vec<Asked> = all.map(|((name, url), region)| Asked { name, url, region }).collect();
    let web = WebAnswers::listen(at.http).await;
    (Perspectives::over(ground, places, &asked, PATIENT_MS).await, foreign, web)
}

/// Has one challenge looked at, after everybody's view (the library's last) was given what it wants; what the library said.
async fn seen(
    all: &Perspectives,
    client: &mut Client,
    name: &str,
    kind: &str,
    prepare: impl AsyncFnOnce(&str, &str),
) -> (String, Value) {
    let order = client.order(&[name]).await.expect("an order");
    let url = order.authorizations()[0].clone();
    let authorization = client.read(&url).await.expect("an authorization").json();
    let challenge = challenge_of(&authorization, kind).unwrap_or_else(|| panic!("{kind} is offered"));
    let token = challenge["token"].as_str().unwrap_or("").to_owned();
    let key_authorization = format!("{token}.{}", client.key().thumbprint());
    prepare(&token, &key_authorization).await;
    let answer = client.post(challenge["url"].as_str().expect("a URL"), &json!({})).await.expect("an answer");
    answer.expect(200);
    let order = client.poll(&order.url, &["pending"]).await.expect("a decision");
    let status = order.status().to_owned();
    if status == "ready" {
        let order = finalized(client, &order, name).await.expect("finalize is answered");
        assert_eq!(order.status(), "valid", "{}", order.object);
    }
    let payload = record(all, "validation_finished", name).await["payload"].clone();
    (status, payload)
}

/// The label and prefix of dns-account-01 (draft-ietf-acme-dns-account-label-02).
fn account_label(account: &str) -> String {
    const BASE32: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    let hash = digest(&SHA256, account.as_bytes());
    let bits: String = hash.as_ref()[..10].iter().map(|byte| format!("{byte:08b}")).collect();
    let character = |start: usize| {
        let index = usize::from_str_radix(&bits[start..start + 5], 2).expect("five bits");
        char::from(BASE32[index])
    };
    format!("_{}._acme-challenge", (0..16).map(|group| character(5 * group)).collect::<String>())
}

#[tokio::test]
async fn the_library_is_one_of_our_perspectives() {
    let (all, foreign, web) = with_foreign().await;
    let mut client = Client::registered(&all.server.site()).await.expect("an account");
    let account = client.account();
    let views: Vec<Names> = all.views().into_iter().cloned().chain([foreign.names.clone()]).collect();
    let everywhere = |name: String, value: String| views.iter().for_each(|view| view.txt(&name, &value));
    let hash = |key_authorization: &str| digest(&SHA256, key_authorization.as_bytes());
    let at = all.server.ports().tls_alpn;
    for kind in ["http-01", "dns-01", "dns-account-01", "dns-persist-01", "tls-alpn-01"] {
        let name = format!("{kind}.mpic.test");
        let has_caa = kind == "http-01";
        if has_caa {
            views.iter().for_each(|view| view.caa(&name, "ingam.test"));
        }
        let (status, payload) = seen(&all, &mut client, &name, kind, async |token, key_authorization| {
            let value = base64url(hash(key_authorization));
            match kind {
                "http-01" => web.set(token, key_authorization.to_owned()),
                "dns-01" => everywhere(format!("_acme-challenge.{name}"), value),
                "dns-account-01" => everywhere(format!("{}.{name}", account_label(&account)), value),
                "dns-persist-01" => everywhere(
                    format!("_validation-persist.{name}"),
                    format!("ingam.test; accounturi={account}"),
                ),
                _ => drop(serve_tls_alpn(at, &name, hash(key_authorization).as_ref()).await),
            }
        })
        .await;
        assert_eq!(status, "ready", "{kind}: {payload}");
        let corroboration = &payload["corroboration"];
        assert_eq!(corroboration["line"], "5/5", "{kind}: {corroboration}");
        let library = &corroboration["answers"][4];
        let method = library["details"]["validation_method"].as_str().unwrap_or("");
        let expected = match kind {
            "dns-account-01" => "dns-change",
            "dns-persist-01" => "dns-persistent",
            kind => kind,
        };
        assert_eq!(method.trim_start_matches("acme-"), expected, "{library}");
        assert!(library["evidence"].is_null(), "{library}");
        let caa = &payload["caa"]["corroboration"];
        assert_eq!(caa["line"], "5/5", "{kind}: {caa}");
        assert_eq!(caa["answers"][4]["details"]["caa_record_present"], has_caa, "{caa}");
    }
}

#[tokio::test]
async fn what_the_library_sees_otherwise_is_kept_and_counts() {
    let (all, foreign, _web) = with_foreign().await;
    let mut client = Client::registered(&all.server.site()).await.expect("an account");
    let honest: Vec<Names> = all.views().into_iter().cloned().collect();
    // Another value, and records that forbid: the library alone sees them.
    let name = "otherwise.mpic.test";
    foreign.names.txt(&format!("_acme-challenge.{name}"), "another");
    foreign.names.caa(name, "other-ca.example");
    let (status, payload) = seen(&all, &mut client, name, "dns-01", async |_, key_authorization| {
        let value = base64url(digest(&SHA256, key_authorization.as_bytes()));
        honest.iter().for_each(|view| view.txt(&format!("_acme-challenge.{name}"), &value));
    })
    .await;
    assert_eq!(status, "ready", "one of five may see another thing: {payload}");
    let library = &payload["corroboration"]["answers"][4];
    assert_eq!(payload["corroboration"]["line"], "4/5");
    assert_eq!(library["failure"]["error"], "unauthorized", "{library}");
    assert_eq!(library["details"]["records_seen"], json!(["another"]), "{library}");
    let library = &payload["caa"]["corroboration"]["answers"][4];
    assert_eq!(library["failure"]["error"], "caa", "{library}");
    // It passes over what RFC 8657 restricts; what it saw is held against our rules.
    let name = "restricted.mpic.test";
    let (status, payload) = seen(&all, &mut client, name, "dns-01", async |_, key_authorization| {
        foreign.names.caa(name, "ingam.test; validationmethods=http-01");
        let value = base64url(digest(&SHA256, key_authorization.as_bytes()));
        for view in honest.iter().chain([&foreign.names]) {
            view.txt(&format!("_acme-challenge.{name}"), &value);
        }
    })
    .await;
    assert_eq!(status, "ready");
    let library = &payload["caa"]["corroboration"]["answers"][4];
    let words = library["failure"]["detail"].as_str().unwrap_or("");
    assert!(words.contains("validationmethods"), "{library}");
}

/// Puts requests to the library's coordinator, and gives its responses.
async fn coordinated(settings: &Value, requests: &[Value]) -> Vec<Value> {
    let mut command = python("coordinator.py", settings);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("python can be started");
    let lines: String = requests.iter().map(|request| format!("{request}\n")).collect();
    let mut input = child.stdin.take().expect("standard input is a pipe");
    input.write_all(lines.as_bytes()).await.expect("it reads");
    drop(input);
    let output =
        timeout(READY_WITHIN, child.wait_with_output()).await.expect("it ends in time").expect("it ends");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    text.lines().map(|line| serde_json::from_str(line).expect("JSON in each line")).collect()
}

#[tokio::test]
async fn the_library_coordinates_perspectives_of_ours() {
    let (home, at, ca) = ground();
    let mut places = Vec::new();
    for index in 0..3 {
        places.push(Place::start(home.path(), &format!("place-{index}"), &ca, &at).await);
    }
    let web = WebAnswers::listen(at.http).await;
    let Person { certificate, key, .. } = ca.person("library");
    let listed: Vec<Value> = places
        .iter()
        .zip(FIVE_REGIONS)
        .map(|(place, rir)| json!({"code": place.name, "rir": rir, "url": place.url()}))
        .collect();
    let settings = json!({"places": listed, "certificate": certificate, "key": key, "server_ca": ca.path});
    let key_authorization =
        "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA.9jg46WB3rR_AHD-EBXdN7cBkH1WOu0tA3M9fm21mqTI";
    let token = "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA";
    web.set(token, key_authorization.to_owned());
    let hash = digest(&SHA256, key_authorization.as_bytes());
    let _answering = serve_tls_alpn(at.tls_alpn, "there.mpic.test", hash.as_ref()).await;
    for place in &places {
        place.names.txt("_acme-challenge.there.mpic.test", &base64url(hash));
        place.names.txt("_dnsauth.there.mpic.test", "said: the value, and more");
        place.names.caa("restricted.mpic.test", "ca.example");
    }
    // One place sees nothing of it.
    for place in &places[..2] {
        place.names.txt("_acme-challenge.nearly.mpic.test", &base64url(hash));
    }
    let dcv = |name: &str, parameters: Value| json!({"check_type": "dcv", "domain_or_ip_target": name, "dcv_check_parameters": parameters});
    let caa = |name: &str, domain: &str| {
        json!({"check_type": "caa", "domain_or_ip_target": name, "caa_check_parameters":
            {"certificate_type": "tls-server", "caa_domains": [domain]}})
    };
    let http = |token: &str| json!({"validation_method": "acme-http-01", "token": token, "key_authorization": key_authorization});
    let dns = json!({"validation_method": "acme-dns-01", "key_authorization_hash": base64url(hash)});
    let alpn = json!({"validation_method": "acme-tls-alpn-01", "key_authorization_hash": hex(hash.as_ref())});
    let change = json!({"validation_method": "dns-change", "challenge_value": "the value", "dns_name_prefix":
        "_dnsauth", "dns_record_type": "TXT"});
    let asked = [
        (true, 3, dcv("there.mpic.test", http(token))),
        (false, 0, dcv("there.mpic.test", http("not-there"))),
        (true, 3, dcv("there.mpic.test", dns.clone())),
        (true, 2, dcv("nearly.mpic.test", dns.clone())),
        (false, 0, dcv("nowhere.mpic.test", dns)),
        (true, 3, dcv("there.mpic.test", alpn.clone())),
        (false, 0, dcv("elsewhere.mpic.test", alpn)),
        (true, 3, dcv("there.mpic.test", change)),
        (true, 3, caa("*.free.mpic.test", "ca.example")),
        (true, 3, caa("restricted.mpic.test", "ca.example")),
        (false, 0, caa("restricted.mpic.test", "other.example")),
        (
            false,
            0,
            dcv(
                "there.mpic.test",
                json!({"validation_method": "website-change", "challenge_value": "x",
            "http_token_path": "y"}),
            ),
        ),
    ];
    let requests: Vec<Value> = asked.iter().map(|(_, _, request)| request.clone()).collect();
    let responses = coordinated(&settings, &requests).await;
    assert_eq!(responses.len(), asked.len());
    for ((is_valid, passed, request), response) in asked.iter().zip(&responses) {
        assert_eq!(response["is_valid"], *is_valid, "{request}: {response}");
        let perspectives = response["perspectives"].as_array().expect("an answer of each");
        let count = perspectives.iter().filter(|one| one["check_response"]["check_passed"] == true).count();
        assert_eq!((perspectives.len(), count), (3, *passed), "{request}: {response}");
    }
    let page = &responses[0]["perspectives"][0]["check_response"]["details"];
    assert_eq!(page["response_status_code"], 200, "{page}");
    let records = &responses[9]["perspectives"][0]["check_response"]["details"];
    assert_eq!(
        (&records["found_at"], &records["records_seen"]),
        (&json!("restricted.mpic.test"), &json!(["0 issue \"ca.example\""]))
    );
}
