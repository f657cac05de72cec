//! What a PromQL expression asks for: its metrics, the labels that it picks them by, and the labels that it groups by.
//!
//! No parser: promtool says whether an expression is right. This finds names, so that a test can look for them.

/// A metric in an expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selector {
    /// The metric's name.
    pub metric: String,
    /// Label, operator (`=`, `!=`, `=~`, `!~`) and value.
    pub matchers: Vec<(String, String, String)>,
}

/// What an expression asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Asked {
    /// Its metrics whose names begin with `ingam_`.
    pub selectors: Vec<Selector>,
    /// Every label in `by`, `without`, `on`, `ignoring` and the like.
    pub grouped_by: Vec<String>,
}

const GROUPING: [&str; 6] = ["by", "without", "on", "ignoring", "group_left", "group_right"];

/// Reads an expression; fails the test if braces or quotes are left open.
#[track_caller]
pub fn read(expression: &str) -> Asked {
    let mut asked = Asked::default();
    let mut rest = expression;
    while let Some(first) = rest.chars().next() {
        if is_name(first) && !first.is_ascii_digit() {
            let (word, behind) = split_name(rest);
            rest = behind.trim_start();
            if GROUPING.contains(&word) && rest.starts_with('(') {
                let (labels, behind) = rest[1..].split_once(')').expect("a closed list of labels");
                asked.grouped_by.extend(
                    labels.split(',').map(|label| label.trim().to_owned()).filter(|label| !label.is_empty()),
                );
                rest = behind;
            } else if word.starts_with("ingam_") {
                let mut selector = Selector { metric: word.to_owned(), matchers: Vec::new() };
                if let Some(inside) = rest.strip_prefix('{') {
                    (selector.matchers, rest) = matchers(inside);
                }
                asked.selectors.push(selector);
            }
        } else if first == '"' {
            rest = quoted(rest).1;
        } else if let Some(inside) = rest.strip_prefix('{') {
            rest = matchers(inside).1;
        } else if first.is_ascii_digit() {
            // A number with its unit, as in `[5m]`, is no name.
            rest = rest.trim_start_matches(|letter: char| letter.is_ascii_alphanumeric() || letter == '.');
        } else {
            rest = &rest[first.len_utf8()..];
        }
    }
    asked
}

/// Reads `a="b", c!="d"}` and gives what is behind the brace.
fn matchers(mut rest: &str) -> (Vec<(String, String, String)>, &str) {
    let mut found = Vec::new();
    loop {
        rest = rest.trim_start_matches([' ', ',', '\n']);
        if let Some(behind) = rest.strip_prefix('}') {
            return (found, behind);
        }
        let (label, behind) = split_name(rest);
        assert!(!label.is_empty(), "a label in {rest:?}");
        let operator: String =
            behind.trim_start().chars().take_while(|letter| "=!~".contains(*letter)).collect();
        let (value, behind) = quoted(behind.trim_start()[operator.len()..].trim_start());
        found.push((label.to_owned(), operator, value));
        rest = behind;
    }
}

/// A text in double quotes, and what is behind it. No expression of ours escapes anything.
fn quoted(rest: &str) -> (String, &str) {
    let (text, behind) = rest.strip_prefix('"').and_then(|rest| rest.split_once('"')).expect("a quoted text");
    (text.to_owned(), behind)
}

fn is_name(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || letter == '_' || letter == ':'
}

fn split_name(text: &str) -> (&str, &str) {
    text.split_at(text.find(|letter| !is_name(letter)).unwrap_or(text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_where_they_are() {
        let asked = read(
            "histogram_quantile(0.99, sum by (route, le) (rate(ingam_a_bucket{x=\"ingam_b\", y!~\"c|d\"}[5m])))\n > \
             on (instance) ingam_e{} * 3e5 and up{job=\"ingam_f\"} == 1",
        );
        let matchers = [("x", "=", "ingam_b"), ("y", "!~", "c|d")];
        let selectors = [
            Selector {
                metric: "ingam_a_bucket".into(),
                matchers: matchers.map(|(a, b, c)| (a.into(), b.into(), c.into())).to_vec(),
            },
            Selector { metric: "ingam_e".into(), matchers: Vec::new() },
        ];
        assert_eq!(
            asked,
            Asked {
                selectors: selectors.to_vec(),
                grouped_by: ["route", "le", "instance"].map(String::from).to_vec()
            }
        );
    }
}
