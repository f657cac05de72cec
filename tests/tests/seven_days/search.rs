//! The addresses and the user agent that are planted, in all forms in which they could be written.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use ingam_tests::planted::{self, Finding, has};

/// What the planted client calls itself.
pub const AGENT: &str = "PlantedClient/7.7 (somebody)";
/// From where it asks without a proxy: an address of this machine that nothing else uses.
pub const DIRECT: [u8; 4] = [127, 77, 66, 55];
/// From where it asks a proxy.
pub const PROXIED_V4: &str = "203.0.113.77";
/// The same by IPv6.
pub const PROXIED_V6: &str = "2001:db8:77:66:55:44:33:22";

/// What is looked for.
pub struct Planted {
    /// Every form.
    pub forms: planted::Planted,
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
        Self { forms: planted::Planted::of(forms), own }
    }

    /// Other bytes to look for.
    pub fn of<const N: usize>(forms: [(String, Vec<u8>); N]) -> Self {
        Self { forms: planted::Planted::of(forms), own: Vec::new() }
    }

    /// What of the planted values the request log's own form has not.
    pub fn missing(&self, bytes: &[u8]) -> Vec<String> {
        let missing = self.own.iter().filter(|(_, form)| !has(bytes, form));
        missing.map(|(name, _)| name.clone()).collect()
    }

    /// What is in these bytes of a file.
    pub fn found_in(&self, path: &Path, bytes: &[u8]) -> Vec<Finding> {
        self.forms.found_in(path, bytes)
    }

    /// What is in any file below a folder, or in its name.
    pub fn found_below(&self, folder: &Path) -> Vec<Finding> {
        self.forms.found_below(folder)
    }
}

#[test]
fn addresses_have_many_forms() {
    assert!(Planted::new().forms.forms().len() > 20);
}
