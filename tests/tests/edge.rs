//! OCSP answers, CRLs and certificates of CAs in files that a web server gives out: exported by the command line, served by
//! nginx with the configuration that is exported beside them, judged by openssl.
//!
//! Not a failure: how many files the CRLs and certificates of the CAs are.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::SystemTime;

use ingam_tests::challenge::{Prover, WebAnswers};
use ingam_tests::client::{CertificateRequest, Client};
use ingam_tests::command::Finished;
use ingam_tests::http::fetch;
use ingam_tests::judge::ocsptool_asks;
use ingam_tests::ocsp::{self, Hash, Status};
use ingam_tests::ports;
use ingam_tests::proxy::Proxy;
use ingam_tests::server::{Server, Setup};

/// Each file of a folder with when it was last modified, and its place on the disk, which a new file in its place has not.
fn files(root: &Path) -> BTreeMap<String, (SystemTime, u64)> {
    let mut folders = vec![root.to_owned()];
    let mut found = BTreeMap::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            let metadata = path.metadata().expect("it is there");
            if metadata.is_dir() {
                folders.push(path);
                continue;
            }
            let name = path.strip_prefix(root).expect("it is below").to_string_lossy().into_owned();
            let place = std::os::unix::fs::MetadataExt::ino(&metadata);
            found.insert(name, (metadata.modified().expect("a time"), place));
        }
    }
    found
}

async fn export(server: &Server, folder: &str, conditions: &[&str]) -> Finished {
    let mut command = vec!["ocsp", "export", "--output", folder];
    command.extend(conditions);
    server.admin(&command).await
}

