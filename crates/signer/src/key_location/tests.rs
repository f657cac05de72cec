use proptest::prelude::*;

use super::*;

const MODULE: &str = "?module-path=/usr/lib/softhsm/libsofthsm2.so";

fn read(text: &str) -> KeyLocation {
    text.parse().unwrap()
}

fn complaint(text: &str) -> String {
    text.parse::<KeyLocation>().unwrap_err().to_string()
}

#[test]
fn what_has_no_scheme_is_a_path() {
    for path in ["keys/ecdsa.pem", "/srv/a key.pem", "./pkcs11:token=a"] {
        assert_eq!(read(path), KeyLocation::File(PathBuf::from(path)));
        assert_eq!(read(path).to_string(), path);
    }
    assert!(complaint("").contains("1 to 4096 bytes"));
}

#[test]
fn a_uri_says_where_the_key_is() {
    let text = "PKCS11:id=%01%ff;object=ec%20dsa;token=The%20token;serial=0a;model=M;slot-id=007;type=private?\
                pin-source=file:///etc/ingam/pin&module-path=/usr/lib/softhsm/libsofthsm2.so";
    let KeyLocation::Token(key) = read(text) else { panic!("a path") };
    assert_eq!(key.module(), Path::new("/usr/lib/softhsm/libsofthsm2.so"));
    assert_eq!(key.pin_file(), Some(Path::new("/etc/ingam/pin")));
    assert_eq!((key.object(), key.id()), (Some("ec dsa"), Some(&[1, 255][..])));
    let token = Token {
        label: Some("The token".to_owned()),
        serial: Some("0a".to_owned()),
        model: Some("M".to_owned()),
        manufacturer: None,
        slot_id: Some(7),
    };
    assert_eq!(key.token(), &token);
    assert_eq!(
        key.to_string(),
        "pkcs11:token=The%20token;serial=0a;model=M;slot-id=7;object=ec%20dsa;id=%01%FF?\
         module-path=/usr/lib/softhsm/libsofthsm2.so&pin-source=file:/etc/ingam/pin"
    );
}

#[test]
fn every_form_of_a_pins_file_is_read() {
    for source in ["file:/etc/pin", "file:///etc/pin", "/etc/pin", "file:%2Fetc%2Fpin"] {
        let KeyLocation::Token(key) = read(&format!("pkcs11:token=a;object=b{MODULE}&pin-source={source}"))
        else {
            panic!("a path")
        };
        assert_eq!(key.pin_file(), Some(Path::new("/etc/pin")), "{source}");
    }
}

#[test]
fn what_is_wrong_is_named_with_what_to_write() {
    for (text, part) in [
        ("pkcs11:", "which token"),
        ("pkcs11:object=a", "which token"),
        ("pkcs11:token=a", "which key"),
        ("pkcs11:token=a;object=b", "?module-path="),
        ("pkcs11:token=a;object=b?module-path=libsofthsm2.so", "absolute"),
        ("pkcs11:token=a;object=b?module-name=softhsm2", "give its path as module-path"),
        ("pkcs11:token=a;object=b?pin-value=12345678", "pin-source=file:/PATH"),
        ("pkcs11:token=a;object=b?pin-source=%7Ccommand", "absolute"),
        ("pkcs11:token=a;object=b?pin-source=file://host/pin", "this machine"),
        ("pkcs11:token=a;token=b;object=c", "'token' is there twice"),
        ("pkcs11:token=a;object=b;type=cert", "'private'"),
        ("pkcs11:token=a;object=b;library-version=3", "'library-version' is none of"),
        ("pkcs11:token=a;object=b;", "NAME=VALUE"),
        ("pkcs11:token=a b;object=c", "%XX"),
        ("pkcs11:token=a%2;object=c", "%XX"),
        ("pkcs11:token=%ff;object=c", "UTF-8"),
        ("pkcs11:token=;object=c", "1 to 32 bytes"),
        ("pkcs11:slot-id=-1;object=c", "a number"),
        ("pkcs11:slot-id=;object=c", "a number"),
        ("pkcs11:token=a;id=", "1 to 255 bytes"),
        ("pkcs11:token=a;object=b?colour=red", "neither module-path nor pin-source"),
    ] {
        let said = complaint(text);
        assert!(said.contains(part), "{text}: {said}");
        assert!(!said.contains("12345678"), "a PIN is repeated: {said}");
    }
}

fn some_text(bytes_max: usize) -> impl Strategy<Value = String> {
    "[^\\x00]{1,32}".prop_filter("too long", move |text| text.len() <= bytes_max)
}

prop_compose! {
    fn some_key()(
        label in some_text(TOKEN_BYTES_MAX),
        serial in proptest::option::of(some_text(SERIAL_BYTES_MAX)),
        manufacturer in proptest::option::of(some_text(TOKEN_BYTES_MAX)),
        slot_id in proptest::option::of(any::<u64>()),
        object in some_text(OBJECT_BYTES_MAX),
        id in proptest::option::of(proptest::collection::vec(any::<u8>(), 1..=OBJECT_BYTES_MAX)),
        module in some_text(OBJECT_BYTES_MAX),
        pin_file in proptest::option::of("[a-z %?&;]{1,20}"),
    ) -> TokenKey {
        TokenKey {
            module: PathBuf::from(format!("/{module}")),
            token: Token { label: Some(label), serial, manufacturer, model: None, slot_id },
            object: Some(object),
            id,
            pin_file: pin_file.map(|path| PathBuf::from(format!("/{path}"))),
        }
    }
}

proptest! {
    #[test]
    fn a_uri_says_the_same_when_it_is_read_again(key in some_key()) {
        let location = KeyLocation::Token(key);
        prop_assert_eq!(read(&location.to_string()), location);
    }

    #[test]
    fn no_text_breaks_the_reader(text in "(pkcs11:)?[a-z0-9=;?&%:/-]{0,80}|\\PC{0,80}") {
        if let Ok(location) = text.parse::<KeyLocation>() {
            prop_assert_eq!(read(&location.to_string()), location);
        }
    }
}
