//! How often the power is cut.

use std::ops::Range;

/// The seeds of a test that cuts the power, or lets the disk fail, `each` times or more with every seed: `usual` of them, or as
/// many as `INGAM_CUTS` cuts take; from `INGAM_SEED` on.
///
/// # Panics
/// If one of these variables is no number: a test that did something else than what was asked for would prove nothing.
pub fn seeds(usual: u64, each: u64) -> Range<u64> {
    let first = number("INGAM_SEED").unwrap_or(0);
    let count = number("INGAM_CUTS").map_or(usual, |cuts| cuts.div_ceil(each.max(1)).max(1));
    first..first.saturating_add(count)
}

#[allow(clippy::panic, reason = "only tests ask, and they end by panicking")]
fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    match text.parse() {
        Ok(number) => Some(number),
        Err(error) => panic!("{name} is {text:?}: {error}"),
    }
}
