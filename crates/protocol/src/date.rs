//! Dates as HTTP writes them (RFC 9110, section 5.6.7).

use crate::time::Timestamp;

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// The IMF-fixdate of a moment, in whole seconds: `Sat, 21 Nov 2026 10:00:00 GMT`.
pub fn imf_fixdate(moment: Timestamp) -> String {
    let at = moment.to_date_time();
    let weekday = at.weekday().to_string();
    let month = MONTHS.get(usize::from(u8::from(at.month())) - 1).copied().unwrap_or_default();
    format!(
        "{}, {:02} {} {:04} {:02}:{:02}:{:02} GMT",
        weekday.get(..3).unwrap_or_default(),
        at.day(),
        month,
        at.year(),
        at.hour(),
        at.minute(),
        at.second()
    )
}

/// Reads an IMF-fixdate; `None` for anything else, the obsolete forms too. The weekday is not looked at.
pub fn parse_imf_fixdate(text: &str) -> Option<Timestamp> {
    let (_, rest) = text.split_once(", ")?;
    let mut fields = rest.split(' ');
    let (day, month, year) = (fields.next()?, fields.next()?, fields.next()?);
    let (time, zone) = (fields.next()?, fields.next()?);
    if zone != "GMT" || fields.next().is_some() {
        return None;
    }
    let month = MONTHS.iter().position(|name| *name == month)? + 1;
    Timestamp::from_rfc3339(&format!("{year}-{month:02}-{day}T{time}Z"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_read_as_they_are_written() {
        for seconds in [0, 951_782_400, 1_795_255_200, 2_524_607_999] {
            let moment = Timestamp::from_unix_s(seconds);
            assert_eq!(parse_imf_fixdate(&imf_fixdate(moment)), Some(moment));
        }
        assert_eq!(imf_fixdate(Timestamp::from_unix_s(1_795_255_200)), "Sat, 21 Nov 2026 10:00:00 GMT");
    }

    #[test]
    fn other_dates_are_not_read() {
        for text in ["", "Sat, 21 Nov 2026 10:00:00 UTC", "Saturday, 21-Nov-26 10:00:00 GMT", "Sat, 21 Nov"] {
            assert_eq!(parse_imf_fixdate(text), None, "{text}");
        }
    }
}
