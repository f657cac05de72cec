use super::*;

fn paper(width: usize) -> Paper {
    Paper { width: Some(width), ..Paper::default() }
}

fn sample() -> Table {
    let mut table = Table::new(&[
        ("ID", Shape::Whole),
        ("N", Shape::Number),
        ("EMPTY", Shape::Text),
        ("NAMES", Shape::Text),
    ]);
    table.row([
        "AZqkAbCdEfGhIjKlMnOpQr".into(),
        7_u64.into(),
        "".into(),
        "www.example.org, example.org".into(),
    ]);
    table.row(["AZqkAbCdEfGhIjKlMnOpQs".into(), 12_u64.into(), "".into(), "a.example".into()]);
    table
}

#[test]
fn a_row_is_a_line_where_there_is_room() {
    let wide = "ID                       N  NAMES\n\
                AZqkAbCdEfGhIjKlMnOpQr   7  www.example.org, example.org\n\
                AZqkAbCdEfGhIjKlMnOpQs  12  a.example\n";
    assert_eq!(sample().render(&paper(200)), wide);
    assert_eq!(sample().render(&Paper::default()), wide);
}

#[test]
fn text_is_broken_before_rows_are() {
    assert_eq!(
        sample().render(&paper(52)),
        "ID                       N  NAMES\n\
         AZqkAbCdEfGhIjKlMnOpQr   7  www.example.org,\n\
         \x20                           example.org\n\
         AZqkAbCdEfGhIjKlMnOpQs  12  a.example\n"
    );
    assert_eq!(
        sample().render(&paper(30)),
        "ID                       N\n\
         \x20 NAMES\n\
         AZqkAbCdEfGhIjKlMnOpQr   7\n\
         \x20 www.example.org, example.org\n\
         AZqkAbCdEfGhIjKlMnOpQs  12\n\
         \x20 a.example\n"
    );
}

#[test]
fn no_word_is_ever_broken() {
    for width in 1..100 {
        let text = sample().render(&paper(width));
        for word in ["AZqkAbCdEfGhIjKlMnOpQr", "www.example.org", "example.org", "a.example"] {
            assert!(text.contains(word), "{width}: {text}");
        }
        assert!(text.lines().all(|line| !line.ends_with(' ')), "{width}");
        if width >= 30 {
            assert!(text.lines().all(|line| columns(line) <= width), "{width}: {text}");
        }
    }
}

#[test]
fn wide_characters_take_two_columns() {
    let mut table = Table::new(&[("A", Shape::Whole), ("B", Shape::Whole)]);
    table.row(["인감".into(), "x".into()]);
    table.row(["ab".into(), "y".into()]);
    assert_eq!(table.render(&paper(80)), "A     B\n인감  x\nab    y\n");
}

#[test]
fn colours_take_no_room_and_come_only_when_wanted() {
    let mut table = Table::new(&[("S", Shape::Whole), ("T", Shape::Whole)]);
    table.row([Cell::status("good"), "x".into()]);
    let coloured = table.render(&Paper { colour: true, ..paper(80) });
    assert_eq!(coloured, "\u{1b}[1mS\u{1b}[0m     \u{1b}[1mT\u{1b}[0m\n\u{1b}[32mgood\u{1b}[0m  x\n");
    assert_eq!(table.render(&paper(80)), "S     T\ngood  x\n");
}

#[test]
fn facts_stand_beside_their_names() {
    let mut facts = Facts::default();
    facts
        .fact("serial", "4f0a")
        .fact("nothing", "")
        .facts("names", vec!["a.example".into(), "b.example".into()])
        .fact("a reason", "one two three four five six seven eight");
    assert_eq!(
        facts.render(&paper(36)),
        "serial    4f0a\n\
         names     a.example\n\
         \x20         b.example\n\
         a reason  one two three four five\n\
         \x20         six seven eight\n"
    );
    assert_eq!(Facts::default().render(&paper(80)), "");
    assert_eq!(Table::new(&[("A", Shape::Whole)]).render(&paper(80)), "");
}
