use ingam_protocol::Timestamp;
use ingam_protocol::finding::Level;
use toml::Table;

use super::*;
use crate::config::{DEVELOPMENT, Reading};

/// The keys of the errors in the development configuration with `text` laid over it.
fn with(text: &str) -> Vec<String> {
    let mut reading = Reading::of_text(toml::from_str(DEVELOPMENT).unwrap(), text);
    reading.examine(Timestamp::default());
    let errors = reading.into_findings().into_iter().filter(|finding| finding.level == Level::Error);
    errors.map(|finding| finding.key).collect()
}

/// R3: at most seven days in production; elsewhere, as long as somebody wants to try something out.
#[test]
fn requests_are_kept_for_seven_days_at_most_in_production() {
    let keeping = |environment: &str, keep_s: u64| {
        let text = format!("environment = \"{environment}\"\n[request_log]\nkeep_s = {keep_s}");
        with(&text).into_iter().filter(|key| key == "request_log.keep_s").count()
    };
    assert_eq!(keeping("production", 604_800), 0);
    assert_eq!(keeping("production", 604_801), 1);
    assert_eq!(keeping("staging", 604_801), 0);
    assert_eq!(keeping("staging", 60), 1);
}

/// A floor that is lowered, or a ceiling that is raised, stops production and is a warning elsewhere.
#[test]
fn the_schedule_holds_in_production() {
    let keeping = |environment: &str, setting: &str| {
        let text = format!("environment = \"{environment}\"\n[retention]\n{setting}");
        with(&text).into_iter().filter(|key| key.starts_with("retention.")).collect::<Vec<_>>()
    };
    assert_eq!(keeping("production", "issuance_days = 2561"), ["retention.issuance_days"]);
    assert_eq!(keeping("production", "working_days = 91"), ["retention.working_days"]);
    assert!(keeping("production", "issuance_days = 2562").is_empty());
    assert!(keeping("staging", "issuance_days = 2561").is_empty());
    assert!(keeping("development", "working_days = 91").is_empty());
    assert_eq!(keeping("staging", "preset = \"two-years\""), ["retention.statement_url"]);
    let two = "preset = \"two-years\"\nstatement_url = \"https://ca.example/privacy\"\nissuance_days = 732";
    assert!(keeping("production", two).is_empty());
}

#[test]
fn dangerous_values_are_refused() {
    for (text, key) in [
        ("environment = \"staging\"\n[listen]\ndns_management = []\nct_log = []", "listen.dns"),
        ("environment = \"staging\"\n[listen]\ndns = []\ndns_management = []", "listen.ct_log"),
        ("[listen]\nct_log = [\"192.0.2.1:8056\"]", "listen.ct_log"),
        ("environment = \"staging\"\n[listen]\ndns = []\nct_log = []", "listen.dns_management"),
        (
            "environment = \"staging\"\n[listen]\ndns = []\ndns_management = []\nct_log = []\n[store]\nengine = \"sled\"",
            "store.engine",
        ),
        ("[urls]\nacme = \"http://x\"", "urls.public_url"),
        ("[urls]\npublic_url = \"https://a.example/x\"", "urls.public_url"),
        ("[urls]\npublication = \"https://x\"", "urls.publication"),
        ("[profiles.classic]\nvalidity_s = 99999999999", "profiles.classic.validity_s"),
        ("[profiles.classic]\nbackdate_s = 172801", "profiles.classic.backdate_s"),
        ("[profiles.classic]\norder_lifetime_s = 59", "profiles.classic.order_lifetime_s"),
        ("[profiles.classic]\nnames_max = 101", "profiles.classic.names_max"),
        ("[profiles.classic]\ndescription = ''", "profiles.classic.description"),
        ("[profiles.Classic]\ndescription = 'a'\nissuer = 'rsa'\nvalidity_s = 3600", "profiles.Classic"),
        ("[issuance]\ndefault_profile = \"none\"", "issuance.default_profile"),
        ("[issuance]\nnames_refused = [\"*.example.org\"]", "issuance.names_refused"),
        ("[responder]\ncrl_validity_s = 0", "responder.crl_validity_s"),
        ("[limits]\nconnections_max = 9223372036854775807", "limits.connections_max"),
        ("[issuance]\nchecks_max = 9223372036854775807", "issuance.checks_max"),
        ("[limits]\nidle_timeout_s = 9223372036854775807", "limits.idle_timeout_s"),
        ("[listen]\nacme_plain = ['0.0.0.0:8080']", "listen.acme_plain"),
        ("[listen]\nacme_plain = ['127.0.0.1:14000']", "listen.acme_plain"),
        ("[proxies]\npublication = 'forwarded'", "proxies.trusted"),
        ("[proxies]\npublication_tls = 'forwarded'", "proxies.trusted"),
        ("[proxies]\ntrusted = ['proxy.example']", "proxies.trusted"),
        ("[proxies]\ntrusted = ['10.0.0.1/8']", "proxies.trusted"),
        ("[proxies]\ntrusted = ['0.0.0.0/0']", "proxies.trusted"),
        ("[proxies]\nacme = 'forwarded'", "proxies.trusted"),
        (
            "[listen]\npublication = ['0.0.0.0:80']\n[monitor]\ninterval_s = 60\n[proxies]\ntrusted = ['127.0.0.1']\npublication = 'proxy-protocol'",
            "monitor.interval_s",
        ),
        ("[proxies]\nacme = 'via'", "proxies.acme"),
        ("[tls]\nlook_interval_s = 0", "tls.look_interval_s"),
    ] {
        assert_eq!(with(text), [key], "{text}");
    }
}

