//! Ceremonies whose keys are made on a token, and never leave it (SoftHSM).

use std::fs;
use std::path::{Path, PathBuf};

use ingam_tests::command::{Finished, run};
use ingam_tests::judge::openssl;
use ingam_tests::server::binary;
use tokio::process::Command;

use crate::room::Room;

const INSTALL: &str = "Install SoftHSM, on Debian with `apt-get install softhsm2`";
const PIN: &str = "4711";

/// Where Debian, and others, put the module.
fn module() -> PathBuf {
    let places = ["/usr/lib/softhsm/libsofthsm2.so", "/usr/lib64/softhsm/libsofthsm2.so"];
    let found = places.iter().map(Path::new).find(|path| path.exists());
    found.unwrap_or_else(|| panic!("libsofthsm2.so is missing. {INSTALL}")).to_owned()
}

struct Token {
    room: Room,
    settings: PathBuf,
}

impl Token {
    /// A token of its own beside the ceremonies' files, whose keys are on it.
    async fn new() -> Self {
        let room = Room::new();
        let tokens = room.path("tokens");
        fs::create_dir(&tokens).expect("a writable folder");
        room.write("softhsm2.conf", &format!("directories.tokendir = {}\n", tokens.display()));
        room.write_secret("pin", &format!("{PIN}\n"));
        let settings = room.path("softhsm2.conf");
        let mut command = Command::new("softhsm2-util");
        command.args(["--init-token", "--free", "--label", "ceremonies", "--so-pin", "0000", "--pin", PIN]);
        run(command.env("SOFTHSM2_CONF", &settings), INSTALL).await.succeeded();
        Self { room, settings }
    }

    fn uri(object: &str) -> String {
        format!("pkcs11:token=ceremonies;object={object}?module-path={}", module().display())
    }

    async fn run(&self, file: &str, arguments: &[&str]) -> Finished {
        let mut command = Command::new(binary());
        command.arg("ceremony").arg(self.room.path(file)).args(arguments);
        run(command.env("SOFTHSM2_CONF", &self.settings).env_remove("RUST_LOG"), "").await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_made_on_a_token_and_sign_there() {
    let token = Token::new().await;
    let (root, issuing) = (Token::uri("root"), Token::uri("tls-1"));
    let pin = ("\"root.passphrase\"", "\"pin\"");
    token.room.change("root.toml", "root.toml", &[("\"root.key\"", &format!("{root:?}")), pin]);
    token.room.change(
        "intermediate.toml",
        "intermediate.toml",
        &[("\"root.key\"", &format!("{root:?}")), pin],
    );
    let own = [("\"tls-1.key\"", format!("{issuing:?}")), ("\"issuer.passphrase\"", "\"pin\"".to_owned())];
    let own = own.each_ref().map(|(from, to)| (*from, to.as_str()));
    token.room.change("request.toml", "request.toml", &own);
    for file in ["root.toml", "request.toml", "intermediate.toml"] {
        let before = token.room.files();
        token.run(file, &["--dry-run"]).await.succeeded();
        assert_eq!(token.room.files(), before, "a rehearsal writes nothing");
        let held = token.run(file, &[]).await.succeeded();
        assert!(held.text().contains("token"), "{held}");
    }
    assert!(!token.room.files().iter().any(|name| name.ends_with(".key")), "no key is in a file");
    let judged = ["verify", "-x509_strict", "-check_ss_sig", "-CAfile", "root.pem", "root.pem", "tls-1.pem"];
    openssl(token.room.folder(), &judged).await;
    // A key of that name is there: it is not made anew, and no certificate is either.
    token.room.change("root.toml", "again.toml", &[("\"root.pem\"", "\"again.pem\"")]);
    let again = token.run("again.toml", &[]).await;
    assert_eq!(again.status.code(), Some(2), "{again}");
    assert!(again.stderr.contains("already has a key of this name"), "{again}");
    assert!(!token.room.path("again.pem").exists());
}
