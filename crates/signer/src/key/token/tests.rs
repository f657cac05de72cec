//! Keys on a token, with SoftHSM as the token and openssl as a judge of what it signed.
//!
//! SoftHSM finds its tokens by an environment variable, which a process reads once: each test runs itself again in a
//! process of its own, whose tokens lie in a folder of its own. Pulling a token out is renaming that folder away.
//!
//! No failure here: a signature that was asked for while the token is away may come or be refused. It must only do so
//! soon, and all is well again once the token is back.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use super::*;
use crate::KeyLocation;

const MODULE: &str = "/usr/lib/softhsm/libsofthsm2.so";
const PIN: &str = "0815-4711";
/// Says to a process that it is the inner one, and where its tokens are.
const FOLDER: &str = "INGAM_TEST_TOKENS";

/// SoftHSM in a folder of its own.
struct Tokens {
    folder: PathBuf,
}

impl Tokens {
    fn stored(&self) -> PathBuf {
        self.folder.join("tokens")
    }

    fn run(&self, program: &str, arguments: &[&str]) -> (bool, String) {
        let done = Command::new(program)
            .args(arguments)
            .env("SOFTHSM2_CONF", self.folder.join("softhsm2.conf"))
            .output()
            .unwrap_or_else(|error| panic!("{program}: {error}; install it"));
        let said = [done.stdout, done.stderr].concat();
        (done.status.success(), String::from_utf8_lossy(&said).into_owned())
    }

    fn make(&self, label: &str) {
        let arguments = ["--init-token", "--free", "--label", label, "--so-pin", "12345678", "--pin", PIN];
        let (good, said) = self.run("softhsm2-util", &arguments);
        assert!(good, "{said}");
    }

    /// openssl's word on a signature.
    fn judge(&self, signer: &TokenSigner, signature: &[u8], message: &[u8]) {
        let info = rcgen::PublicKeyData::subject_public_key_info(
            &crate::key::Key::of(&crate::CaKey::OnToken(signer.clone())).unwrap(),
        );
        let [public, signed, told] = ["public", "signature", "message"].map(|file| self.folder.join(file));
        fs::write(&public, info).unwrap();
        fs::write(&signed, signature).unwrap();
        fs::write(&told, message).unwrap();
        let digest = if signer.kind() == KeyKind::EcdsaP384 { "-sha384" } else { "-sha256" };
        let [public, signed, told] = [&public, &signed, &told].map(|path| path.to_str().unwrap());
        let (good, said) = self.run(
            "openssl",
            &["dgst", digest, "-keyform", "DER", "-verify", public, "-signature", signed, told],
        );
        assert!(good && said.contains("Verified OK"), "{said}");
    }

    fn pull_out(&self) {
        fs::rename(self.stored(), self.folder.join("away")).unwrap();
    }

    fn put_back(&self) {
        fs::rename(self.folder.join("away"), self.stored()).unwrap();
    }
}

/// Runs a test in a process of its own with SoftHSM; `name` is the test's own.
fn with_tokens(name: &str, test: impl FnOnce(Tokens)) {
    if let Some(folder) = std::env::var_os(FOLDER) {
        return test(Tokens { folder: folder.into() });
    }
    let folder = tempfile::tempdir().unwrap();
    let tokens = Tokens { folder: folder.path().to_owned() };
    fs::create_dir(tokens.stored()).unwrap();
    let conf = folder.path().join("softhsm2.conf");
    let stored = tokens.stored();
    fs::write(
        &conf,
        format!(
            "directories.tokendir = {}\nobjectstore.backend = file\nlog.level = ERROR\n",
            stored.display()
        ),
    )
    .unwrap();
    let done = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &format!("key::token::tests::{name}"), "--nocapture"])
        .env("SOFTHSM2_CONF", &conf)
        .env(FOLDER, folder.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&[done.stdout, done.stderr].concat()).into_owned();
    assert!(done.status.success() && said.contains("1 passed"), "{said}");
}

fn pin(text: &str) -> Passphrase {
    Passphrase::new(text.as_bytes().to_vec()).unwrap()
}

fn key(attributes: &str) -> TokenKey {
    match format!("pkcs11:{attributes}?module-path={MODULE}").parse().unwrap() {
        KeyLocation::Token(key) => key,
        KeyLocation::File(_) => panic!("a path"),
    }
}

