//! Who somebody is, in the words of this machine.

use std::path::Path;

use ingam_protocol::bytes::hex;
use ingam_protocol::operator::Principal;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use super::serials::read_limited;

/// The users of this machine.
const USERS: &str = "/etc/passwd";
const USERS_BYTES_MAX: u64 = 4 << 20;

/// Reads `uid:1000` and `cert:` with 64 digits as they are, `user:NAME` by the users of this machine, and `pem:FILE` as
/// the certificate in it.
pub(crate) fn parse_principal(text: &str) -> Result<Principal, String> {
    if let Some(name) = text.strip_prefix("user:") {
        let users = read_limited(Path::new(USERS), USERS_BYTES_MAX)
            .map_err(|error| format!("{USERS} cannot be read: {error}; write uid: and the number"))?;
        return user_in(&String::from_utf8_lossy(&users), name).ok_or_else(|| {
            format!("{USERS} has no user \"{name}\"; if another place knows it, write uid: and what `id -u {name}` says")
        });
    }
    if let Some(path) = text.strip_prefix("pem:") {
        let certificate = CertificateDer::from_pem_file(path)
            .map_err(|error| format!("{path} holds no certificate: {error}"))?;
        let digest = ring::digest::digest(&ring::digest::SHA256, &certificate);
        return format!("cert:{}", hex(digest.as_ref())).parse().map_err(|_| "no SHA-256".to_owned());
    }
    text.parse().map_err(|error| {
        format!("{error}; on this machine also user: and a user's name, or pem: and the file of a client certificate")
    })
}

/// The number of a user by its name, from passwd(5): name, password, number, and more, between colons.
fn user_in(users: &str, name: &str) -> Option<Principal> {
    let mut fields =
        users.lines().map(|line| line.split(':')).find(|fields| fields.clone().next() == Some(name))?;
    // The number is the third field; the first was looked at in a copy.
    fields.nth(2)?.parse().ok().map(Principal::User)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_known_by_name() {
        let users = "root:x:0:0:root:/root:/bin/sh\nann:x:1001:1001:Ann:/home/ann:/bin/sh\nbad:x\n";
        assert_eq!(user_in(users, "ann"), Some(Principal::User(1001)));
        assert_eq!(user_in(users, "root"), Some(Principal::User(0)));
        assert_eq!(user_in(users, "bob"), None);
        assert_eq!(user_in(users, "bad"), None);
        assert_eq!(parse_principal("user:root").unwrap().to_string(), "uid:0");
        assert_eq!(parse_principal("uid:7").unwrap(), Principal::User(7));
        assert!(parse_principal("ann").unwrap_err().contains("user: and a user's name"));
    }

    #[test]
    fn certificates_are_known_by_their_file() {
        let made = rcgen::generate_simple_self_signed(["a.example".to_owned()]).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ann.pem");
        std::fs::write(&path, made.cert.pem()).unwrap();
        let digest = ring::digest::digest(&ring::digest::SHA256, made.cert.der());
        let principal = parse_principal(&format!("pem:{}", path.display())).unwrap();
        assert_eq!(principal.to_string(), format!("cert:{}", hex(digest.as_ref())));
        assert!(parse_principal("pem:/nowhere").is_err());
    }
}
