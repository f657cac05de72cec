//! Every kind of ceremony, from its shipped example.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;

use ingam_tests::judge::{certtool_verifies, openssl};
use ingam_tests::pkilint::{Kind, Questions};

use crate::room::{Room, examples};

/// All examples in the order in which they need each other, and what each makes.
const IN_ORDER: [(&str, &[&str]); 6] = [
    ("root.toml", &["root.key", "root.pem"]),
    ("request.toml", &["tls-1.csr", "tls-1.key"]),
    ("intermediate.toml", &["tls-1.pem"]),
    ("ocsp-responder.toml", &["ocsp.key", "ocsp.pem"]),
    ("crl.toml", &["root.crl"]),
    ("cross-certificate.toml", &["root-2-by-root.pem"]),
];

/// Holds all of them; a second root stands for the CA that is cross-certified.
async fn held() -> Room {
    let room = Room::new();
    let second =
        [("Root 1", "Root 2"), ("\"root.key\"", "\"root-2.key\""), ("\"root.pem\"", "\"root-2.pem\"")];
    room.change("root.toml", "root-2.toml", &second);
    room.hold("root-2.toml").await;
    for (file, _) in IN_ORDER {
        room.hold(file).await;
    }
    room
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rehearsal_shows_all_and_writes_nothing() {
    let listed: Vec<&str> = IN_ORDER.iter().map(|(file, _)| *file).collect();
    assert_eq!(BTreeSet::from_iter(examples().iter().map(String::as_str)), BTreeSet::from_iter(listed));
    let room = Room::new();
    let second =
        [("Root 1", "Root 2"), ("\"root.key\"", "\"root-2.key\""), ("\"root.pem\"", "\"root-2.pem\"")];
    room.change("root.toml", "root-2.toml", &second);
    room.hold("root-2.toml").await;
    for (file, makes) in IN_ORDER {
        let before = room.files();
        let rehearsed = room.run(file, &["--dry-run"]).await.succeeded();
        assert!(rehearsed.text().contains("REHEARSAL"), "{rehearsed}");
        assert_eq!(room.files(), before, "{file}: a rehearsal writes nothing");
        let held = room.hold(file).await;
        assert!(!held.text().contains("REHEARSAL"), "{held}");
        let transcript = format!("{}.transcript.txt", makes.last().expect("it makes something"));
        let transcript = if file == "request.toml" { "tls-1.csr.transcript.txt" } else { &transcript };
        let mut expected: BTreeSet<String> = before.into_iter().collect();
        expected.extend(makes.iter().map(|name| (*name).to_owned()).chain([transcript.to_owned()]));
        assert_eq!(BTreeSet::from_iter(room.files()), expected, "{file}");
        assert_eq!(room.text(transcript), held.text(), "what is shown is what is kept");
        // A second time, nothing is written over.
        room.refused(file, &["is there already"]).await;
    }
    for key in ["root.key", "tls-1.key", "ocsp.key"] {
        let mode = fs::metadata(room.path(key)).expect("a key").permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{key}");
        assert!(room.text(key).starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----"), "{key}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn openssl_certtool_and_pkilint_find_nothing_in_what_is_made() {
    let room = held().await;
    let folder = room.folder();
    openssl(
        folder,
        &[
            "verify",
            "-x509_strict",
            "-check_ss_sig",
            "-CAfile",
            "root.pem",
            "root.pem",
            "tls-1.pem",
            "root-2-by-root.pem",
        ],
    )
    .await;
    openssl(folder, &["verify", "-x509_strict", "-purpose", "ocsphelper", "-CAfile", "root.pem", "ocsp.pem"])
        .await;
    // Who trusts the first root alone trusts the second by the cross-certificate.
    room.change(
        "intermediate.toml",
        "below-2.toml",
        &[
            ("issuer]\ncertificate = \"root.pem\"", "issuer]\ncertificate = \"root-2.pem\""),
            ("key = \"root.key\"", "key = \"root-2.key\""),
            ("\"tls-1.pem\"", "\"below-2.pem\""),
        ],
    );
    room.hold("below-2.toml").await;
    openssl(folder, &["verify", "-x509_strict", "-CAfile", "root-2.pem", "below-2.pem"]).await;
    openssl(
        folder,
        &["verify", "-x509_strict", "-CAfile", "root.pem", "-untrusted", "root-2-by-root.pem", "below-2.pem"],
    )
    .await;
    certtool_verifies(folder, &["tls-1.pem", "root.pem"]).await;
    certtool_verifies(folder, &["below-2.pem", "root-2-by-root.pem", "root.pem"]).await;
    openssl(folder, &["req", "-in", "tls-1.csr", "-noout", "-verify"]).await;
    openssl(folder, &["crl", "-inform", "DER", "-in", "root.crl", "-noout", "-CAfile", "root.pem"]).await;
    let mut questions = Questions::default();
    for (file, kind) in [
        ("root.pem", Kind::Root),
        ("tls-1.pem", Kind::IssuingCa),
        ("below-2.pem", Kind::IssuingCa),
        ("root-2-by-root.pem", Kind::IssuingCa),
        ("ocsp.pem", Kind::OcspResponder),
        ("root.crl", Kind::AuthorityCrl),
    ] {
        questions.add(kind, &room.path(file));
    }
    questions.are_answered_with_nothing_but(&[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crl_counts_on_and_keeps_what_was_on_the_one_before() {
    let room = held().await;
    let serial = |text: String| text.trim().trim_start_matches("serial=").to_lowercase();
    let printed = ["x509", "-noout", "-serial", "-in", "tls-1.pem"];
    let revoked = serial(openssl(room.folder(), &printed).await.text());
    let entry = format!(
        "\n[[crl.revoked]]\nserial = {revoked:?}\ndate = \"2026-11-01\"\nreason = \"keyCompromise\"\n"
    );
    let next = [
        ("number = 1\n", "previous = \"root.crl\"\n"),
        ("\"root.crl\"\n\n# What", "\"second.crl\"\n\n# What"),
    ];
    room.change("crl.toml", "second.toml", &next);
    room.write("second.toml", &(room.text("second.toml") + &entry));
    room.hold("second.toml").await;
    // An entry that is there stays, and need not be said again.
    room.change(
        "second.toml",
        "again.toml",
        &[("\"root.crl\"", "\"second.crl\""), ("file = \"second.crl\"", "file = \"third.crl\"")],
    );
    room.refused("again.toml", &["crl.revoked[0].serial", "is on the CRL before"]).await;
    room.write("again.toml", &room.text("again.toml").replace(&entry, ""));
    room.hold("again.toml").await;
    let mut questions = Questions::default();
    for (file, number) in [("second.crl", "02"), ("third.crl", "03")] {
        let shown =
            openssl(room.folder(), &["crl", "-inform", "DER", "-noout", "-text", "-crlnumber", "-in", file])
                .await;
        let text = shown.text().to_lowercase();
        assert!(text.contains(&revoked) && text.contains("key compromise"), "{shown}");
        assert!(
            text.contains(&format!("crlnumber=0x{number}")) || text.contains(&format!("crlnumber={number}")),
            "{shown}"
        );
        questions.add(Kind::AuthorityCrl, &room.path(file));
    }
    questions.are_answered_with_nothing_but(&[]).await;
    openssl(room.folder(), &["crl", "-inform", "DER", "-in", "third.crl", "-out", "third.pem"]).await;
    let judged = ["verify", "-crl_check", "-CAfile", "root.pem", "-CRLfile", "third.pem", "tls-1.pem"];
    let mut command = tokio::process::Command::new("openssl");
    let refused = ingam_tests::command::run(command.args(judged).current_dir(room.folder()), "").await;
    assert!(!refused.status.success() && refused.said().contains("revoked"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_that_is_wrong_is_told_at_once_with_its_section() {
    let room = Room::new();
    room.change(
        "root.toml",
        "bad.toml",
        &[
            ("country = \"KR\"", "country = \"kr\""),
            ("validity_days = 7305", "validity_days = 1000\npath_length = 1\npolices = []"),
            ("present = [", "present = []\nwitnesses = ["),
            ("\"ecdsa-p384\"", "\"dsa\""),
        ],
    );
    room.refused(
        "bad.toml",
        &[
            "subject.country",
            "BR 7.1.2.10.2",
            "certificate.validity_days",
            "BR 7.1.2.1.1",
            "certificate.path_length",
            "certificate.polices",
            "write policies",
            "present",
            "key.generate",
            "(line ",
        ],
    )
    .await;
    room.hold("root.toml").await;
    room.hold("request.toml").await;
    room.change(
        "intermediate.toml",
        "bad.toml",
        &[
            ("path_length = 0\n", "path_length = 200\n"),
            ("purposes = [\"server-auth\"]", "purposes = [\"client-auth\"]"),
            ("policies = [\"2.23.140.1.2.1\"]", "policies = [\"2.23.140.1.2.1\", \"2.23.140.1.2.2\"]"),
            ("crl_url = \"http://", "crl_url = \"https://"),
        ],
    );
    room.refused(
        "bad.toml",
        &[
            "certificate.path_length",
            "certificate.purposes",
            "BR 7.1.2.10.6",
            "certificate.policies",
            "BR 7.1.2.10.5",
            "certificate.crl_url",
            "7.1.2.11.2",
        ],
    )
    .await;
    // What shows only once files are read and held against each other.
    room.change(
        "intermediate.toml",
        "bad.toml",
        &[("validity_days = 1826", "validity_days = 9000"), ("\"Example TLS 1\"", "\"Example TLS 2\"")],
    );
    room.refused(
        "bad.toml",
        &["key.request", "which is not that of [subject]", "certificate.validity_days", "after its issuer"],
    )
    .await;
    room.change(
        "intermediate.toml",
        "bad.toml",
        &[("validity_days = 1826", "validity_days = 9000"), ("country = \"KR\"", "country = \"QQ\"")],
    );
    room.refused(
        "bad.toml",
        &["subject.country", "ISO 3166-1", "certificate.validity_days", "after its issuer"],
    )
    .await;
    room.change("intermediate.toml", "bad.toml", &[("validity_days = 1826", "validity_days = 9000")]);
    room.refused("bad.toml", &["certificate.validity_days", "after its issuer"]).await;
    room.change(
        "intermediate.toml",
        "bad.toml",
        &[("\"root.key\"", "\"tls-1.key\""), ("\"root.passphrase\"", "\"issuer.passphrase\"")],
    );
    room.refused("bad.toml", &["issuer.key", "does not belong"]).await;
    room.change("intermediate.toml", "bad.toml", &[("\"root.passphrase\"", "\"issuer.passphrase\"")]);
    room.refused("bad.toml", &["issuer.key", "does not open"]).await;
    room.change("intermediate.toml", "bad.toml", &[("passphrase_file = \"root.passphrase\"\n", "")]);
    room.refused("bad.toml", &["issuer.key", "terminal", "/dev/fd/3"]).await;
    // For a hierarchy of one's own, less is asked.
    room.change(
        "root.toml",
        "own.toml",
        &[
            ("public = true", "public = false"),
            ("validity_days = 7305", "validity_days = 1000"),
            ("\"root.key\"", "\"own.key\""),
            ("\"root.pem\"", "\"own.pem\""),
        ],
    );
    let own = room.hold("own.toml").await;
    assert!(own.text().contains("NOT held against the Baseline Requirements"), "{own}");
    let mut questions = Questions::default();
    questions.add(Kind::Private, &room.path("own.pem"));
    questions.are_answered_with_nothing_but(&[]).await;
}
