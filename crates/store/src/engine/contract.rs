//! What every engine has to do: one suite, run by the tests of each.

use super::{Batch, Durability, Engine, KEY_BYTES_MAX, Pair, Table};

const LEFT: Table = Table::new("left");
const RIGHT: Table = Table::new("right");
/// A name that begins like another, to see that their keys stay apart.
const LEFTOVER: Table = Table::new("leftover");

/// Opens the engine of that name: twice the same name, with a drop between, is twice the same data.
pub(crate) type Open<'a> = &'a dyn Fn(&str) -> Box<dyn Engine>;

/// Runs the whole suite.
pub(crate) fn run(open: Open<'_>) {
    what_was_put_is_got(open);
    ranges_keep_their_bounds(open);
    the_last_word_on_a_key_wins(open);
    batches_are_added_up(open);
    what_was_durable_is_there_after_reopening(open);
    a_read_sees_whole_batches(open);
    too_long_is_refused_before_anything_is_done(open);
    packing_changes_nothing_that_is_read(open);
}

fn commit(engine: &dyn Engine, fill: impl FnOnce(&mut Batch)) {
    let mut batch = Batch::new();
    fill(&mut batch);
    engine.commit(&batch, Durability::Durable).unwrap();
}

fn what_was_put_is_got(open: Open<'_>) {
    let engine = open("get");
    assert_eq!(engine.get(LEFT, b"a").unwrap(), None, "a table nobody wrote to is empty");
    assert_eq!(engine.range(LEFT, b"", None, 10).unwrap(), []);
    assert_eq!(engine.range_last(LEFT, b"", None, 10).unwrap(), []);
    commit(&*engine, |_| ());
    commit(&*engine, |batch| batch.delete(LEFT, b"a"));
    commit(&*engine, |batch| {
        batch.put(LEFT, b"a", b"1");
        batch.put(LEFT, b"empty", b"");
        batch.put(RIGHT, b"a", b"2");
        batch.put(RIGHT, b"", b"nameless");
    });
    assert_eq!(engine.get(LEFT, b"a").unwrap(), Some(b"1".to_vec()));
    assert_eq!(engine.get(LEFT, b"empty").unwrap(), Some(Vec::new()));
    assert_eq!(engine.get(RIGHT, b"a").unwrap(), Some(b"2".to_vec()));
    assert_eq!(engine.get(RIGHT, b"").unwrap(), Some(b"nameless".to_vec()));
    assert_eq!(engine.get(LEFTOVER, b"a").unwrap(), None);
    commit(&*engine, |batch| {
        batch.delete(LEFT, b"a");
        batch.put(RIGHT, b"a", b"3");
    });
    assert_eq!(engine.get(LEFT, b"a").unwrap(), None);
    assert_eq!(engine.get(RIGHT, b"a").unwrap(), Some(b"3".to_vec()));
}

fn keys(pairs: &[Pair]) -> Vec<&str> {
    pairs.iter().map(|(key, _)| std::str::from_utf8(key).unwrap()).collect()
}

