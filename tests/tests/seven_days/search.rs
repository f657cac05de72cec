//! What is planted, in all forms in which it could be written, and the search for it in every byte of every file.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;

/// What the planted client calls itself.
pub const AGENT: &str = "PlantedClient/7.7 (somebody)";
/// From where it asks without a proxy: an address of this machine that nothing else uses.
pub const DIRECT: [u8; 4] = [127, 77, 66, 55];
/// From where it asks a proxy.
pub const PROXIED_V4: &str = "203.0.113.77";
/// The same by IPv6.
pub const PROXIED_V6: &str = "2001:db8:77:66:55:44:33:22";

/// Something planted that was found: its form, and the file.
pub type Finding = (String, PathBuf);

/// What is looked for.
pub struct Planted {
    forms: Vec<(String, Vec<u8>)>,
    /// The forms in which the request log itself has it, once it is in clear.
    own: Vec<(String, Vec<u8>)>,
}

impl Planted {
    /// The planted addresses and the user agent.
    pub fn new() -> Self {
        let v6: Ipv6Addr = PROXIED_V6.parse().expect("an address");
        let proxied: Ipv4Addr = PROXIED_V4.parse().expect("an address");
        let own = vec![
            ("user agent".to_owned(), AGENT.into()),
            ("direct, 4 bytes".to_owned(), DIRECT.into()),
            ("proxied, 4 bytes".to_owned(), proxied.octets().into()),
            ("IPv6, 16 bytes".to_owned(), v6.octets().into()),
        ];
        let mut forms = own.clone();
        let mut add = |name: &str, bytes: Vec<u8>| forms.push((name.to_owned(), bytes));
        for address in [Ipv4Addr::from(DIRECT), proxied] {
            let octets = address.octets();
            add("text", address.to_string().into());
            add("reversed bytes", octets.into_iter().rev().collect());
            add("list of numbers", octets.map(|octet| octet.to_string()).join(",").into());
            add("a number in decimal", u32::from(address).to_string().into());
            add("hexadecimal", format!("{:08x}", u32::from(address)).into());
            add("hexadecimal, large", format!("{:08X}", u32::from(address)).into());
            add(
                "name for reverse look-ups",
                octets.map(|o| o.to_string()).into_iter().rev().collect::<Vec<_>>().join(".").into(),
            );
        }
        add("IPv6, text", PROXIED_V6.into());
        let long = v6.segments().map(|segment| format!("{segment:04x}"));
        add("IPv6, long text", long.join(":").into());
        add("IPv6, hexadecimal", long.concat().into());
        add("IPv6, a number in decimal", u128::from(v6).to_string().into());
        add("IPv6, list of numbers", v6.octets().map(|octet| octet.to_string()).join(",").into());
        add("IPv6, reversed bytes", v6.octets().into_iter().rev().collect());
        add("IPv6, base64", STANDARD_NO_PAD.encode(v6.octets()).into());
        add("user agent, base64", STANDARD_NO_PAD.encode(AGENT).into());
        add(
            "user agent, hexadecimal",
            AGENT.bytes().map(|byte| format!("{byte:02x}")).collect::<String>().into(),
        );
        Self { forms, own }
    }

    /// Other bytes to look for.
    pub fn of<const N: usize>(forms: [(String, Vec<u8>); N]) -> Self {
        Self { forms: forms.to_vec(), own: Vec::new() }
    }

    /// What of the planted values the request log's own form has not.
    pub fn missing(&self, bytes: &[u8]) -> Vec<String> {
        let missing = self.own.iter().filter(|(_, form)| !has(bytes, form));
        missing.map(|(name, _)| name.clone()).collect()
    }

    /// What is in these bytes of a file.
    pub fn found_in(&self, path: &Path, bytes: &[u8]) -> Vec<Finding> {
        let found = self.forms.iter().filter(|(_, form)| has(bytes, form));
        found.map(|(name, _)| (name.clone(), path.to_owned())).collect()
    }

    /// What is in any file below a folder, or in its name.
    pub fn found_below(&self, folder: &Path) -> Vec<Finding> {
        let mut found = Vec::new();
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            found.extend(self.found_in(&path, path.file_name().expect("a name").as_encoded_bytes()));
            if path.is_dir() {
                found.extend(self.found_below(&path));
            } else if path.is_file() {
                match std::fs::read(&path) {
                    Ok(bytes) => found.extend(self.found_in(&path, &bytes)),
                    // It went while the folder was read.
                    Err(error) => {
                        assert_eq!(error.kind(), std::io::ErrorKind::NotFound, "{}", path.display())
                    }
                }
            }
        }
        found
    }
}

fn has(bytes: &[u8], form: &[u8]) -> bool {
    memchr::memmem::find(bytes, form).is_some()
}

#[test]
fn each_form_is_found_wherever_it_is() {
    let planted = Planted::new();
    assert!(planted.forms.len() > 20);
    for (name, form) in &planted.forms {
        let folder = tempfile::tempdir().expect("a folder");
        let below = folder.path().join("a/b");
        std::fs::create_dir_all(&below).expect("a writable folder");
        std::fs::write(below.join("file"), [&[7; 100], form.as_slice(), &[8; 10]].concat()).expect("a file");
        let found = planted.found_below(folder.path());
        assert!(found.iter().any(|(found, _)| found == name), "{name}: {found:?}");
        std::fs::remove_file(below.join("file")).expect("it is there");
        assert_eq!(planted.found_below(folder.path()), []);
    }
}
