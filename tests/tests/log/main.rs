//! The log of records as outsiders see it: fetched over HTTP, its root computed again from what its bundles and tiles say, shown
//! to a witness that believes no proof unseen, and held against a checkpoint that was kept while the CA went on.
//!
//! Hashes, proofs and signatures are judged by the packages of Go's checksum database (tests/clients/tlog), and by what is written
//! here after RFC 9162 and C2SP, with nothing of the CA's.
//!
//! Not a failure: how many records a certificate makes.

mod outside;

use std::path::Path;
use std::time::Duration;

use ingam_tests::challenge::{Prover, WebAnswers};
use ingam_tests::client::{CertificateRequest, Client};
use ingam_tests::command::{Finished, INSTALL_CLIENTS, installed, run};
use ingam_tests::http::{Answer, Connection, fetch};
use ingam_tests::server::{Server, Setup, binary};
use tokio::process::Command;
use tokio::time::{Instant, sleep};

use outside::{Cosigner, Head, Witness, leaf_hash, root_of};

/// How long a checkpoint may take.
const SIGNED_WITHIN: Duration = Duration::from_secs(60);

async fn issue(server: &Server, prover: &Prover, name: &str) {
    let mut client = Client::registered(&server.site()).await.expect("an account");
    client.issue(&[name], &CertificateRequest::of(&[name]), prover).await.expect("a certificate");
}

fn url(server: &Server, part: &str) -> String {
    format!("http://127.0.0.1:{}/log/{part}", server.ports().publication)
}

async fn get(server: &Server, part: &str) -> Answer {
    fetch(&url(server, part)).await.expect("an answer")
}

/// The newest checkpoint, once it is over more than so many leaves and has this line.
async fn checkpoint(server: &Server, more_than: u64, line_of: &str) -> String {
    let begun = Instant::now();
    loop {
        let answer = get(server, "checkpoint").await;
        if answer.status == 200 {
            let note = answer.text();
            if Head::of(&note).size > more_than && note.contains(&format!("\n\u{2014} {line_of} ")) {
                return note;
            }
        }
        assert!(begun.elapsed() < SIGNED_WITHIN, "no checkpoint: {answer}");
        sleep(Duration::from_millis(100)).await;
    }
}

/// Index and width of the tiles of a level that has so many hashes.
fn tiles(hashes: u64) -> impl Iterator<Item = String> {
    (0..hashes.div_ceil(256)).map(move |index| match (hashes - index * 256).min(256) {
        256 => format!("{index:03}"),
        width => format!("{index:03}.p/{width}"),
    })
}

/// Fetches all that a checkpoint covers; gives the leaves.
async fn leaves(server: &Server, size: u64) -> Vec<Vec<u8>> {
    let (mut leaves, mut hashes) = (Vec::new(), Vec::new());
    for tile in tiles(size) {
        let bundle = get(server, &format!("tile/entries/{tile}")).await.expect(200);
        assert_eq!(bundle.header("content-type"), "application/octet-stream");
        assert!(bundle.header("cache-control").contains("immutable"), "{}", bundle.header("cache-control"));
        let mut rest = &bundle.body[..];
        while let Some((length, behind)) = rest.split_first_chunk() {
            let (leaf, behind) = behind.split_at(usize::from(u16::from_be_bytes(*length)));
            leaves.push(leaf.to_vec());
            rest = behind;
        }
        let tile = get(server, &format!("tile/0/{tile}")).await.expect(200);
        hashes.extend(tile.body.chunks(32).map(<[u8]>::to_vec));
    }
    let computed: Vec<Vec<u8>> = leaves.iter().map(|leaf| leaf_hash(leaf).to_vec()).collect();
    assert_eq!(computed, hashes, "the tiles of level 0 are the hashes of the leaves");
    for tile in tiles(size / 256) {
        let above = get(server, &format!("tile/1/{tile}")).await.expect(200);
        let full = leaves.chunks_exact(256).map(|leaves| root_of(leaves).to_vec());
        assert_eq!(above.body.chunks(32).map(<[u8]>::to_vec).collect::<Vec<_>>(), full.collect::<Vec<_>>());
    }
    leaves
}

