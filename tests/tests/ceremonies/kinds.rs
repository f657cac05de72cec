//! Ceremonies with the other kinds of keys: what a root signs with each, judges of other makers take.

use ingam_tests::judge::{certtool_verifies, certtool_verifies_crl, openssl};
use ingam_tests::pkilint::{Kind, Questions};

use crate::room::Room;

/// Kinds of a root's key beside that of the shipped example.
const KINDS: [&str; 4] = ["ecdsa-p256", "rsa-2048", "rsa-3072", "rsa-4096"];

#[tokio::test(flavor = "multi_thread")]
async fn judges_find_nothing_in_what_a_root_with_a_key_of_each_kind_signs() {
    let rooms = KINDS.map(|kind| tokio::spawn(held(kind)));
    let (mut questions, mut kept) = (Questions::default(), Vec::new());
    for room in rooms {
        let room = room.await.expect("a ceremony that is held");
        for (file, kind) in [
            ("root.pem", Kind::Root),
            ("tls-1.pem", Kind::IssuingCa),
            ("ocsp.pem", Kind::OcspResponder),
            ("root.crl", Kind::AuthorityCrl),
        ] {
            questions.add(kind, &room.path(file));
        }
        for (below, kind) in [("tls-1.pem", Kind::IssuingCa), ("ocsp.pem", Kind::OcspResponder)] {
            questions.add_pair(kind, &room.path("root.pem"), &room.path(below));
        }
        // Its files go with it.
        kept.push(room);
    }
    questions.are_answered_with_nothing_but(&[]).await;
}

/// A root with such a key, and what it signs, before openssl and GnuTLS.
async fn held(kind: &str) -> Room {
    let room = Room::new();
    room.change("root.toml", "root.toml", &[("\"ecdsa-p384\"", &format!("{kind:?}"))]);
    for file in ["root.toml", "request.toml", "intermediate.toml", "ocsp-responder.toml", "crl.toml"] {
        room.hold(file).await;
    }
    let judged = ["verify", "-x509_strict", "-check_ss_sig", "-crl_check_all", "-CAfile", "root.pem"];
    let files = ["-CRLfile", "root.crl", "tls-1.pem", "ocsp.pem"];
    openssl(room.folder(), &[&judged[..], &files].concat()).await;
    certtool_verifies(room.folder(), &["tls-1.pem", "root.pem"]).await;
    certtool_verifies_crl(&room.path("root.crl"), &room.path("root.pem")).await;
    room
}
