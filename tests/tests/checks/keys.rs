//! One key of each bad kind, made here, before badkeys and before our own checks; lists and blocked keys in the real process; and
//! keys with a common prime among all that were certified.

use std::path::{Path, PathBuf};

use ingam_protocol::key::weak_list::WeakKeys;
use ingam_protocol::key::{KeyFlaw, PublicKey};
use ingam_tests::challenge::{Prover, WebAnswers};
use ingam_tests::client::{CertificateRequest, Client};
use ingam_tests::command::{run, target_folder};
use ingam_tests::http::fetch;
use ingam_tests::operator::hex;
use ingam_tests::server::{Server, Setup, binary};
use num_bigint::BigUint;
use rcgen::{KeyPair, PublicKeyData as _};
use ring::digest::{SHA256, digest};
use serde_json::Value;
use tempfile::TempDir;
use tokio::process::Command;

const INSTALL: &str = "Run scripts/test, which installs it";

fn number(value: u32) -> BigUint {
    BigUint::from(value)
}

/// The first prime from here on, by Fermat's little theorem to the base 2.
fn prime_from(start: &BigUint) -> BigUint {
    let mut candidate = start | number(1);
    let small: Vec<u32> =
        (3..2000).step_by(2).filter(|n| (2..*n).take_while(|d| d * d <= *n).all(|d| n % d != 0)).collect();
    loop {
        let is_clean = small.iter().all(|prime| &candidate % prime != BigUint::ZERO);
        if is_clean && number(2).modpow(&(&candidate - 1_u32), &candidate) == number(1) {
            return candidate;
        }
        candidate += 2_u32;
    }
}

/// A prime of 1024 bits, of which no two with different seeds are near each other.
fn prime(seed: u8) -> BigUint {
    let mut start: Vec<u8> =
        (0..4_u8).flat_map(|part| digest(&SHA256, &[seed, part]).as_ref().to_vec()).collect();
    // Its two highest bits are set, so that the product of two has 2048.
    start[0] |= 0xc0;
    prime_from(&BigUint::from_bytes_be(&start))
}

/// A modulus with the structure of CVE-2017-15361: a power of 65537 modulo the product of the primes from 3 to 167.
fn roca() -> BigUint {
    let primes = (3..=167_u32).step_by(2).filter(|n| (2..*n).take_while(|d| d * d <= *n).all(|d| n % d != 0));
    let product = primes.fold(number(1), |all, prime| all * prime);
    let residue = number(65_537).modpow(&number(123_456_789), &product);
    let mut modulus = (number(3) << 2046_u32) / &product * &product + residue;
    let is_clean = |modulus: &BigUint| {
        modulus.bit(0) && (3..=65_537_u32).step_by(2).all(|divisor| modulus % divisor != BigUint::ZERO)
    };
    while !is_clean(&modulus) {
        modulus += &product;
    }
    assert_eq!(modulus.bits(), 2048);
    modulus
}

/// DER of an INTEGER or a SEQUENCE.
fn der(tag: u8, contents: &[u8]) -> Vec<u8> {
    let length = contents.len();
    let mut out = vec![tag];
    match length {
        0..0x80 => out.push(u8::try_from(length).expect("below 128")),
        _ => {
            out.push(0x82);
            out.extend(u16::try_from(length).expect("a short value").to_be_bytes());
        }
    }
    [out.as_slice(), contents].concat()
}

/// DER of the SubjectPublicKeyInfo of an RSA key with the exponent 65537.
fn spki(modulus: &BigUint) -> Vec<u8> {
    let modulus = [vec![0], modulus.to_bytes_be()].concat();
    let numbers = der(0x30, &[der(0x02, &modulus), der(0x02, &[1, 0, 1])].concat());
    let algorithm =
        der(0x30, &[0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00]);
    der(0x30, &[algorithm, der(0x03, &[vec![0], numbers].concat())].concat())
}

async fn write_pem(folder: &Path, name: &str, spki: &[u8]) -> PathBuf {
    let (path, plain) = (folder.join(name), folder.join(format!("{name}.der")));
    std::fs::write(&plain, spki).expect("a writable folder");
    let mut command = Command::new("openssl");
    command.args(["pkey", "-pubin", "-inform", "DER", "-in"]).arg(&plain).arg("-out").arg(&path);
    run(&mut command, "Install openssl").await.succeeded();
    path
}

