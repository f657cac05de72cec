//! Tables and lists of facts, for people.
//!
//! A table has one line for each row where there is room, or where nobody counts columns (not a terminal). Where it does
//! not fit, text is broken at spaces within its column; and where that is not enough, each row goes on in a second,
//! indented line. Ids, names and times are never broken or cut.

use std::borrow::Cow;

use super::text::{clean, columns, longest_word, wrap};

/// What is written on: how wide it is, and whether it has colours.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Paper {
    /// Columns; nothing where lines may have any length.
    pub(crate) width: Option<usize>,
    /// Whether colours may be used.
    pub(crate) colour: bool,
    /// Whether bars can be drawn with block characters.
    pub(crate) blocks: bool,
}

/// How something is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    Plain,
    Good,
    Doubtful,
    Bad,
    Faint,
    Strong,
}

impl Paper {
    /// The text in the colour of its meaning.
    pub(crate) fn paint<'a>(&self, text: &'a str, style: Style) -> Cow<'a, str> {
        let number = match style {
            Style::Plain => return Cow::Borrowed(text),
            Style::Good => "32",
            Style::Doubtful => "33",
            Style::Bad => "31",
            Style::Faint => "2",
            Style::Strong => "1",
        };
        if self.colour && !text.is_empty() {
            Cow::Owned(format!("\u{1b}[{number}m{text}\u{1b}[0m"))
        } else {
            Cow::Borrowed(text)
        }
    }
}

/// How a status of the API is meant.
pub(crate) fn style_of(status: &str) -> Style {
    match status {
        "good" | "valid" | "ready" | "done" | "approved" | "allow" | "bound" => Style::Good,
        "revoked" | "invalid" | "refused" | "cancelled" | "block" | "withdrawn" => Style::Bad,
        "pending" | "processing" | "waiting" | "running" | "gathering" | "paused" => Style::Doubtful,
        "expired" | "deactivated" => Style::Faint,
        _ => Style::Plain,
    }
}

/// One place of a table.
#[derive(Clone, Debug)]
pub(crate) struct Cell {
    text: String,
    style: Style,
}

impl Cell {
    /// Text as it came, in the colour of its meaning.
    pub(crate) fn styled(text: &str, style: Style) -> Self {
        Self { text: clean(text).into_owned(), style }
    }

    /// A status, in its colour.
    pub(crate) fn status(text: &str) -> Self {
        Self::styled(text, style_of(text))
    }

    /// Names one after another.
    pub(crate) fn list(texts: &[String]) -> Self {
        Self::from(texts.join(", "))
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::styled(text, Style::Plain)
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::from(text.as_str())
    }
}

impl From<&String> for Cell {
    fn from(text: &String) -> Self {
        Self::from(text.as_str())
    }
}

impl From<u64> for Cell {
    fn from(number: u64) -> Self {
        Self::from(number.to_string())
    }
}

impl From<bool> for Cell {
    fn from(yes: bool) -> Self {
        Self::from(if yes { "yes" } else { "" })
    }
}

impl From<&Option<String>> for Cell {
    fn from(text: &Option<String>) -> Self {
        Self::from(text.as_deref().unwrap_or_default())
    }
}

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// Ids, names of states, times: on one line, always.
    Whole,
    /// Numbers: the same, flush right.
    Number,
    /// Words, or names one after another: can be broken at spaces.
    Text,
}

