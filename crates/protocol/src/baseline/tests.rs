use std::time::Duration;

use super::*;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn moment(day: &str) -> Timestamp {
    Timestamp::from_rfc3339(&format!("{day}T00:00:00Z")).unwrap()
}

fn longer_than(days: u32) -> impl Fn(RuleValue) -> bool {
    move |value| value.longest().is_some_and(|longest| longest < days * DAY)
}

fn dates(rule: Rule) -> Vec<(String, String)> {
    rule.values.iter().map(|dated| (dated.day(), dated.value.to_string())).collect()
}

#[test]
fn limits_have_the_dates_of_the_requirements() {
    let days = |last: &str| {
        [("2020-09-01", "398"), ("2026-03-15", "200"), ("2027-03-15", "100"), ("2029-03-15", last)]
            .map(|(day, most)| (day.to_owned(), format!("at most {most} days")))
    };
    assert_eq!(dates(CERTIFICATE_VALIDITY), days("47"));
    assert_eq!(dates(VALIDATION_REUSE), days("10"));
    let remotes = [("2025-09-15", 2), ("2026-03-15", 3), ("2026-06-15", 4), ("2026-12-15", 5)];
    assert_eq!(dates(REMOTES), remotes.map(|(day, count)| (day.to_owned(), format!("at least {count}"))));
    assert_eq!(dates(REGISTRIES), [("2026-03-15".to_owned(), "at least 2".to_owned())]);
}

#[test]
fn every_value_holds_from_a_midnight_and_the_newest_comes_last() {
    for rule in RULES {
        assert!(!rule.values.is_empty() && !rule.kept.is_empty() && !rule.source.is_empty(), "{rule:?}");
        assert!(rule.values.iter().is_sorted_by(|one, next| one.from < next.from), "{rule:?}");
        for from in rule.values.iter().filter_map(|dated| dated.from.map(|from| (from, dated.day()))) {
            assert_eq!(from.0, moment(&from.1), "{rule:?}");
        }
    }
}

#[test]
fn a_limit_holds_from_its_first_second() {
    let rule = CERTIFICATE_VALIDITY;
    let change = moment("2029-03-15");
    assert_eq!(rule.longest_at(change), Some(47 * DAY));
    assert_eq!(rule.longest_at(change.minus(Duration::from_secs(1))), Some(100 * DAY));
    assert_eq!(rule.at(moment("2020-08-31")), None);
    assert_eq!(rule.broken(change, change, longer_than(47)), []);
    assert_eq!(rule.broken(change, change, longer_than(48))[0].value, RuleValue::DaysMax(47));
    let change = moment("2026-12-15");
    assert_eq!(REMOTES.least_at(change.minus(Duration::from_secs(1))), 4);
    assert_eq!(REMOTES.least_at(change), 5);
    assert_eq!(REMOTES.least_at(moment("2025-09-14")), 0);
}

#[test]
fn what_comes_soon_is_told() {
    let (rule, now) = (CERTIFICATE_VALIDITY, moment("2026-11-28"));
    let broken = |days: u32, until: &str| -> Vec<String> {
        rule.broken(now, moment(until), longer_than(days)).into_iter().map(Dated::day).collect()
    };
    assert_eq!(broken(398, "2026-11-28"), ["2026-03-15"]);
    assert_eq!(broken(398, "2027-11-28"), ["2026-03-15", "2027-03-15"]);
    assert_eq!(broken(200, "2026-11-28"), Vec::<String>::new());
    assert_eq!(broken(200, "2027-11-28"), ["2027-03-15"]);
    assert_eq!(broken(90, "2027-11-28"), Vec::<String>::new());
    assert_eq!(broken(90, "2030-01-01"), ["2029-03-15"]);
}

#[test]
fn what_was_shown_before_a_change_ends_with_it_and_not_before() {
    let ends = |begun: &str| VALIDATION_REUSE.ends(moment(begun)).unwrap();
    // 200 days are over before the next change.
    assert_eq!(ends("2026-04-01"), moment("2026-04-01").plus(200 * DAY));
    // 200 days would go on beyond it, and 100 are over by then: it ends with the change.
    assert_eq!(ends("2026-11-28"), moment("2027-03-15"));
    // 100 days from the beginning, which come after the change.
    assert_eq!(ends("2027-03-01"), moment("2027-03-01").plus(100 * DAY));
    assert_eq!(ends("2029-03-14"), moment("2029-03-14").plus(10 * DAY));
    assert_eq!(ends("2029-01-01"), moment("2029-03-15"));
    assert_eq!(PERSISTENT_REUSE.ends(moment("2026-11-28")), Some(moment("2026-12-08")));
    assert_eq!(REMOTES.ends(moment("2026-11-28")), None);
}

/// The table as operators read it; the page has it word for word.
#[test]
fn the_page_tells_what_the_table_has() {
    let rows = RULES.iter().map(|rule| {
        let values = rule.values.iter().map(|dated| match dated.day() {
            day if day.is_empty() => dated.value.to_string(),
            day => format!("{} from {day}", dated.value),
        });
        let values: Vec<String> = values.collect();
        format!("| {} | {} | {} | {} |", rule.about, values.join("; "), rule.source, rule.kept)
    });
    let table: Vec<String> = rows.collect();
    let page = include_str!("../../../../docs/operations/rules.md");
    assert!(page.contains(&table.join("\n")), "docs/operations/rules.md has to hold\n{}", table.join("\n"));
}