async fn verify(folder: &Path, checkpoint: &Path, key: Option<&str>) -> Finished {
    let mut command = Command::new(binary());
    command.arg("verify-log").arg("--dir").arg(folder).arg("--checkpoint").arg(checkpoint);
    if let Some(key) = key {
        command.args(["--key", key]);
    }
    run(&mut command, "").await
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for folder in ["journal", "journal-keys", "log"] {
        std::fs::create_dir_all(to.join(folder)).expect("a folder");
        for entry in std::fs::read_dir(from.join(folder)).expect("a folder") {
            let path = entry.expect("an entry").path();
            std::fs::copy(&path, to.join(folder).join(path.file_name().expect("a name"))).expect("a copy");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn outsiders_hold_the_ca_to_its_past() {
    let (online, offline) =
        (Cosigner::new("online.witness.example"), Cosigner::new("offline.witness.example"));
    let witness = Witness::listen(online.clone()).await;
    let further_config = format!(
        "[log]\norigin = \"ca.example/log\"\ncheckpoint_period_s = 1\n[[log.witnesses]]\nkey = \"{}\"\nurl = \"{}\"\n\
         [[log.witnesses]]\nkey = \"{}\"\n",
        online.key(),
        witness.url(),
        offline.key()
    );
    let mut server = Server::start_with(Setup { further_config, ..Setup::new() }).await;
    let prover = Prover::Http(WebAnswers::listen(server.ports().http).await);
    issue(&server, &prover, "one.example.org").await;
    let key = get(&server, "key").await.expect(200).text().trim().to_owned();
    witness.knows(&key);

    // What is fetched is what was signed.
    let first = checkpoint(&server, 0, online.name()).await;
    let head = Head::of(&first);
    assert_eq!(head.origin, "ca.example/log");
    outside::verify_log_signature(&key, &first);
    assert!(outside::cosigned(&online, &first), "{first}");
    let early = leaves(&server, head.size).await;
    assert_eq!(root_of(&early), head.root);

    // It grows, and the witness sees it proved that nothing of it has changed.
    for number in 0..6 {
        issue(&server, &prover, &format!("{number}.more.example.org")).await;
    }
    let second = checkpoint(&server, head.size + 20, online.name()).await;
    let later = leaves(&server, Head::of(&second).size).await;
    assert_eq!(root_of(&later), Head::of(&second).root);
    assert_eq!(early[..], later[..early.len()]);
    assert!(witness.proofs_seen() > 0, "a proof between two trees");
    let kept = server.home().join("first");
    std::fs::write(&kept, &first).expect("a file");
    let mut go = Command::new(installed("bin/tlog"));
    go.arg(url(&server, "").trim_end_matches('/')).arg(&key).arg(&kept);
    let judged = run(&mut go, INSTALL_CLIENTS).await.succeeded().text();
    assert!(judged.contains(&format!("which begins with the one of {}", head.size)), "{judged}");

    // Methods and paths.
    let mut connection = Connection::to(&url(&server, ""), None);
    let request =
        hyper::Request::head(url(&server, "checkpoint")).body(Default::default()).expect("a request");
    let told = connection.send(request).await.expect("an answer").expect(200);
    assert_eq!((told.header("content-type"), told.body.len()), ("text/plain; charset=utf-8", 0));
    for nothing in
        ["tile/0/999", "tile/0/0", "tile/entries/000.p/0", "heads", "../journal", "", "tile/64/000"]
    {
        assert_eq!(get(&server, nothing).await.status, 404, "{nothing}");
    }
    let request =
        hyper::Request::post(url(&server, "checkpoint")).body(Default::default()).expect("a request");
    assert_eq!(connection.send(request).await.expect("an answer").status, 405);

    // A witness without a network: it is given a checkpoint, and its line comes back by hand.
    let handed_in = server.home().join("cosigned");
    std::fs::write(&handed_in, offline.cosign(&second)).expect("a file");
    let file = handed_in.to_str().expect("UTF-8");
    let said = server.admin(&["checkpoint", "cosign", file]).await.succeeded().said();
    assert!(said.contains(offline.name()), "{said}");
    let given_out = get(&server, "cosigned").await.expect(200).text();
    let is_newer = Head::of(&given_out).size > Head::of(&second).size;
    assert!(outside::cosigned(&offline, &given_out) || is_newer, "{given_out}");
    let stranger = Cosigner::new("stranger.example");
    std::fs::write(&handed_in, stranger.cosign(&second)).expect("a file");
    let refused = server.admin(&["checkpoint", "cosign", file]).await;
    assert!(
        !refused.status.success() && refused.said().contains("no witness that [log] names"),
        "{}",
        refused.said()
    );

    // An old checkpoint holds after a restart, while the CA runs and when it has stopped, in its folder or in a copy.
    server.stop().await;
    server.restart().await;
    let whole = verify(&server.state(), &kept, Some(&key)).await.succeeded().text();
    assert!(whole.contains("nothing was deleted, altered, moved or cut off"), "{whole}");
    let third = checkpoint(&server, Head::of(&second).size, online.name()).await;
    server.stop().await;
    let newest = server.home().join("newest");
    std::fs::write(&newest, &third).expect("a file");
    let by_folder = verify(&server.state(), &newest, None).await.succeeded().text();
    assert!(by_folder.contains("the key is the one in the folder"), "{by_folder}");

    tampering_is_found(&server, &newest, &key).await;
    let other = stranger.key_as_log();
    assert_eq!(verify(&server.state(), &kept, Some(&other)).await.status.code(), Some(1));
    std::fs::write(&kept, "no checkpoint").expect("a file");
    assert_eq!(verify(&server.state(), &kept, Some(&key)).await.status.code(), Some(2));
}

async fn tampering_is_found(server: &Server, checkpoint: &Path, key: &str) {
    let found = async |folder: &Path, what: &str| {
        let finished = verify(folder, checkpoint, Some(key)).await;
        assert_eq!(finished.status.code(), Some(1), "{what}: {}", finished.said());
        assert!(finished.text().contains(what), "{what}: {}", finished.text());
    };
    let change = |name: &str, change: &dyn Fn(&Path)| {
        let folder = server.scratch(name);
        copy(&server.state(), &folder);
        change(&folder);
        folder
    };
    let segment = |folder: &Path, class: &str| {
        let entries = std::fs::read_dir(folder.join("journal")).expect("a folder");
        let mut paths = entries.map(|entry| entry.expect("an entry").path());
        paths.find(|path| path.to_string_lossy().contains(class)).expect("a segment")
    };
    let unchanged = change("unchanged", &|_| {});
    verify(&unchanged, checkpoint, Some(key)).await.succeeded();
    let deleted =
        change("deleted", &|folder| std::fs::remove_file(segment(folder, "issuance")).expect("a file"));
    found(&deleted, "issuance: records 0 to").await;
    let truncated = change("truncated", &|folder| {
        let path = segment(folder, "ca_lifecycle");
        let bytes = std::fs::read(&path).expect("a file");
        // The very last may have come behind the checkpoint.
        std::fs::write(&path, &bytes[..bytes.len() / 2]).expect("a file");
    });
    found(&truncated, "truncated").await;
    let altered = change("altered", &|folder| {
        let path = folder.join("log/leaves");
        let mut bytes = std::fs::read(&path).expect("a file");
        bytes[60] ^= 1;
        std::fs::write(&path, bytes).expect("a file");
    });
    found(&altered, "do not have the checkpoint's root").await;
    let cut = change("cut", &|folder| {
        let path = folder.join("log/leaves");
        let bytes = std::fs::read(&path).expect("a file");
        std::fs::write(&path, &bytes[..bytes.len() / 2]).expect("a file");
    });
    found(&cut, "that the checkpoint covers: truncated").await;
}