/// Rows under titles.
#[derive(Debug)]
pub(crate) struct Table {
    columns: Vec<(&'static str, Shape)>,
    rows: Vec<Vec<Cell>>,
}

/// Columns that stand beside each other: index and width of each.
struct Band {
    indent: usize,
    columns: Vec<(usize, usize)>,
}

const GAP: usize = 2;
/// Text is not broken into columns narrower than this.
const TEXT_MIN: usize = 24;

impl Table {
    /// An empty table.
    pub(crate) fn new(columns: &[(&'static str, Shape)]) -> Self {
        Self { columns: columns.to_vec(), rows: Vec::new() }
    }

    /// One more row.
    pub(crate) fn row<const N: usize>(&mut self, cells: [Cell; N]) {
        debug_assert_eq!(N, self.columns.len(), "a cell for each column");
        self.rows.push(cells.into());
    }

    /// The table as text, each line with its end. A column in which nothing stands is left out.
    pub(crate) fn render(&self, paper: &Paper) -> String {
        if self.rows.is_empty() {
            return String::new();
        }
        let bands = self.bands(paper.width);
        let titles: Vec<Cell> =
            self.columns.iter().map(|(title, _)| Cell::styled(title, Style::Strong)).collect();
        let mut text = String::new();
        for row in std::iter::once(&titles).chain(&self.rows) {
            for band in &bands {
                self.render_band(row, band, paper, &mut text);
            }
        }
        text
    }

    fn render_band(&self, row: &[Cell], band: &Band, paper: &Paper, text: &mut String) {
        let mut cells: Vec<(Vec<String>, usize, Style, Shape)> = Vec::new();
        for (index, width) in &band.columns {
            let (Some(cell), Some((_, shape))) = (row.get(*index), self.columns.get(*index)) else {
                continue;
            };
            let lines = match shape {
                Shape::Text => wrap(&cell.text, *width),
                Shape::Whole | Shape::Number => vec![cell.text.clone()],
            };
            cells.push((lines, *width, cell.style, *shape));
        }
        let height = cells.iter().map(|(lines, ..)| lines.len()).max().unwrap_or(0);
        let all_empty = cells.iter().all(|(lines, ..)| lines.iter().all(String::is_empty));
        if band.indent > 0 && all_empty {
            return;
        }
        for at in 0..height {
            let mut line = " ".repeat(band.indent);
            // Spaces are put in front of what follows them, so that no line ends with one.
            let mut owed = 0;
            for (lines, width, style, shape) in &cells {
                let piece = lines.get(at).map_or("", String::as_str);
                let spare = width.saturating_sub(columns(piece));
                let (before, after) = if *shape == Shape::Number { (spare, 0) } else { (0, spare) };
                owed += before;
                if !piece.is_empty() {
                    line.push_str(&" ".repeat(owed));
                    line.push_str(&paper.paint(piece, *style));
                    owed = 0;
                }
                owed += after + GAP;
            }
            text.push_str(&line);
            text.push('\n');
        }
    }

    /// Which columns stand where.
    fn bands(&self, width: Option<usize>) -> Vec<Band> {
        let filled: Vec<Measured> =
            (0..self.columns.len()).filter_map(|index| self.measured(index)).collect();
        let room = width.unwrap_or(usize::MAX);
        let gaps = GAP * filled.len().saturating_sub(1);
        let least = gaps + filled.iter().map(|column| column.least).sum::<usize>();
        if least > room {
            return folded(&filled, room);
        }
        let mut spare = room - least;
        let columns = filled.iter().map(|column| {
            let more = spare.min(column.natural - column.least);
            spare -= more;
            (column.index, column.least + more)
        });
        vec![Band { indent: 0, columns: columns.collect() }]
    }

    /// What a column needs; nothing if nothing stands in it.
    fn measured(&self, index: usize) -> Option<Measured> {
        let (title, shape) = self.columns.get(index)?;
        let cells = self.rows.iter().filter_map(|row| row.get(index));
        let widest = cells.clone().map(|cell| columns(&cell.text)).max().filter(|widest| *widest > 0)?;
        let natural = widest.max(columns(title));
        let least = match shape {
            Shape::Whole | Shape::Number => natural,
            Shape::Text => {
                let word = cells.map(|cell| longest_word(&cell.text)).max().unwrap_or(0);
                natural.min(word.max(TEXT_MIN).max(columns(title)))
            }
        };
        Some(Measured { index, text: *shape == Shape::Text, natural, least })
    }
}

/// What a column needs.
struct Measured {
    index: usize,
    text: bool,
    /// Columns for everything on one line.
    natural: usize,
    /// Columns without which it cannot be shown.
    least: usize,
}

/// Columns over several bands: as many as fit beside each other, then text where room is left, or on lines of its own.
fn folded(filled: &[Measured], room: usize) -> Vec<Band> {
    let mut bands: Vec<Band> = Vec::new();
    let mut left = 0;
    let (texts, wholes): (Vec<_>, Vec<_>) = filled.iter().partition(|column| column.text);
    for Measured { index, text, natural, least } in wholes.into_iter().chain(texts) {
        if let Some(band) = bands.last_mut().filter(|_| GAP + least <= left) {
            let width = if *text { (*natural).min(left - GAP) } else { *natural };
            band.columns.push((*index, width));
            left -= GAP + width;
        } else {
            let indent = if bands.is_empty() { 0 } else { GAP };
            let width = if *text { (*natural).min(room.saturating_sub(indent)) } else { *natural };
            bands.push(Band { indent, columns: vec![(*index, width)] });
            left = room.saturating_sub(indent + width);
        }
    }
    bands
}

/// Facts about one thing: a name and its value on each line.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    facts: Vec<(&'static str, Vec<Cell>)>,
}

impl Facts {
    /// One more fact; left out if there is nothing to say.
    pub(crate) fn fact(&mut self, name: &'static str, value: impl Into<Cell>) -> &mut Self {
        self.facts(name, vec![value.into()])
    }

    /// One more fact with a value on each of several lines.
    pub(crate) fn facts(&mut self, name: &'static str, values: Vec<Cell>) -> &mut Self {
        if values.iter().any(|value| !value.text.is_empty()) {
            self.facts.push((name, values));
        }
        self
    }

    /// The facts as text, each line with its end.
    pub(crate) fn render(&self, paper: &Paper) -> String {
        let label = self.facts.iter().map(|(name, _)| columns(name)).max().unwrap_or(0);
        let room = paper.width.map_or(usize::MAX, |width| width.saturating_sub(label + GAP).max(TEXT_MIN));
        let mut text = String::new();
        for (name, values) in &self.facts {
            let lines = values.iter().flat_map(|cell| {
                wrap(&cell.text, room).into_iter().map(|line| paper.paint(&line, cell.style).into_owned())
            });
            for (at, line) in lines.enumerate() {
                let name = if at == 0 { *name } else { "" };
                let padding = " ".repeat(label - columns(name) + GAP);
                text.push_str(&format!("{}{padding}{line}\n", paper.paint(name, Style::Strong)));
            }
        }
        text
    }
}

#[cfg(test)]
mod tests;