/// The words of an error with those of its causes.
fn refusal(outcome: Result<TokenSigner, Error>) -> String {
    let error = outcome.unwrap_err();
    let mut words = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(deeper) = cause {
        words = format!("{words}: {deeper}");
        cause = deeper.source();
    }
    words
}

#[test]
fn every_kind_is_made_and_signs() {
    with_tokens("every_kind_is_made_and_signs", |tokens| {
        tokens.make("ca");
        for kind in KeyKind::ALL {
            let place = key(&format!("token=ca;object={}", kind.name()));
            let made = place.generate(kind, Some(&pin(PIN))).unwrap();
            let again = place.open(Some(&pin(PIN))).unwrap();
            assert!(made == again);
            assert_eq!(made.kind(), kind);
            tokens.judge(&made, &made.sign_blocking(b"a message").unwrap(), b"a message");
            let said = refusal(place.generate(kind, Some(&pin(PIN))));
            assert!(said.contains("already has a key of this name"), "{said}");
        }
        let listed =
            ["--provider", MODULE, "--login", "--set-pin", PIN, "--list-privkeys", "pkcs11:token=ca"];
        let (_, objects) = tokens.run("p11tool", &listed);
        let kept = "CKA_PRIVATE; CKA_NEVER_EXTRACTABLE; CKA_SENSITIVE;";
        assert_eq!(objects.matches(kept).count(), 5, "{objects}");
    });
}

#[test]
fn what_is_not_there_is_named() {
    with_tokens("what_is_not_there_is_named", |tokens| {
        for label in ["one", "two", "two"] {
            tokens.make(label);
        }
        let place = key("token=one;object=ca");
        place.generate(KeyKind::EcdsaP256, Some(&pin(PIN))).unwrap();
        let open = |attributes: &str| refusal(key(attributes).open(Some(&pin(PIN))));
        for (attributes, part) in [
            ("token=three;object=ca", "0 tokens fit"),
            ("token=three;object=ca", "the token 'one' (serial number "),
            ("token=two;object=ca", "2 tokens fit"),
            ("token=one;object=other", "has no"),
            ("token=one;id=%01%02", "--list-all"),
            ("token=one;object=ca;id=%01%02", "has no"),
        ] {
            let said = open(attributes);
            assert!(
                said.contains(part) && said.contains("pkcs11:") | said.contains(MODULE),
                "{part}: {said}"
            );
        }
        let said = refusal(place.open(None));
        assert!(said.contains("wants a PIN") && said.contains("pin-source"), "{said}");
        let elsewhere = "pkcs11:token=one;object=ca?module-path=/nowhere.so".parse().unwrap();
        let KeyLocation::Token(elsewhere) = elsewhere else { panic!("a path") };
        let said = refusal(elsewhere.open(None));
        assert!(said.contains("/nowhere.so") && said.contains("module-path"), "{said}");
    });
}

#[test]
fn two_keys_of_one_label_are_told_apart_by_id() {
    with_tokens("two_keys_of_one_label_are_told_apart_by_id", |tokens| {
        tokens.make("ca");
        for id in ["%01", "%02"] {
            let place = key(&format!("token=ca;object=twin;id={id}"));
            place.generate(KeyKind::EcdsaP256, Some(&pin(PIN))).unwrap();
        }
        let said = refusal(key("token=ca;object=twin").open(Some(&pin(PIN))));
        assert!(said.contains("2 objects") && said.contains("give its id"), "{said}");
        let [one, two] = ["%01", "%02"]
            .map(|id| key(&format!("token=ca;object=twin;id={id}")).open(Some(&pin(PIN))).unwrap());
        assert!(one != two);
    });
}

#[test]
fn a_wrong_pin_is_tried_once() {
    with_tokens("a_wrong_pin_is_tried_once", |tokens| {
        tokens.make("ca");
        let place = key("token=ca;object=ca");
        let module = Module::load(place.module()).unwrap();
        let access = module.access(&module.identify(place.token()).unwrap(), Some(&pin("wrong"))).unwrap();
        for (work, part) in [(1, "PinIncorrect"), (2, "not tried again"), (3, "not tried again")] {
            let outcome = access.run_blocking(SIGN_TIMEOUT, true, |seat| {
                seat.private_key(&ObjectName { label: None, id: None }).map(drop)
            });
            let said = outcome.unwrap_err().to_string();
            assert!(said.contains(part), "{work}: {said}");
        }
        assert!(access.is_shut());
        drop(access);
        // Loaded anew with the right one, it works.
        place.generate(KeyKind::EcdsaP256, Some(&pin(PIN))).unwrap();
    });
}

