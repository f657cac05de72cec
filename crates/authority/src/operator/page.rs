//! Pages: bounded in what they hold and in what is looked at for them.

use ingam_protocol::Id;

use super::ActError;

/// At most this many rows are looked at for one page; a page can be short because of it.
pub(super) const ROWS_PER_PAGE_MAX: usize = 5000;
/// How many of them are read at once.
pub(super) const ROWS_PER_READ: usize = 500;
/// A page of things that can be long ends once it has about this many bytes.
const PAGE_BYTES_MAX: usize = 4 << 20;
/// How many of these are read at once.
const LONG_ROWS_PER_READ: usize = 10;

/// Some of what was asked for, and where the rest begins.
#[derive(Clone, Debug)]
pub struct Found<T> {
    /// What was found.
    pub items: Vec<T>,
    /// The place behind the last row that was looked at; nothing at the end.
    pub next: Option<Vec<u8>>,
}

/// What a look at a row came to.
pub(super) enum Seen<T> {
    /// The row of this name, if it fits as what goes on the page.
    Row(Id, Option<T>),
    /// Nothing from here on can fit.
    End,
}

/// Rows behind a name, which may come once more itself.
pub(super) struct Rows<R> {
    pub(super) rows: Vec<R>,
    /// Whether there are no more behind them.
    pub(super) is_end: bool,
}

/// A page of rows that fit, out of a bounded number of rows that are read some at a time.
pub(super) fn page_by_rows<R, T>(
    after: Option<Id>,
    limit: usize,
    read: impl Fn(Option<Id>) -> Result<Rows<R>, ActError>,
    visit: impl Fn(R) -> Result<Seen<T>, ActError>,
) -> Result<Found<T>, ActError> {
    let mut items = Vec::new();
    let mut last = after;
    for _ in 0..ROWS_PER_PAGE_MAX / ROWS_PER_READ {
        let Rows { rows, is_end } = read(last)?;
        for row in rows {
            match visit(row)? {
                Seen::End => return Ok(Found { items, next: None }),
                Seen::Row(id, _) if last == Some(id) => {}
                Seen::Row(id, item) => {
                    last = Some(id);
                    items.extend(item);
                }
            }
            if items.len() == limit {
                return Ok(Found { items, next: last.map(place) });
            }
        }
        if is_end {
            return Ok(Found { items, next: None });
        }
    }
    Ok(Found { items, next: last.map(place) })
}

/// A page of things that can be long: it ends at `limit` of them, or once it is long itself.
pub(super) fn page_by_weight<T>(
    after: Option<Id>,
    limit: usize,
    read: impl Fn(Option<Id>, usize) -> Result<Vec<T>, ingam_store::Error>,
    weigh: impl Fn(&T) -> (Id, usize),
) -> Result<Found<T>, ActError> {
    let mut items = Vec::new();
    let (mut last, mut bytes) = (after, 0);
    while items.len() < limit && bytes < PAGE_BYTES_MAX {
        let room = (limit - items.len()).min(LONG_ROWS_PER_READ);
        let page = read(last, room)?;
        let is_end = page.len() < room;
        for item in page {
            let (id, weight) = weigh(&item);
            last = Some(id);
            bytes += weight;
            items.push(item);
        }
        if is_end {
            return Ok(Found { items, next: None });
        }
    }
    Ok(Found { items, next: last.map(place) })
}

fn place(id: Id) -> Vec<u8> {
    id.as_bytes().to_vec()
}
