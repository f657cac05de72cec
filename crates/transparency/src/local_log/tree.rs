//! The tree of a log (RFC 6962, section 2.1), with the hashes of all full subtrees kept.

use ring::digest::{Context, SHA256, digest};

/// How many hashes a full tile has (static-ct-api, "Merkle Tree").
pub(super) const TILE_WIDTH: usize = 256;

pub(super) type Hash = [u8; 32];

/// Leaves in their order.
#[derive(Default)]
pub(super) struct Tree {
    /// At place k the hashes of the full subtrees with 2^k leaves.
    levels: Vec<Vec<Hash>>,
}

impl Tree {
    /// How many leaves there are.
    pub(super) fn size(&self) -> u64 {
        self.levels.first().map_or(0, |leaves| u64::try_from(leaves.len()).unwrap_or(u64::MAX))
    }

    /// Puts a leaf behind all others.
    pub(super) fn append(&mut self, leaf: Hash) {
        let mut hash = leaf;
        for level in 0.. {
            if self.levels.len() == level {
                self.levels.push(Vec::new());
            }
            let Some(hashes) = self.levels.get_mut(level) else { return };
            hashes.push(hash);
            let [.., left, right] = hashes.as_slice() else { return };
            if hashes.len() % 2 == 1 {
                return;
            }
            hash = node(left, right);
        }
    }

    /// The place of a leaf.
    pub(super) fn place(&self, leaf: &Hash) -> Option<usize> {
        self.levels.first()?.iter().position(|one| one == leaf)
    }

    /// The root of the first `size` leaves.
    pub(super) fn root(&self, size: usize) -> Option<Hash> {
        if size == 0 {
            return digest(&SHA256, &[]).as_ref().try_into().ok();
        }
        self.range(0, size)
    }

    /// The audit path of a leaf in the tree of the first `size` leaves (RFC 6962, section 2.1.1), its sibling first.
    pub(super) fn path(&self, leaf: usize, size: usize) -> Option<Vec<Hash>> {
        let (mut begin, mut end, mut path) = (0, size, Vec::new());
        if leaf >= size {
            return None;
        }
        while end - begin > 1 {
            let middle = begin + split(end - begin);
            if leaf < middle {
                path.push(self.range(middle, end)?);
                end = middle;
            } else {
                path.push(self.range(begin, middle)?);
                begin = middle;
            }
        }
        path.reverse();
        Some(path)
    }

    /// The hashes of a tile, as many of 256 as there are.
    pub(super) fn tile(&self, level: usize, number: usize) -> Option<&[Hash]> {
        let hashes = self.levels.get(level.checked_mul(8)?)?;
        let begin = number.checked_mul(TILE_WIDTH)?;
        let end = hashes.len().min(begin.checked_add(TILE_WIDTH)?);
        hashes.get(begin..end).filter(|tile| !tile.is_empty())
    }

    /// The hash of the leaves from `begin` to before `end`, which begins where a subtree does. It calls itself on ever smaller
    /// halves, so at most once for each bit of a length.
    fn range(&self, begin: usize, end: usize) -> Option<Hash> {
        let length = end.checked_sub(begin)?;
        if length.is_power_of_two() {
            let level = usize::try_from(length.trailing_zeros()).ok()?;
            return self.levels.get(level)?.get(begin >> level).copied();
        }
        let middle = begin.checked_add(split(length))?;
        Some(node(&self.range(begin, middle)?, &self.range(middle, end)?))
    }
}

/// The largest power of two below `length`, which is 2 at least.
fn split(length: usize) -> usize {
    (length / 2 + length % 2).next_power_of_two()
}

fn node(left: &Hash, right: &Hash) -> Hash {
    let mut context = Context::new(&SHA256);
    context.update(&[1]);
    context.update(left);
    context.update(right);
    let mut hash = [0; 32];
    hash.copy_from_slice(context.finish().as_ref());
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As RFC 6962, section 2.1, says it.
    fn by_definition(leaves: &[Hash]) -> Hash {
        match leaves {
            [] => digest(&SHA256, &[]).as_ref().try_into().unwrap(),
            [leaf] => *leaf,
            _ => {
                let (left, right) = leaves.split_at(split(leaves.len()));
                node(&by_definition(left), &by_definition(right))
            }
        }
    }

    #[test]
    fn roots_and_paths_are_those_of_the_definition() {
        let leaves: Vec<Hash> = (0..40_u8).map(|number| [number; 32]).collect();
        let mut tree = Tree::default();
        for (size, leaf) in (1..).zip(&leaves) {
            tree.append(*leaf);
            let root = by_definition(&leaves[..size]);
            assert_eq!(tree.root(size), Some(root), "{size}");
            for (place, known) in leaves.iter().enumerate().take(size) {
                let (mut hash, mut at, mut last) = (*known, place, size - 1);
                for sibling in tree.path(place, size).unwrap() {
                    // RFC 9162, section 2.1.3.2.
                    if at % 2 == 1 || at == last {
                        hash = node(&sibling, &hash);
                        while at % 2 == 0 && at > 0 {
                            (at, last) = (at >> 1, last >> 1);
                        }
                    } else {
                        hash = node(&hash, &sibling);
                    }
                    (at, last) = (at >> 1, last >> 1);
                }
                assert_eq!((hash, last), (root, 0), "{place} of {size}");
            }
        }
        assert_eq!(tree.root(0), Some(by_definition(&[])));
        assert_eq!(tree.tile(0, 0).unwrap(), leaves);
        assert_eq!((tree.tile(0, 1), tree.tile(1, 0), tree.root(41)), (None, None, None));
    }

    #[test]
    fn splits_are_the_largest_powers_below() {
        let splits: Vec<usize> = (2..10).map(split).collect();
        assert_eq!(splits, [1, 2, 2, 4, 4, 4, 4, 8]);
    }
}