/// Signs without end until `enough` says so, and gives how many of the last tries in a row were good.
fn sign_until(signer: &TokenSigner, enough: impl Fn(&[bool]) -> bool) -> Vec<bool> {
    let started = Instant::now();
    let mut outcomes = Vec::new();
    while !enough(&outcomes) {
        assert!(
            started.elapsed() < Duration::from_secs(60),
            "never: {:?}",
            signer.sign_blocking(b"a message")
        );
        let asked = Instant::now();
        outcomes.push(signer.sign_blocking(b"a message").is_ok());
        assert!(asked.elapsed() < SIGN_TIMEOUT + Duration::from_secs(1), "waited for too long");
    }
    outcomes
}

#[test]
fn a_token_that_was_pulled_out_is_used_again_when_it_is_back() {
    with_tokens("a_token_that_was_pulled_out_is_used_again_when_it_is_back", |tokens| {
        tokens.make("ca");
        let signer = key("token=ca;object=ca").generate(KeyKind::EcdsaP256, Some(&pin(PIN))).unwrap();
        for _ in 0..2 {
            std::thread::scope(|threads| {
                // More than there are sessions, so that some wait for others.
                for _ in 0..8 {
                    threads.spawn(|| sign_until(&signer, |seen| seen.last() == Some(&false)));
                }
                tokens.pull_out();
            });
            let said = signer.sign_blocking(b"a message").unwrap_err().to_string();
            assert!(said.contains("the token 'ca'"), "{said}");
            tokens.put_back();
            sign_until(&signer, |seen| seen.ends_with(&[true; 20]));
        }
        // All its sessions, not just one.
        std::thread::scope(|threads| {
            for _ in 0..8 {
                threads.spawn(|| sign_until(&signer, |seen| seen.ends_with(&[true; 20])));
            }
        });
    });
}

#[test]
fn another_token_of_the_same_name_is_not_used() {
    with_tokens("another_token_of_the_same_name_is_not_used", |tokens| {
        tokens.make("ca");
        let place = key("token=ca;object=ca");
        let signer = place.generate(KeyKind::EcdsaP256, Some(&pin(PIN))).unwrap();
        tokens.pull_out();
        sign_until(&signer, |seen| seen.last() == Some(&false));
        fs::create_dir(tokens.stored()).unwrap();
        tokens.make("ca");
        sign_until(&signer, |seen| seen.len() >= 20 && !seen.contains(&true));
    });
}

#[tokio::test]
async fn a_runtimes_only_thread_goes_on_while_a_token_signs() {
    // SoftHSM signs too fast to be waited for: the queue alone is held here, by work that waits.
    let Some(_) = std::env::var_os(FOLDER) else {
        return with_tokens("a_runtimes_only_thread_goes_on_while_a_token_signs", |_| unreachable!());
    };
    with_tokens("", |tokens| tokens.make("ca"));
    let signer = key("token=ca;object=ca").generate(KeyKind::EcdsaP256, Some(&pin(PIN))).unwrap();
    let (release, held) = std::sync::mpsc::channel::<()>();
    let held = Arc::new(std::sync::Mutex::new(held));
    let mut waiting = Vec::new();
    for _ in 0..4 {
        let held = Arc::clone(&held);
        let access = Arc::clone(&signer.0.access);
        waiting.push(tokio::spawn(async move {
            access.run(SIGN_TIMEOUT, move |_| Ok(held.lock().unwrap().recv())).await
        }));
    }
    let late = tokio::spawn({
        let signer = signer.clone();
        async move { signer.sign(b"a message").await }
    });
    tokio::task::yield_now().await;
    assert!(!late.is_finished());
    drop(release);
    for one in waiting {
        one.await.unwrap().unwrap().unwrap_err();
    }
    late.await.unwrap().unwrap();
}