#[test]
fn proxies_are_trusted_by_address_and_network() {
    let trusted = "[proxies]\ntrusted = ['192.0.2.7', '2001:db8::/32']\nacme = 'proxy-protocol'";
    assert_eq!(with(trusted), Vec::<String>::new());
    assert_eq!(with(&format!("[listen]\nacme_plain = ['0.0.0.0:8080']\n{trusted}")), Vec::<String>::new());
    assert_eq!(with("[listen]\nacme_plain = ['127.0.0.1:8080', '[::1]:8080']"), Vec::<String>::new());
}

#[test]
fn the_ca_issues_to_itself_by_a_private_profile_alone() {
    let own = |issue: &str, host: &str| {
        with(&format!(
            "[urls]\npublic_url = 'https://{host}'\n[profiles.classic]\npublic = false\n[tls]\nissue = {{ {issue} }}"
        ))
    };
    assert_eq!(own("profile = 'classic', names = ['b.example.org']", "acme.example"), Vec::<String>::new());
    assert_eq!(own("profile = 'classic', names = ['10.0.0.1']", "[::1]:14000"), Vec::<String>::new());
    assert_eq!(own("profile = 'classic-rsa'", "acme.example"), ["tls.issue.profile"]);
    assert_eq!(own("profile = 'none'", "acme.example"), ["tls.issue.profile"]);
    assert_eq!(own("", "acme.example"), ["tls.issue.profile"]);
    assert_eq!(own("profile = 'classic', names = ['b']", "acme.example"), ["tls.issue.names"]);
    assert_eq!(own("profile = 'classic'", "localhost"), ["urls.public_url"]);
    let both = "profile = 'classic' }\ncertificate = 'a.pem'\nkey = 'a.key'\nfurther = { x = 1";
    assert_eq!(own(both, "acme.example"), ["tls.certificate", "tls.key", "tls.further"]);
}

#[test]
fn records_that_stay_need_a_name_of_the_ca() {
    let persists = "[profiles.classic]\nchallenges = [\"http-01\", \"dns-persist-01\"]\n[validation]\ncaa_issuer_domains = ";
    assert_eq!(with(&format!("{persists}[\"ca.example\"]")), Vec::<String>::new());
    assert_eq!(with(&format!("{persists}[]")), ["validation.caa_issuer_domains"]);
    let many = format!("{persists}[{}]", "\"ca.example\",".repeat(11));
    assert_eq!(with(&many), ["validation.caa_issuer_domains"]);
}

#[test]
fn production_is_for_private_profiles_alone() {
    let production = "environment = \"production\"\n[listen]\ndns = []\ndns_management = []\nct_log = []\n\
                      [validation]\ndnssec = \"validate\"\n";
    let public = ["classic", "classic-rsa", "shortlived", "tlsserver"];
    assert_eq!(with(production), public.map(|name| format!("profiles.{name}.transparency")));
    let private: String = public.map(|name| format!("[profiles.{name}]\npublic = false\n")).concat();
    assert_eq!(with(&format!("{production}{private}")), Vec::<String>::new());
    let careless = production.replace("validate", "off");
    assert_eq!(
        with(&format!("{careless}{private}")),
        Vec::<String>::new(),
        "a network may have a root of its own"
    );
}

#[test]
fn a_new_profile_is_told_all_that_it_lacks() {
    let lacks = ["description", "issuer", "validity_s"].map(|key| format!("profiles.new.{key}"));
    assert_eq!(with("[profiles.new]"), lacks);
}

#[test]
fn nobody_is_told_of_profiles_without_issuers() {
    let text = DEVELOPMENT.replace("ecdsa = \"ecdsa-p256\"\nrsa = \"rsa-2048\"", "");
    let mut reading = Reading::of_text(Table::new(), &text);
    reading.config.hierarchy.issuers.clear();
    reading.examine(Timestamp::default());
    let keys: Vec<String> = reading.into_findings().into_iter().map(|finding| finding.key).collect();
    assert_eq!(keys, ["hierarchy.issuers"]);
}

#[test]
fn urls_are_scheme_host_and_port() {
    for good in ["ca.example", "ca.example:14000", "ca.example/", "[::1]:14000", "[::1]", "192.0.2.1:80"] {
        assert!(authority(good).is_some(), "{good}");
    }
    let long = "a".repeat(254);
    for bad in [
        "",
        "/",
        ":80",
        "ca.example:",
        "ca.example:65536",
        "ca.example/x",
        "a b",
        "me@ca.example",
        "a?b",
        &long,
    ] {
        assert!(authority(bad).is_none(), "{bad}");
    }
    assert_eq!(host("https://[::1]:443/").as_deref(), Some("::1"));
    assert_eq!(host("https://ca.example:443").as_deref(), Some("ca.example"));
}

#[test]
fn listeners_do_not_share_an_address() {
    let overlaps = |one: &str, other: &str| overlap(one.parse().unwrap(), other.parse().unwrap());
    assert!(overlaps("127.0.0.1:80", "127.0.0.1:80"));
    assert!(overlaps("0.0.0.0:80", "127.0.0.1:80") && overlaps("[::1]:80", "[::]:80"));
    assert!(!overlaps("0.0.0.0:80", "[::]:80") && !overlaps("127.0.0.1:80", "127.0.0.2:80"));
    assert!(!overlaps("127.0.0.1:0", "127.0.0.1:0") && !overlaps("0.0.0.0:80", "0.0.0.0:81"));
}
