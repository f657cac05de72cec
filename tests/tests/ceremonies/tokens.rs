//! Ceremonies whose keys are made on a token, and never leave it (SoftHSM).

use ingam_tests::command::{Finished, run};
use ingam_tests::judge::openssl;
use ingam_tests::server::binary;
use ingam_tests::token::Tokens;
use tokio::process::Command;

use crate::room::Room;

/// A room whose ceremonies have a token at hand.
struct Place {
    room: Room,
    tokens: Tokens,
}

impl Place {
    async fn new() -> Self {
        let room = Room::new();
        let tokens = Tokens::new(room.folder()).await;
        Self { room, tokens }
    }

    async fn run(&self, file: &str, arguments: &[&str]) -> Finished {
        let mut command = Command::new(binary());
        command.arg("ceremony").arg(self.room.path(file)).args(arguments);
        self.tokens.environment(&mut command);
        run(command.env_remove("RUST_LOG"), "").await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_made_on_a_token_and_sign_there() {
    let place = Place::new().await;
    let (root, issuing) = (place.tokens.place("root"), place.tokens.place("tls-1"));
    let pin = ("\"root.passphrase\"", "\"token-pin\"");
    place.room.change("root.toml", "root.toml", &[("\"root.key\"", &format!("{root:?}")), pin]);
    place.room.change(
        "intermediate.toml",
        "intermediate.toml",
        &[("\"root.key\"", &format!("{root:?}")), pin],
    );
    let own =
        [("\"tls-1.key\"", format!("{issuing:?}")), ("\"issuer.passphrase\"", "\"token-pin\"".to_owned())];
    let own = own.each_ref().map(|(from, to)| (*from, to.as_str()));
    place.room.change("request.toml", "request.toml", &own);
    for file in ["root.toml", "request.toml", "intermediate.toml"] {
        let before = place.room.files();
        place.run(file, &["--dry-run"]).await.succeeded();
        assert_eq!(place.room.files(), before, "a rehearsal writes nothing");
        let held = place.run(file, &[]).await.succeeded();
        assert!(held.text().contains("token"), "{held}");
    }
    assert!(!place.room.files().iter().any(|name| name.ends_with(".key")), "no key is in a file");
    let judged = ["verify", "-x509_strict", "-check_ss_sig", "-CAfile", "root.pem", "root.pem", "tls-1.pem"];
    openssl(place.room.folder(), &judged).await;
    // A key of that name is there: it is not made anew, and no certificate is either.
    place.room.change("root.toml", "again.toml", &[("\"root.pem\"", "\"again.pem\"")]);
    let again = place.run("again.toml", &[]).await;
    assert_eq!(again.status.code(), Some(2), "{again}");
    assert!(again.stderr.contains("already has a key of this name"), "{again}");
    assert!(!place.room.path("again.pem").exists());
}
