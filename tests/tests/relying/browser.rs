//! Firefox ESR, told to ask by OCSP and to show nothing of which it is not told that it is good.

use ingam_tests::ports;
use ingam_tests::proxy::Proxy;
use serde_json::json;

use crate::marionette::Firefox;
use crate::world::{World, text};

#[tokio::test(flavor = "multi_thread")]
async fn firefox_asks_and_goes_by_what_it_is_told() {
    let mut world = World::start().await;
    let mut leaves = world.leaves().await;
    let unasked = world.issue("unasked.classic.example.org", "classic", false).await;
    leaves.push(unasked);

    // One server for all of them, which staples nothing.
    let port = ports::free();
    let servers: String = leaves
        .iter()
        .map(|leaf| {
            let (certificates, key) = (text(&leaf.certificates), text(&leaf.key));
            format!(
                "server {{ listen 127.0.0.1:{port} ssl; server_name {}; ssl_certificate {certificates}; \
                 ssl_certificate_key {key}; return 200 here; }}\n",
                leaf.name
            )
        })
        .collect();
    let _nginx = Proxy::nginx_with(&world.server.scratch("nginx"), port, &servers).await;

    let names: Vec<&str> = leaves.iter().map(|leaf| leaf.name.as_str()).collect();
    let profile = world.server.scratch("profile");
    world.write_database(&profile).await;
    let preferences = [
        ("security.OCSP.enabled", json!(1)),
        ("security.OCSP.require", json!(true)),
        // These names are this machine's.
        ("network.dns.localDomains", json!(names.join(","))),
    ];
    let mut firefox = Firefox::start(&profile, &preferences).await;
    let page = |name: &str| format!("https://{name}:{port}/");
    let unasked = leaves.pop().expect("it was put there");
    for leaf in &leaves {
        let status = if leaf.is_revoked { "revoked" } else { "good" };
        let before = world.answers(status).await;
        let shown = firefox.go(&page(&leaf.name)).await;
        assert!(world.answers(status).await > before, "it has asked about {}: {shown:?}", leaf.name);
        if leaf.is_revoked {
            assert_eq!(shown, Err("insecure certificate".to_owned()), "{}", leaf.name);
            assert_eq!(firefox.error().await, "SEC_ERROR_REVOKED_CERTIFICATE", "{}", leaf.name);
        } else {
            assert_eq!(shown, Ok(()), "{}", leaf.name);
        }
    }

    // It does insist: what nobody can tell it of is not shown.
    world.server.stop().await;
    assert!(firefox.go(&page(&unasked.name)).await.is_err(), "nobody could tell it");
    assert_eq!(firefox.error().await, "SEC_ERROR_OCSP_SERVER_ERROR");
    firefox.quit().await;
}