#[tokio::test(flavor = "multi_thread")]
async fn nginx_gives_out_what_was_exported_and_the_next_export_writes_what_changed() {
    let setup = Setup { further_config: "[responder]\ncrl_shards = 3".to_owned(), ..Setup::new() };
    let server = Server::start_with(setup).await;
    let prover = Prover::Http(WebAnswers::listen(server.ports().http).await);
    let mut client = Client::registered(&server.site()).await.expect("an account");
    let mut chains = Vec::new();
    for number in 0..5 {
        let name = format!("{number}.edge.example.org");
        let request = CertificateRequest::of(&[&name]);
        chains.push(client.issue(&[&name], &request, &prover).await.expect("a certificate").1);
    }
    client.revoke(chains[0].leaf(), Some(1)).await.expect("an answer").expect(200);
    let folder = server.home().join("edge");
    let path = folder.to_str().expect("UTF-8").to_owned();
    let said = export(&server, &path, &["--all"]).await.succeeded().said();
    assert!(said.contains("5 certificates: ") && said.contains(" 0 as they were, 0 removed"), "{said}");

    // What is not there, and requests by POST, can go to the CA.
    let port = ports::free();
    let told = format!(
        "error_page 404 405 = @ca;\nlocation @ca {{ proxy_pass http://127.0.0.1:{}; }}",
        server.ports().publication
    );
    let home = server.scratch("nginx");
    let _nginx = Proxy::nginx_of_files(&home, port, &folder.join("nginx.conf"), &told).await;
    let base = format!("http://127.0.0.1:{port}");
    let url = format!("{base}/ocsp");
    let openssl = server.openssl();
    for hash in [Hash::Sha1, Hash::Sha256] {
        openssl.status_by_get_at(&url, &chains[0], hash).await.is_revoked(Some("keyCompromise"));
        openssl.status_by_get_at(&url, &chains[1], hash).await.is_good();
        openssl.status_by_post_at(&url, &chains[0], hash).await.is_revoked(Some("keyCompromise"));
    }
    let pem = |name: &str, der: &[u8]| {
        let path = server.home().join(name);
        std::fs::write(&path, ingam_protocol::pem::certificate(der)).expect("a writable folder");
        path
    };
    let issuer = pem("issuer.pem", chains[0].issuer());
    let told = ocsptool_asks(&url, &pem("revoked.pem", chains[0].leaf()), &issuer).await;
    assert!(told.contains("Certificate Status: revoked"), "{told}");
    for chain in &chains {
        for hash in [Hash::Sha1, Hash::Sha256] {
            let encoded = ocsp::get_url(&url, &ocsp::request_for(chain, hash));
            let raw = encoded.replace("%2F", "/").replace("%2B", "+").replace("%3D", "=");
            let doubled = raw.replace(&url, &format!("{url}/"));
            for spelling in [encoded.replace("%2F", "%2f"), encoded, raw, doubled] {
                let answer = fetch(&spelling).await.expect("an answer").expect(200);
                assert_eq!(answer.header("content-type"), ocsp::RESPONSE, "{spelling}: {answer}");
                assert_ne!(answer.header("server"), "", "nginx says so: {answer}");
                for word in ["max-age=21600", "public", "no-transform", "must-revalidate"] {
                    assert!(answer.header("cache-control").contains(word), "{word}: {answer}");
                }
                for name in ["expires", "last-modified"] {
                    assert!(answer.header(name).ends_with(" GMT"), "{name}: {answer}");
                }
                assert!(!answer.header("etag").is_empty(), "{answer}");
            }
        }
        // The CRL that it names, and its issuer's certificate.
        let path = chain.crl_url().split_once("/crl/").expect("a path").1.to_owned();
        let list = fetch(&format!("{base}/crl/{path}")).await.expect("an answer").expect(200);
        assert_eq!(list.header("content-type"), "application/pkix-crl", "{list}");
        let own = fetch(&chain.crl_url()).await.expect("an answer").expect(200);
        assert_eq!(list.body, own.body, "the same list as the CA's");
    }
    let certificate = fetch(&format!("{base}/issuer/ecdsa.crt")).await.expect("an answer").expect(200);
    assert_eq!(certificate.header("content-type"), "application/pkix-cert");
    assert_eq!(certificate.body, chains[0].issuer());
    fetch(&format!("{base}/roots.pem")).await.expect("an answer").expect(200);
    fetch(&format!("{base}/index.json")).await.expect("an answer").expect(404);

    // Nothing changed: nothing is written but the index.
    let before = files(&folder);
    export(&server, &path, &["--all"]).await.succeeded();
    let after = files(&folder);
    let changed = |before: &BTreeMap<_, _>, after: &BTreeMap<String, (SystemTime, u64)>| -> Vec<String> {
        after
            .iter()
            .filter(|(name, at)| before.get(*name) != Some(*at))
            .map(|(name, _)| name.clone())
            .collect()
    };
    assert_eq!(changed(&before, &after), ["index.json"]);

    // One is revoked: its two answers and its list are written, and no other file of these.
    client.revoke(chains[2].leaf(), Some(4)).await.expect("an answer").expect(200);
    export(&server, &path, &["--all"]).await.succeeded();
    let last = files(&folder);
    let written = changed(&after, &last);
    let of = |folder: &str| written.iter().filter(|name| name.starts_with(folder)).count();
    assert_eq!((of("ocsp/"), of("crl/"), of("issuer/")), (2, 1, 0), "{written:?}");
    openssl.status_by_get_at(&url, &chains[2], Hash::Sha1).await.is_revoked(Some("superseded"));
    openssl.status_by_get_at(&url, &chains[3], Hash::Sha256).await.is_good();

    // Another selection is another content: what does not belong to it goes.
    let serials = server.home().join("one.txt");
    std::fs::write(&serials, format!("{}\n4f0a\n", chains[4].serial_hex())).expect("a writable folder");
    let said = export(&server, &path, &["--file", serials.to_str().expect("UTF-8")]).await.succeeded().said();
    assert!(said.contains("1 certificates: ") && said.contains(" 8 removed"), "{said}");
    assert!(said.contains("1 serial numbers are of no certificate"), "{said}");
    let left: Vec<String> = files(&folder).into_keys().filter(|name| name.starts_with("ocsp/")).collect();
    assert_eq!(left.len(), 2, "{left:?}");
    openssl.status_by_get_at(&url, &chains[4], Hash::Sha1).await.is_good();
    // What is not in files any more comes from the CA, behind the same URL.
    let request = ocsp::request_for(&chains[1], Hash::Sha256);
    let answer = fetch(&ocsp::get_url(&url, &request)).await.expect("an answer").expect(200);
    assert_eq!(ocsp::status(&answer.body), Status::Good);

    let issuer = export(&server, &path, &["--issuer", "ecdsa"]).await.succeeded().said();
    assert!(issuer.contains("5 certificates: "), "{issuer}");
    let none = export(&server, &path, &["--profile", "other"]).await.succeeded().said();
    assert!(none.contains("0 certificates: ") && none.contains(" 10 removed"), "{none}");
    let nothing = export(&server, &path, &[]).await;
    assert_eq!(nothing.status.code(), Some(2), "{nothing}");
}
