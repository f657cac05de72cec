//! Reading request targets. Paths are taken as they came: base64 has slashes of its own, and whoever merges, decodes
//! or cleans them before this breaks requests.

use ingam_protocol::Shard;

/// What a path asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Route<'a> {
    /// OCSP, with the encoded request; a request by POST has none.
    Ocsp(&'a str),
    /// The CRL of the issuer with this name, of a shard or of what belongs to none.
    Crl(&'a str, Option<Shard>),
    /// Where all CRLs of the issuer with this name are.
    CrlUrls(&'a str),
    /// The certificate of the issuer with this name.
    Issuer(&'a str),
    /// The bundle of roots.
    Roots,
    /// A file of answers for other responders, or their manifest.
    Answers(&'a str),
    /// The privacy page, in one of its forms.
    Privacy,
    /// A part of the log of records: what follows `/log/`.
    Log(&'a str),
    /// Nothing is there.
    Nothing,
}

/// Finds what a raw path asks for. One slash too many at its beginning is forgiven.
pub(super) fn route(path: &str) -> Route<'_> {
    let path = path.strip_prefix("//").or_else(|| path.strip_prefix('/')).unwrap_or(path);
    if path == "ocsp" {
        return Route::Ocsp("");
    }
    if let Some(encoded) = path.strip_prefix("ocsp/") {
        return Route::Ocsp(encoded);
    }
    if let Some(file) = path.strip_prefix("answers/") {
        return Route::Answers(file);
    }
    if let Some(part) = path.strip_prefix("log/") {
        return Route::Log(part);
    }
    if path == "roots.pem" {
        return Route::Roots;
    }
    if path == "privacy" || path.starts_with("privacy.") {
        return Route::Privacy;
    }
    let crl = path.strip_prefix("crl/").and_then(crl);
    let issuer =
        || path.strip_prefix("issuer/").and_then(|name| name.strip_suffix(".crt")).map(Route::Issuer);
    crl.or_else(issuer).unwrap_or(Route::Nothing)
}

/// What follows `/crl/` in a path: `NAME.crl`, `NAME/N.crl` or `NAME.json`.
fn crl(rest: &str) -> Option<Route<'_>> {
    if let Some(issuer) = rest.strip_suffix(".json") {
        return Some(Route::CrlUrls(issuer));
    }
    let name = rest.strip_suffix(".crl")?;
    let Some((issuer, number)) = name.split_once('/') else { return Some(Route::Crl(name, None)) };
    // One way to write each number: caches must not be filled with others.
    let shard = number.parse().map(Shard).ok().filter(|shard| shard.to_string() == number)?;
    Some(Route::Crl(issuer, Some(shard)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_lead_where_they_say() {
        assert_eq!(route("/ocsp"), Route::Ocsp(""));
        assert_eq!(route("/ocsp/"), Route::Ocsp(""));
        assert_eq!(route("//ocsp/a/b//c"), Route::Ocsp("a/b//c"));
        assert_eq!(route("/ocsp//MA=="), Route::Ocsp("/MA=="));
        assert_eq!(route("/crl/r1.crl"), Route::Crl("r1", None));
        assert_eq!(route("/crl/r1/0.crl"), Route::Crl("r1", Some(Shard(0))));
        assert_eq!(route("/crl/r1/1023.crl"), Route::Crl("r1", Some(Shard(1023))));
        assert_eq!(route("/crl/r1.json"), Route::CrlUrls("r1"));
        for nowhere in
            ["/crl/r1/.crl", "/crl/r1/00.crl", "/crl/r1/+1.crl", "/crl/r1/70000.crl", "/crl/r1/1/2.crl"]
        {
            assert_eq!(route(nowhere), Route::Nothing, "{nowhere}");
        }
        assert_eq!(route("/issuer/r1.crt"), Route::Issuer("r1"));
        assert_eq!(route("/roots.pem"), Route::Roots);
        for page in ["/privacy", "/privacy.json", "/privacy.ko"] {
            assert_eq!(route(page), Route::Privacy);
        }
        assert_eq!(route("/answers/manifest"), Route::Answers("manifest"));
        assert_eq!(route("/log/tile/0/x001/000"), Route::Log("tile/0/x001/000"));
        for nowhere in [
            "/",
            "",
            "*",
            "/ocspx",
            "/crl/",
            "/crl/r1",
            "/issuer/r1.crl",
            "///ocsp/",
            "/OCSP",
            "/privacy/report",
        ] {
            assert_eq!(route(nowhere), Route::Nothing, "{nowhere}");
        }
    }
}
