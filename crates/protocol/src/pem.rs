//! PEM (RFC 7468): certificates as text.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// The textual encoding of a certificate (RFC 7468, section 5), with a line end behind it.
pub fn certificate(der: &[u8]) -> String {
    let encoded = STANDARD.encode(der);
    let mut text = String::with_capacity(encoded.len() + encoded.len() / 64 + 64);
    text.push_str("-----BEGIN CERTIFICATE-----\n");
    let mut rest = encoded.as_str();
    while !rest.is_empty() {
        // Base64 is ASCII: every index is a boundary.
        let (line, after) = rest.split_at_checked(64).unwrap_or((rest, ""));
        text.push_str(line);
        text.push('\n');
        rest = after;
    }
    text.push_str("-----END CERTIFICATE-----\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_have_64_characters() {
        let text = certificate(&[0; 49]);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 4);
        assert_eq!(lines[1].len(), 64);
        assert_eq!(lines[2].len(), 4);
        assert!(text.ends_with("-----END CERTIFICATE-----\n"));
    }

    #[test]
    fn another_reader_reads_it() {
        let der = rcgen::generate_simple_self_signed(["a.example".to_owned()]).unwrap().cert.der().to_vec();
        let (_, read) = x509_parser::pem::parse_x509_pem(certificate(&der).as_bytes()).unwrap();
        assert_eq!(read.contents, der);
    }
}