fn ranges_keep_their_bounds(open: Open<'_>) {
    let engine = open("range");
    commit(&*engine, |batch| {
        for key in ["d", "b", "a", "c", "cc"] {
            batch.put(LEFT, key, key);
        }
        batch.put(LEFTOVER, b"a", b"other");
        batch.put(Table::new("lef"), b"tover", b"other");
        batch.put(RIGHT, b"\xff\xff", b"high");
    });
    type Case<'a> = (&'a [u8], Option<&'a [u8]>, usize, &'a [&'a str]);
    let cases: [Case<'_>; 9] = [
        (b"", None, 10, &["a", "b", "c", "cc", "d"]),
        (b"b", Some(b"d"), 10, &["b", "c", "cc"]),
        (b"b", Some(b"cc"), 10, &["b", "c"]),
        (b"bb", None, 2, &["c", "cc"]),
        (b"a", None, 0, &[]),
        (b"c", Some(b"c"), 10, &[]),
        (b"d", Some(b"a"), 10, &[]),
        (b"e", None, 10, &[]),
        (b"", Some(b"b"), 10, &["a"]),
    ];
    for (from, to, limit, expected) in cases {
        let found = engine.range(LEFT, from, to, limit).unwrap();
        assert_eq!(keys(&found), expected, "{from:?} to {to:?}");
        assert!(found.iter().all(|(key, value)| key == value));
    }
    assert_eq!(keys(&engine.range_last(LEFT, b"", None, 2).unwrap()), ["d", "cc"]);
    assert_eq!(keys(&engine.range_last(LEFT, b"b", Some(b"d"), 10).unwrap()), ["cc", "c", "b"]);
    assert_eq!(keys(&engine.range_last(LEFT, b"b", Some(b"b"), 10).unwrap()), [""; 0]);
    assert_eq!(keys(&engine.range_last(LEFT, b"d", Some(b"b"), 10).unwrap()), [""; 0]);
    assert_eq!(engine.range(RIGHT, b"\xff", None, 10).unwrap().len(), 1);
}

fn the_last_word_on_a_key_wins(open: Open<'_>) {
    let engine = open("last");
    commit(&*engine, |batch| {
        batch.put(LEFT, b"a", b"1");
        batch.put(LEFT, b"a", b"2");
        batch.put(LEFT, b"b", b"1");
        batch.delete(LEFT, b"b");
        batch.delete(LEFT, b"c");
        batch.put(LEFT, b"c", b"3");
        assert_eq!(batch.len(), 3);
        assert_eq!(batch.change(LEFT, b"a"), Some(Some(b"2".as_slice())));
        assert_eq!(batch.change(LEFT, b"b"), Some(None));
        assert_eq!(batch.change(LEFT, b"d"), None);
        assert_eq!(batch.change(RIGHT, b"a"), None);
    });
    assert_eq!(keys(&engine.range(LEFT, b"", None, 10).unwrap()), ["a", "c"]);
    assert_eq!(engine.get(LEFT, b"a").unwrap(), Some(b"2".to_vec()));
}

fn batches_are_added_up(open: Open<'_>) {
    let engine = open("append");
    commit(&*engine, |batch| {
        assert!(batch.is_empty());
        batch.put(LEFT, b"a", b"1");
        batch.put(LEFT, b"b", b"1");
        let mut later = Batch::new();
        later.put(LEFT, b"a", b"2");
        later.delete(LEFT, b"b");
        later.put(RIGHT, b"c", b"3");
        batch.append(later);
        batch.append(Batch::new());
        assert!(!batch.is_empty());
        assert_eq!(
            batch.iter().collect::<Vec<_>>(),
            [
                (LEFT, b"a".as_slice(), Some(b"2".as_slice())),
                (LEFT, b"b".as_slice(), None),
                (RIGHT, b"c".as_slice(), Some(b"3".as_slice()))
            ]
        );
    });
    assert_eq!(engine.range(LEFT, b"", None, 10).unwrap(), [(b"a".to_vec(), b"2".to_vec())]);
    assert_eq!(engine.range(RIGHT, b"", None, 10).unwrap(), [(b"c".to_vec(), b"3".to_vec())]);
}

fn what_was_durable_is_there_after_reopening(open: Open<'_>) {
    {
        let engine = open("reopen");
        let mut relaxed = Batch::new();
        relaxed.put(LEFT, b"relaxed", b"1");
        engine.commit(&relaxed, Durability::Relaxed).unwrap();
        assert_eq!(engine.get(LEFT, b"relaxed").unwrap(), Some(b"1".to_vec()), "seen before it is durable");
        commit(&*engine, |batch| batch.put(RIGHT, b"durable", b"2"));
    }
    let engine = open("reopen");
    assert_eq!(engine.get(LEFT, b"relaxed").unwrap(), Some(b"1".to_vec()), "durable with the next durable");
    assert_eq!(engine.get(RIGHT, b"durable").unwrap(), Some(b"2".to_vec()));
}

fn a_read_sees_whole_batches(open: Open<'_>) {
    let engine = open("whole");
    let rounds = 200_u32;
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for round in 0..rounds {
                let mut batch = Batch::new();
                for key in 0..20_u8 {
                    batch.put(LEFT, [key], round.to_be_bytes());
                }
                engine.commit(&batch, Durability::Relaxed).unwrap();
            }
        });
        while !writer.is_finished() {
            let found = engine.range(LEFT, b"", None, 100).unwrap();
            let first = found.first().map(|(_, value)| value.clone());
            assert!(found.is_empty() || found.len() == 20);
            assert!(found.iter().all(|(_, value)| Some(value) == first.as_ref()), "half of a batch was seen");
        }
    });
}

fn too_long_is_refused_before_anything_is_done(open: Open<'_>) {
    let engine = open("long");
    let mut batch = Batch::new();
    batch.put(LEFT, b"a", b"1");
    batch.put(RIGHT, vec![0; KEY_BYTES_MAX + 1], b"1");
    let error = engine.commit(&batch, Durability::Durable).unwrap_err();
    assert_eq!(error.code(), "engine_too_large");
    assert_eq!(engine.get(LEFT, b"a").unwrap(), None);
    commit(&*engine, |batch| batch.put(RIGHT, vec![0; KEY_BYTES_MAX], b"1"));
}

fn packing_changes_nothing_that_is_read(open: Open<'_>) {
    let engine = open("packing");
    let key = |number: u32| number.to_be_bytes().to_vec();
    for numbers in [0..50_u32, 50..100] {
        commit(&*engine, |batch| {
            for number in numbers {
                batch.put(LEFT, key(number), vec![1; 5000]);
                batch.put(RIGHT, key(number), vec![2; 50]);
            }
        });
    }
    commit(&*engine, |batch| (0..100).for_each(|number| batch.put(LEFT, key(number), vec![3; 200])));
    let all = |table| engine.range(table, b"", None, usize::MAX).unwrap();
    let before = [all(LEFT), all(RIGHT)];
    let (mut from, mut rounds) = (Vec::new(), 0);
    while let Some(next) = engine.pack(LEFT, &from, Some(&key(90)), 3000).unwrap() {
        assert!(next > from && next < key(90), "a place that leads on");
        from = next;
        rounds += 1;
    }
    assert!(rounds == 0 || rounds > 4, "in bounded batches, or not at all: {rounds}");
    assert_eq!(engine.pack(RIGHT, b"", None, usize::MAX).unwrap(), None);
    assert_eq!(engine.pack(LEFTOVER, b"", None, 10).unwrap(), None);
    assert_eq!(engine.pack(LEFT, &key(5), Some(&key(5)), 10).unwrap(), None);
    assert_eq!([all(LEFT), all(RIGHT)], before);
    drop(engine);
    let engine = open("packing");
    let all = |table| engine.range(table, b"", None, usize::MAX).unwrap();
    assert_eq!([all(LEFT), all(RIGHT)], before);
}
