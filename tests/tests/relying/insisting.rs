//! Clients that need an answer before they talk to a server: NSS's vfyserv, which asks for it, and Firefox before a certificate that
//! says that its server staples (RFC 7633), which takes what is stapled and never asks.

use ingam_tests::challenge::{Prover, WebAnswers};
use ingam_tests::command::{Finished, run};
use ingam_tests::ports;
use ingam_tests::proxy::Proxy;
use serde_json::json;
use tokio::process::Command;

use crate::marionette::Firefox;
use crate::stapling::stapled;
use crate::world::{Leaf, NSS, World, text, until};

/// A server of nginx's configuration.
fn server(leaf: &Leaf, port: u16) -> String {
    let (certificates, key) = (text(&leaf.certificates), text(&leaf.key));
    format!(
        "server {{ listen 127.0.0.1:{port} ssl; ssl_certificate {certificates}; ssl_certificate_key {key}; return 200 here; }}\n"
    )
}

/// What vfyserv says of the server on this port of this machine, once it has asked by OCSP about its certificate.
async fn vfyserv(world: &World, port: u16) -> Finished {
    let mut command = Command::new("vfyserv");
    let database = format!("sql:{}", text(&world.folder.join("nss")));
    command.args(["-o", "-p", &port.to_string(), "-d", &database, "127.0.0.1"]);
    run(&mut command, NSS).await
}

#[tokio::test(flavor = "multi_thread")]
async fn vfyserv_connects_where_it_is_told_that_all_is_good() {
    let mut world = World::start().await;
    world.write_database(&world.folder.join("nss")).await;
    let prover = Prover::Http(WebAnswers::listen(world.server.ports().http).await);
    let mut leaves = Vec::new();
    for name in ["good.address.example.org", "bad.address.example.org"] {
        leaves.push(world.issue_by(&prover, &[name, "127.0.0.1"], "private").await);
    }
    world.revoke(&mut leaves[1]).await;
    let shown: Vec<(&Leaf, u16)> = leaves.iter().map(|leaf| (leaf, ports::free())).collect();
    let servers: String = shown.iter().map(|(leaf, port)| server(leaf, *port)).collect();
    let _nginx = Proxy::nginx_with(&world.server.scratch("nginx"), shown[0].1, &servers).await;
    for (leaf, port) in shown {
        let status = if leaf.is_revoked { "revoked" } else { "good" };
        let before = world.answers(status).await;
        let finished = vfyserv(&world, port).await;
        let said = finished.said();
        assert_eq!(said.contains("SERVER CONFIGURED CORRECTLY"), !leaf.is_revoked, "{finished}");
        assert_eq!(said.contains("Peer's Certificate has been revoked."), leaf.is_revoked, "{finished}");
        assert!(world.answers(status).await > before, "it has asked: {finished}");
    }
    world.server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn firefox_insists_on_a_staple_and_takes_that_of_nginx() {
    let mut world = World::start().await;
    let good = world.issue("good.insisting.example.org", "insisting", false).await;
    let mut bad = world.issue("bad.insisting.example.org", "insisting", false).await;
    world.revoke(&mut bad).await;
    let [bare, stapling, revoked] = [ports::free(), ports::free(), ports::free()];
    let staples = format!(
        "keepalive_timeout 0;\nssl_session_tickets off;\nssl_stapling on;\nssl_stapling_verify on;\n\
         ssl_trusted_certificate {};\n{}{}",
        text(&world.root),
        server(&good, stapling),
        server(&bad, revoked)
    );
    let _bare = Proxy::nginx_with(&world.server.scratch("bare"), bare, &server(&good, bare)).await;
    let _nginx = Proxy::nginx_with(&world.server.scratch("nginx"), stapling, &staples).await;

    let profile = world.server.scratch("profile");
    world.write_database(&profile).await;
    let preferences = [
        // It never asks, and goes by what is stapled alone.
        ("security.OCSP.enabled", json!(0)),
        ("network.dns.localDomains", json!([good.name.as_str(), bad.name.as_str()].join(","))),
    ];
    let mut firefox = Firefox::start(&profile, &preferences).await;
    let page = |leaf: &Leaf, port: u16| format!("https://{}:{port}/", leaf.name);
    assert!(firefox.go(&page(&good, bare)).await.is_err(), "nothing is stapled there");
    assert_eq!(firefox.error().await, "MOZILLA_PKIX_ERROR_REQUIRED_TLS_FEATURE_MISSING");

    until("nginx staples", async || stapled(&world, &good, stapling).await).await;
    let before = world.answers("good").await;
    assert_eq!(firefox.go(&page(&good, stapling)).await, Ok(()));
    assert_eq!(world.answers("good").await, before, "neither it nor nginx had to ask");

    // nginx is told, and staples nothing of what is revoked.
    assert_eq!(stapled(&world, &bad, revoked).await, None);
    until("nginx has asked", async || (world.answers("revoked").await > 0).then_some(())).await;
    assert!(firefox.go(&page(&bad, revoked)).await.is_err(), "nothing is stapled there either");
    assert_eq!(firefox.error().await, "MOZILLA_PKIX_ERROR_REQUIRED_TLS_FEATURE_MISSING");

    // The staple lasts while nobody can be asked; each page is a handshake of its own.
    world.server.stop().await;
    assert_eq!(firefox.go(&page(&good, stapling)).await, Ok(()));
    firefox.quit().await;
}
