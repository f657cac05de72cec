//! The Merkle tree of RFC 6962, section 2.1: hashes, roots, proofs. No file is read here.

use ring::digest::{Context, SHA256};

/// A hash of a leaf, of a node, or of a whole tree.
pub type Hash = [u8; 32];

/// The hash of a leaf.
pub fn leaf_hash(leaf: &[u8]) -> Hash {
    sha256(&[&[0], leaf])
}

/// The hash of a node from those below it.
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    sha256(&[&[1], left, right])
}

/// The root of a tree without leaves.
pub fn empty_root() -> Hash {
    sha256(&[])
}

fn sha256(parts: &[&[u8]]) -> Hash {
    let mut context = Context::new(&SHA256);
    for part in parts {
        context.update(part);
    }
    let mut out = [0; 32];
    // A SHA-256 digest has 32 bytes.
    out.copy_from_slice(context.finish().as_ref());
    out
}

/// The root of the perfect tree over these hashes, of which there have to be a power of two.
pub(crate) fn reduce(mut hashes: Vec<Hash>) -> Hash {
    while hashes.len() > 1 {
        hashes = hashes
            .chunks(2)
            .map(|pair| match pair {
                [left, right] => node_hash(left, right),
                other => other.first().copied().unwrap_or_default(),
            })
            .collect();
    }
    hashes.first().copied().unwrap_or_else(empty_root)
}

/// A tree to which leaves are added one by one, in memory that grows with the logarithm of their number.
#[derive(Clone, Debug, Default)]
pub struct Frontier {
    size: u64,
    /// The roots of the perfect trees that the leaves make up, the largest first: one for each bit of `size`.
    perfect: Vec<Hash>,
}

impl Frontier {
    /// Adds the hash of a leaf.
    pub fn push(&mut self, leaf: Hash) {
        let mut hash = leaf;
        for _ in 0..self.size.trailing_ones() {
            let Some(left) = self.perfect.pop() else { break };
            hash = node_hash(&left, &hash);
        }
        self.perfect.push(hash);
        self.size += 1;
    }

    /// How many leaves there are.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The root over them.
    pub fn root(&self) -> Hash {
        let joined = self.perfect.iter().rev().copied().reduce(|right, left| node_hash(&left, &right));
        joined.unwrap_or_else(empty_root)
    }
}

/// The largest power of two below the number, which is at least 2.
pub(crate) fn split(leaves: u64) -> u64 {
    1 << (63 - leaves.saturating_sub(1).max(1).leading_zeros())
}

/// The proof that a tree of `new` leaves begins with one of `old` (RFC 6962, section 2.1.2): `range` gives the hash over the
/// leaves from its first argument up to its second. Nothing where there is nothing to prove.
///
/// # Errors
/// Whatever `range` fails with.
pub fn consistency<E>(
    old: u64,
    new: u64,
    mut range: impl FnMut(u64, u64) -> Result<Hash, E>,
) -> Result<Vec<Hash>, E> {
    let mut proof = Vec::new();
    if old == 0 || old >= new {
        return Ok(proof);
    }
    // From the root down to where the old tree's last leaf is; `whole` while the old tree is a node of the new one.
    let (mut start, mut end, mut whole) = (0, new, true);
    while end != old {
        let middle = start + split(end - start);
        if old <= middle {
            proof.push(range(middle, end)?);
            end = middle;
        } else {
            proof.push(range(start, middle)?);
            (start, whole) = (middle, false);
        }
    }
    if !whole {
        proof.push(range(start, end)?);
    }
    proof.reverse();
    Ok(proof)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(text: &str) -> Vec<u8> {
        (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
    }

    /// The leaves and roots that the reference implementation of Certificate Transparency has in its tests
    /// (merkletree/merkle_tree_test.cc).
    const LEAVES: [&str; 8] =
        ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"];
    const ROOTS: [&str; 8] = [
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ];

    /// As RFC 6962 says it, with no thought for speed.
    fn naive(leaves: &[Vec<u8>]) -> Hash {
        match leaves {
            [] => empty_root(),
            [leaf] => leaf_hash(leaf),
            many => {
                let at = usize::try_from(split(many.len() as u64)).unwrap();
                node_hash(&naive(&many[..at]), &naive(&many[at..]))
            }
        }
    }

    /// RFC 9162, section 2.1.4.2: the verifier's side, which shares nothing with the maker's.
    fn verifies(old: u64, new: u64, old_root: Hash, new_root: Hash, proof: &[Hash]) -> bool {
        if old == new {
            return proof.is_empty() && old_root == new_root;
        }
        let mut path = proof.to_vec();
        if old.is_power_of_two() {
            path.insert(0, old_root);
        }
        let Some((first, rest)) = path.split_first() else { return false };
        let (mut node, mut last) = (old - 1, new - 1);
        while node & 1 == 1 {
            (node, last) = (node >> 1, last >> 1);
        }
        let (mut of_old, mut of_new) = (*first, *first);
        for hash in rest {
            if last == 0 {
                return false;
            }
            if node & 1 == 1 || node == last {
                of_old = node_hash(hash, &of_old);
                of_new = node_hash(hash, &of_new);
                while node & 1 == 0 && node != 0 {
                    (node, last) = (node >> 1, last >> 1);
                }
            } else {
                of_new = node_hash(&of_new, hash);
            }
            (node, last) = (node >> 1, last >> 1);
        }
        of_old == old_root && of_new == new_root && last == 0
    }

    fn place(index: u64) -> usize {
        usize::try_from(index).unwrap()
    }

    #[test]
    fn roots_are_those_of_the_reference() {
        let leaves: Vec<Vec<u8>> = LEAVES.iter().map(|leaf| hex(leaf)).collect();
        assert_eq!(
            empty_root().to_vec(),
            hex("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
        );
        let mut frontier = Frontier::default();
        for (at, (leaf, root)) in leaves.iter().zip(ROOTS).enumerate() {
            frontier.push(leaf_hash(leaf));
            assert_eq!(frontier.root().to_vec(), hex(root), "{at}");
            assert_eq!(naive(&leaves[..=at]).to_vec(), hex(root), "{at}");
        }
    }

    #[test]
    fn a_proof_is_what_the_reference_gives() {
        let leaves: Vec<Vec<u8>> = LEAVES.iter().map(|leaf| hex(leaf)).collect();
        let range = |start: u64, end: u64| Ok::<_, ()>(naive(&leaves[place(start)..place(end)]));
        let proof = |old, new| consistency(old, new, range).unwrap();
        let expected =
            |hashes: &[&str]| hashes.iter().map(|hash| hex(hash).try_into().unwrap()).collect::<Vec<Hash>>();
        assert_eq!(proof(1, 1), Vec::<Hash>::new());
        assert_eq!(
            proof(1, 8),
            expected(&[
                "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
                "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
                "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
            ])
        );
        assert_eq!(
            proof(6, 8),
            expected(&[
                "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
                "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
                "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            ])
        );
    }

    #[test]
    fn every_tree_begins_with_every_smaller_one_and_proves_it() {
        let leaves: Vec<Vec<u8>> = (0..70_u8).map(|number| vec![number]).collect();
        let root = |size: u64| naive(&leaves[..place(size)]);
        for new in 1..=70 {
            for old in 1..=new {
                let range = |start: u64, end: u64| Ok::<_, ()>(naive(&leaves[place(start)..place(end)]));
                let proof = consistency(old, new, range).unwrap();
                assert!(verifies(old, new, root(old), root(new), &proof), "{old} {new}");
                assert!(old == new || !verifies(old, new, [1; 32], root(new), &proof), "{old} {new}");
            }
        }
    }
}
