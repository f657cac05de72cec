//! How nginx has to give out the files of an export.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use ingam_protocol::Timestamp;
use ingam_protocol::date::imf_fixdate;

use super::folder::Listed;

/// The file in the folder, to be included in a `server` block.
pub(super) const FILE: &str = "nginx.conf";

/// How long caches may keep an answer at most, a CRL, and a CA's certificate.
const ANSWER_AGE_MAX: Duration = Duration::from_secs(6 * 60 * 60);
const LIST_AGE_MAX: Duration = Duration::from_secs(5 * 60);
const CERTIFICATE_AGE_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// Files that are given out alike.
struct Kind {
    /// Their folder.
    folder: &'static str,
    content_type: &'static str,
    age_max: Duration,
}

const KINDS: [Kind; 3] = [
    Kind { folder: "ocsp", content_type: "application/ocsp-response", age_max: ANSWER_AGE_MAX },
    Kind { folder: "crl", content_type: "application/pkix-crl", age_max: LIST_AGE_MAX },
    Kind { folder: "issuer", content_type: "application/pkix-cert", age_max: CERTIFICATE_AGE_MAX },
];

/// Whether nginx takes a path in its configuration as it is.
pub(super) fn can_name(path: &Path) -> bool {
    let is_plain = |character: char| !character.is_control() && !"\"'$;{}\\".contains(character);
    path.to_str().is_some_and(|path| path.chars().all(is_plain))
}

/// The file's text. Answers of one kind have the same headers, so those that hold for the first of them to end.
pub(super) fn snippet<'a>(
    root: &Path,
    base: &str,
    now: Timestamp,
    files: impl Iterator<Item = &'a Listed> + Clone,
) -> String {
    let root = root.display();
    let mut text = format!(
        "# Made by `ingam admin ocsp export`, and made anew by the next: have nginx reload after each. To be included in the\n\
         # `server` block for http://HOST{base}.\n\
         # Base64 has slashes that come together.\n\
         merge_slashes off;\n"
    );
    for Kind { folder, content_type, age_max } in KINDS {
        let own = files.clone().filter(|listed| listed.file.starts_with(folder));
        let first = own.filter_map(|listed| listed.next_update).min();
        let age = first.map_or(age_max, |first| first.since(now).min(age_max)).as_secs();
        let expires = first.map_or_else(String::new, |first| {
            format!("    add_header Expires \"{}\";\n", imf_fixdate(first))
        });
        // Writing into a String cannot fail.
        let _ = write!(
            text,
            "location ^~ {base}/{folder}/ {{\n\
             \x20   alias \"{root}/{folder}/\";\n\
             \x20   types {{ application/json json; }}\n\
             \x20   default_type {content_type};\n\
             \x20   add_header Cache-Control \"max-age={age}, public, no-transform, must-revalidate\";\n\
             {expires}\
             }}\n"
        );
    }
    let _ = write!(
        text,
        "location = {base}/roots.pem {{\n\
         \x20   alias \"{root}/roots.pem\";\n\
         \x20   types {{ }}\n\
         \x20   default_type application/pem-certificate-chain;\n\
         }}\n"
    );
    text
}
