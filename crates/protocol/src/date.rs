//! Dates as HTTP writes them (RFC 9110, section 5.6.7).

use crate::time::Timestamp;

const WEEKDAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// The IMF-fixdate of a moment, in whole seconds: `Sat, 21 Nov 2026 10:00:00 GMT`.
pub fn imf_fixdate(moment: Timestamp) -> String {
    let at = moment.to_date_time();
    let mut text = String::with_capacity(29);
    let weekday = usize::from(at.weekday().number_days_from_monday());
    text.push_str(WEEKDAYS.get(weekday).copied().unwrap_or_default());
    push_digits(&mut text, ", ", u32::from(at.day()));
    text.push(' ');
    text.push_str(MONTHS.get(usize::from(u8::from(at.month())) - 1).copied().unwrap_or_default());
    let year = at.year().unsigned_abs();
    push_digits(&mut text, " ", year / 100);
    push_digits(&mut text, "", year);
    push_digits(&mut text, " ", u32::from(at.hour()));
    push_digits(&mut text, ":", u32::from(at.minute()));
    push_digits(&mut text, ":", u32::from(at.second()));
    text.push_str(" GMT");
    text
}

/// The last two digits of a number, behind what comes before them: each answer has dates, and `format!` takes ten times as long.
fn push_digits(text: &mut String, before: &str, number: u32) {
    text.push_str(before);
    for digit in [number / 10 % 10, number % 10] {
        text.push(char::from_digit(digit, 10).unwrap_or('0'));
    }
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
        let at = |day: u64| imf_fixdate(Timestamp::from_unix_s(1_795_255_200 + day * 86_400));
        for (day, text) in
            ["Sat, 21", "Sun, 22", "Mon, 23", "Tue, 24", "Wed, 25", "Thu, 26", "Fri, 27"].iter().enumerate()
        {
            assert!(at(day as u64).starts_with(text));
        }
    }

    #[test]
    fn other_dates_are_not_read() {
        for text in ["", "Sat, 21 Nov 2026 10:00:00 UTC", "Saturday, 21-Nov-26 10:00:00 GMT", "Sat, 21 Nov"] {
            assert_eq!(parse_imf_fixdate(text), None, "{text}");
        }
    }
}