/// A key: its name, its SubjectPublicKeyInfo, what our own checks find, and what badkeys does.
type Row = (&'static str, Vec<u8>, Option<KeyFlaw>, &'static [&'static str]);

/// What badkeys knows a key by: the first 15 bytes of SHA-256 over its number, and the number of a list.
fn badkeys_entry(key_number: &[u8]) -> Vec<u8> {
    [&digest(&SHA256, key_number).as_ref()[..15], &[1]].concat()
}

async fn badkeys(cache: &Path, known: &BigUint, files: &[PathBuf]) -> Vec<Value> {
    let program = target_folder().join("clients/badkeys/bin/python");
    assert!(program.is_file(), "{} is not there. {INSTALL}", program.display());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/badkeys/verdicts.py");
    let mut command = Command::new(program);
    command.arg(script).arg(known.to_str_radix(16)).args(files).env("XDG_CACHE_HOME", cache);
    let said = run(&mut command, INSTALL).await.succeeded().text();
    said.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
}

#[tokio::test]
async fn badkeys_and_our_own_checks_say_the_same() {
    let folder = TempDir::new().expect("a temporary folder");
    let [a, b, c] = [1, 2, 3].map(prime);
    let (sound, sharing) = (&a * &b, &a * &c);
    let close = &b * prime_from(&(&b + 2_u32));
    // 1.5 * 2^2047 for the product.
    let small = prime_from(&((number(3) << 2046_u32) / 743_u32)) * 743_u32;
    let listed = prime(4) * prime(5);
    let elliptic = KeyPair::generate().expect("rcgen makes P-256 keys");
    let elliptic_spki = elliptic.subject_public_key_info();
    // x and y are the last 64 bytes.
    let x = elliptic_spki[elliptic_spki.len() - 64..elliptic_spki.len() - 32].to_vec();
    let x: Vec<u8> = x.into_iter().skip_while(|byte| *byte == 0).collect();

    let mut entries = [badkeys_entry(&listed.to_bytes_be()), badkeys_entry(&x)];
    entries.sort();
    let cache = folder.path().join("badkeys");
    std::fs::create_dir(&cache).expect("a writable folder");
    std::fs::write(cache.join("blocklist.dat"), entries.concat()).expect("a writable folder");
    let names = r#"{"blocklists": [{"id": 1, "name": "made-for-a-test"}]}"#;
    std::fs::write(cache.join("badkeysdata.json"), names).expect("a writable folder");
    let lists = WeakKeys::read([("blocklist.dat", entries.concat())]).expect("a list of badkeys' form");

    let even = &sound + 1_u32;
    let rows: [Row; 7] = [
        ("sound", spki(&sound), None, &[]),
        ("even", spki(&even), Some(KeyFlaw::RsaEven), &["smallfactors"]),
        ("small", spki(&small), Some(KeyFlaw::RsaSmallFactor), &["smallfactors"]),
        ("roca", spki(&roca()), Some(KeyFlaw::RsaRoca), &["roca"]),
        ("close", spki(&close), Some(KeyFlaw::RsaClosePrimes), &["fermat"]),
        ("listed", spki(&listed), Some(KeyFlaw::Listed), &["blocklist"]),
        ("elliptic", elliptic_spki, Some(KeyFlaw::Listed), &["blocklist"]),
    ];
    let mut files = Vec::new();
    for (name, spki, ..) in &rows {
        files.push(write_pem(folder.path(), name, spki).await);
    }
    // Nobody's prime is among those that badkeys is told, but for the last key's.
    let theirs = badkeys(folder.path(), &(prime(6) * prime(7)), &files).await;
    for ((name, spki, expected, found), theirs) in rows.iter().zip(&theirs) {
        let ours = PublicKey::from_spki(spki).and_then(|key| lists.check(&key)).err().map(|bad| bad.flaw());
        assert_eq!(ours, *expected, "{name}, by our own checks");
        let seen: Vec<&str> =
            theirs["found"].as_array().expect("a list").iter().filter_map(Value::as_str).collect();
        assert!(found.iter().all(|check| seen.contains(check)), "{name}, by badkeys: {theirs}");
        assert_eq!(ours.is_none(), seen.is_empty(), "{name}, by badkeys: {theirs}");
    }

    // Two sound keys, each on its own, that share a prime: badkeys finds it against the other, and so do we.
    let pair = [
        write_pem(folder.path(), "one", &spki(&sound)).await,
        write_pem(folder.path(), "two", &spki(&sharing)).await,
    ];
    let theirs = badkeys(folder.path(), &sound, &pair[1..]).await;
    assert_eq!(theirs[0]["found"], serde_json::json!(["sharedprimes"]));
    assert!([&sound, &sharing].iter().all(|modulus| PublicKey::from_spki(&spki(modulus)).is_ok()));
    let found = common_factors(&[&pair[0], &pair[1], &files[5]]).await;
    assert_eq!(found.status.code(), Some(1), "{found}");
    let name = hex(digest(&SHA256, &a.to_bytes_be()).as_ref());
    assert!(found.text().contains(&name), "{found}");
    assert!(!found.text().contains(&hex(&a.to_bytes_be())), "the prime itself is not shown: {found}");
    let sound_ones = common_factors(&[&pair[0], &files[5]]).await.succeeded();
    assert!(sound_ones.text().contains("no two of them"), "{sound_ones}");
}

async fn common_factors(files: &[&Path]) -> ingam_tests::command::Finished {
    let mut command = Command::new(binary());
    run(command.args(["keys", "common-factors"]).args(files), "").await
}

/// An RSA key by openssl, which also says what Debian's list would have of it.
async fn rsa_with_entry(folder: &Path) -> (KeyPair, String) {
    let key = folder.join("rsa.pem");
    let make = "openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out rsa.pem && \
                openssl rsa -noout -modulus -in rsa.pem | sha1sum | cut -c 21-40";
    let mut command = Command::new("sh");
    let entry =
        run(command.args(["-c", make]).current_dir(folder), "Install openssl").await.succeeded().text();
    let pem = std::fs::read_to_string(key).expect("the key");
    (KeyPair::from_pem(&pem).expect("a key in PKCS#8"), entry.trim().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_and_blocked_hashes_refuse_keys_and_say_what_to_do() {
    let home = TempDir::new().expect("a temporary folder");
    let (key, entry) = rsa_with_entry(home.path()).await;
    let list = home.path().join("blacklist.RSA-2048");
    std::fs::write(&list, "# none yet\n00000000000000000000\n").expect("a writable folder");
    let further_config = format!("[issuance]\nweak_key_lists = [{:?}]\n", list.display().to_string());
    let server = Server::start_in(home, Setup { further_config, ..Setup::new() }).await;
    let prover = Prover::Http(WebAnswers::listen(server.ports().http).await);
    let mut client = Client::registered(&server.site()).await.expect("an account");
    let name = "www.example.org";
    let request = CertificateRequest::with_key(key, &[name]);
    client.issue(&[name], &request, &prover).await.expect("a certificate: the key is not listed yet");

    std::fs::write(&list, format!("# one\n{entry}\n")).expect("a writable folder");
    let reload = server.admin_json(&["reload", "--reason", "a list"]).await;
    assert_eq!(reload["changed"], serde_json::json!(["issuance.weak_key_lists"]));
    let order = client.order(&[name]).await.expect("an order");
    let order = client.prove(&order, &prover).await.expect("control");
    let refused = client.finalize(&order, &request.der).await.expect_err("the key is listed");
    let told = format!("{refused:?}");
    assert!(told.contains("badCSR") && told.contains("CVE-2008-0166"), "{told}");
    let url = format!("http://localhost:{}/metrics", server.ports().metrics);
    let metrics = fetch(&url).await.expect("metrics").expect(200).text();
    assert!(metrics.contains("ingam_keys_refused_total{reason=\"debian_weak\"} 1"), "{metrics}");

    std::fs::write(&list, "one that is none\n").expect("a writable folder");
    let told = server.admin(&["reload", "--reason", "a slip"]).await;
    assert!(told.status.code() == Some(2) && told.stderr.contains("line 1"), "{told}");

    let fresh = CertificateRequest::of(&[name]);
    let hash = hex(digest(&SHA256, &fresh.key.subject_public_key_info()).as_ref());
    let file = server.home().join("hashes");
    std::fs::write(&file, format!("# found\n{hash} # in a paste\n{}\n", "0a".repeat(32)))
        .expect("a writable folder");
    let path = file.to_str().expect("a path in UTF-8");
    let blocked =
        server.admin(&["key", "import", path, "--source", "a paste", "--reason", "leaked"]).await.succeeded();
    assert_eq!(blocked.text(), "2 keys are blocked now, 0 were before\n");
    let refused = client.finalize(&order, &fresh.der).await.expect_err("the key is blocked");
    assert!(format!("{refused:?}").contains("known to be compromised"), "{refused:?}");
    server.admin(&["key", "unblock", &hash, "--reason", "another one"]).await.succeeded();
    client.finalize(&order, &fresh.der).await.expect("a certificate");

    // All that were certified are looked at while the CA runs; the archiver has moved what it had by now or not.
    let mut command = Command::new(binary());
    command.args(["keys", "common-factors", "--journal"]).arg(server.state().join("journal"));
    let looked = run(&mut command, "").await.succeeded();
    assert!(looked.text().contains("no two of them have a prime in common"), "{looked}");
}
