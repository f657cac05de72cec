//! Serial numbers as people have them: typed, in a list, or in the certificates themselves.

use std::io::Read;
use std::path::Path;

use ingam_protocol::Serial;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

/// How large a file may be: a million lines.
const FILE_BYTES_MAX: u64 = 64 << 20;

/// Reads hexadecimal digits, also with colons, or behind `0x` or `serial=`, as other programs write them.
pub(crate) fn parse_serial(text: &str) -> Result<Serial, String> {
    let plain = text.trim();
    let plain = plain.strip_prefix("serial=").unwrap_or(plain);
    let plain = plain.strip_prefix("0x").or_else(|| plain.strip_prefix("0X")).unwrap_or(plain);
    let digits = plain.replace(':', "");
    let even = if digits.len() % 2 == 1 { format!("0{digits}") } else { digits };
    Serial::from_hex(&even).ok_or_else(|| {
        let shown: String = text.chars().filter(|character| !character.is_control()).take(60).collect();
        format!("\"{shown}\" is no serial number: it has at most 40 hexadecimal digits")
    })
}

/// What a file held.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    /// Serial numbers, each once, in the order of the file.
    pub(crate) serials: Vec<Serial>,
    /// How many certificates of CAs were passed over: chains hold them, and nobody means them.
    pub(crate) authorities: usize,
}

/// Reads a file of serial numbers, one on a line, with comments behind `#`; or of PEM certificates, with anything around
/// them. `-` is standard input.
pub(crate) fn read_file(path: &Path) -> Result<Found, String> {
    let named = |error: std::io::Error| format!("{} cannot be read: {error}", path.display());
    let bytes = read_limited(path, FILE_BYTES_MAX).map_err(named)?;
    let text = String::from_utf8(bytes).map_err(|_| {
        format!("{} is no text: it has to hold serial numbers or PEM certificates", path.display())
    })?;
    let found = parse_text(&text).map_err(|what| format!("{}: {what}", path.display()))?;
    if found.serials.is_empty() {
        return Err(format!("{} holds no serial number and no certificate of a subscriber", path.display()));
    }
    Ok(found)
}

/// A whole file, or standard input for `-`, up to a size.
pub(crate) fn read_limited(path: &Path, bytes_max: u64) -> std::io::Result<Vec<u8>> {
    let mut source: Box<dyn Read> = if path == Path::new("-") {
        Box::new(std::io::stdin())
    } else {
        Box::new(std::fs::File::open(path)?)
    };
    let mut bytes = Vec::new();
    source.by_ref().take(bytes_max + 1).read_to_end(&mut bytes)?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length <= bytes_max) {
        Ok(bytes)
    } else {
        Err(std::io::Error::other(format!("it has more than {bytes_max} bytes")))
    }
}

fn parse_text(text: &str) -> Result<Found, String> {
    let mut found = Found::default();
    let mut known = std::collections::HashSet::new();
    let mut add = |serial: Serial| {
        if known.insert(serial.clone()) {
            found.serials.push(serial);
        }
    };
    if text.contains("-----BEGIN ") {
        let mut authorities = 0;
        for (at, der) in CertificateDer::pem_slice_iter(text.as_bytes()).enumerate() {
            let der = der.map_err(|error| format!("certificate {}: {error}", at + 1))?;
            let unread = || format!("certificate {} cannot be read", at + 1);
            let (_, certificate) = X509Certificate::from_der(&der).map_err(|_| unread())?;
            if certificate.is_ca() {
                authorities += 1;
            } else {
                add(Serial::from_be_bytes(certificate.raw_serial()).ok_or_else(unread)?);
            }
        }
        found.authorities = authorities;
        return Ok(found);
    }
    for (at, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default().trim();
        if !line.is_empty() {
            add(parse_serial(line).map_err(|what| format!("line {}: {what}", at + 1))?);
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn serials(text: &str) -> Vec<String> {
        parse_text(text).unwrap().serials.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn lists_have_comments_and_other_programs_spellings() {
        let list = "# leaked\n4f0a\n\n4F:0B  # the second\nserial=4F0C\n 0x4f0d\n4f0a\nf0e\n";
        assert_eq!(serials(list), ["4f0a", "4f0b", "4f0c", "4f0d", "0f0e"]);
        assert_eq!(parse_text("4f\nnot hex\n").unwrap_err().split(':').next(), Some("line 2"));
        assert!(parse_serial(&"a".repeat(41)).is_err());
        assert!(parse_serial("00").is_err());
    }

    #[test]
    fn certificates_give_their_serials_and_chains_do_not_hurt() {
        let leaf = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(vec!["a.example".to_owned()]).unwrap();
        params.serial_number = Some(rcgen::SerialNumber::from(vec![0x4f, 1]));
        let certificate = params.self_signed(&leaf).unwrap().pem();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let authority = params.self_signed(&leaf).unwrap().pem();
        let found = parse_text(&format!("subject=x\n{certificate}\n{authority}")).unwrap();
        assert_eq!(found.serials, [Serial::from_hex("4f01").unwrap()]);
        assert_eq!(found.authorities, 1);
        let broken = certificate.replace("MII", "AAA");
        assert!(parse_text(&broken).is_err());
    }

    #[test]
    fn a_file_says_what_is_wrong_with_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("list");
        assert!(read_file(&path).unwrap_err().contains("cannot be read"));
        std::fs::write(&path, "# nothing\n").unwrap();
        assert!(read_file(&path).unwrap_err().contains("holds no serial number"));
        std::fs::write(&path, [0xff, 0xfe]).unwrap();
        assert!(read_file(&path).unwrap_err().contains("no text"));
        assert!(read_limited(&path, 1).unwrap_err().to_string().contains("more than 1 bytes"));
    }
}
