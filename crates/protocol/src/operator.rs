//! People who run the CA: who they are, and which rights they can have.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::bytes::hex;

/// Who somebody at the admin API is: what the kernel or the TLS library says of the other end, never what it says of
/// itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Principal {
    /// A user of this machine, known by the credentials of its Unix socket: written `uid:1000`.
    User(u32),
    /// The holder of a client certificate, known by the SHA-256 of its DER: written `cert:` and 64 hexadecimal digits.
    Certificate([u8; 32]),
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(uid) => write!(f, "uid:{uid}"),
            Self::Certificate(digest) => write!(f, "cert:{}", hex(digest)),
        }
    }
}

/// The text names nobody; its words say how somebody is named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotAPrincipal(String);

impl fmt::Display for NotAPrincipal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "\"{}\" names nobody: write uid: and a user's number (uid:1000), or cert: and the SHA-256 of a client \
             certificate in 64 hexadecimal digits",
            self.0
        )
    }
}

impl std::error::Error for NotAPrincipal {}

impl FromStr for Principal {
    type Err = NotAPrincipal;

    fn from_str(text: &str) -> Result<Self, NotAPrincipal> {
        let nobody = || NotAPrincipal(text.chars().filter(|c| !c.is_control()).take(80).collect());
        if let Some(uid) = text.strip_prefix("uid:") {
            // "+1" and "01" would give one user several names.
            let plain =
                uid == "0" || (!uid.starts_with('0') && uid.bytes().all(|byte| byte.is_ascii_digit()));
            return uid.parse().ok().filter(|_| plain).map(Self::User).ok_or_else(nobody);
        }
        let digits = text.strip_prefix("cert:").ok_or_else(nobody)?;
        let digest = crate::bytes::from_hex(digits).and_then(|bytes| bytes.try_into().ok());
        digest.map(Self::Certificate).ok_or_else(nobody)
    }
}

impl Serialize for Principal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Principal {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// A set of rights. Somebody can have several; which act needs which is told by `ingam-operator`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Everything.
    Administrator,
    /// Revokes certificates and blocks keys and names, and finds them.
    Revoker,
    /// Reads everything, personal data and records included, and changes nothing.
    Auditor,
    /// Sees accounts, orders and certificates, and no personal data.
    Support,
}

impl Role {
    /// All roles.
    pub const ALL: [Self; 4] = [Self::Administrator, Self::Revoker, Self::Auditor, Self::Support];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Administrator => "administrator",
            Self::Revoker => "revoker",
            Self::Auditor => "auditor",
            Self::Support => "support",
        }
    }

    /// The role of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.name() == name)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn principals_are_read_as_they_are_written() {
        for text in ["uid:0", "uid:1000", &format!("cert:{}", "0a".repeat(32))] {
            assert_eq!(text.parse::<Principal>().unwrap().to_string(), text);
        }
        for bad in ["", "root", "uid:", "uid:-1", "uid:+1", "uid:01", "uid:4294967296", "cert:0a"] {
            assert!(bad.parse::<Principal>().is_err(), "{bad}");
        }
    }

    #[test]
    fn roles_have_the_names_they_are_written_by() {
        for role in Role::ALL {
            assert_eq!(Role::from_name(role.name()), Some(role));
            assert_eq!(serde_json::to_value(role).unwrap(), role.name());
        }
    }
}
