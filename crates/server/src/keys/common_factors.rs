//! Batch GCD (Bernstein, "How to find smooth parts of integers", 2004; Heninger et al., "Mining your Ps and Qs", 2012): which of
//! many numbers have a factor in common with any other, in nearly linear time.
//!
//! A tree of products goes up from the numbers to the product P of all. Down from there goes, for each node c, the remainder
//! of P / c by c: of a child it is that of its parent times the child's sibling. At a leaf n, the greatest common divisor
//! of n and that remainder is what n has in common with all others together.

use dashu_int::UBig;
use dashu_int::ops::Gcd as _;

/// Two numbers with a common factor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Shared {
    /// Which numbers.
    pub(super) keys: [usize; 2],
    /// What they have in common.
    pub(super) factor: UBig,
}

/// All pairs with a common factor among numbers that are above one and different from each other.
pub(super) fn shared_factors(numbers: Vec<UBig>) -> Vec<Shared> {
    if numbers.len() < 2 {
        return Vec::new();
    }
    let tree = products(numbers);
    let mut suspects = Vec::new();
    descend(&tree, tree.len() - 1, 0, UBig::ONE, &mut suspects);
    let numbers = tree.first().map(Vec::as_slice).unwrap_or_default();
    pairs(numbers, &suspects)
}

/// The numbers themselves, then the products of two each, and so on up to the product of all.
fn products(numbers: Vec<UBig>) -> Vec<Vec<UBig>> {
    let mut tree = vec![numbers];
    while let Some(below) = tree.last().filter(|level| level.len() > 1) {
        let above = below
            .chunks(2)
            .map(|pair| match pair {
                [one, other] => one * other,
                rest => rest.iter().product(),
            })
            .collect();
        tree.push(above);
    }
    tree
}

/// Goes down from a node, `rest` being the product of all numbers not below it, by the node. The depth is the tree's: the
/// logarithm of how many numbers there are.
fn descend(tree: &[Vec<UBig>], level: usize, index: usize, rest: UBig, suspects: &mut Vec<usize>) {
    let Some(node) = tree.get(level).and_then(|nodes| nodes.get(index)) else { return };
    let Some(below) = level.checked_sub(1) else {
        if (&rest).gcd(node) != UBig::ONE {
            suspects.push(index);
        }
        return;
    };
    let child = |index: usize| tree.get(below).and_then(|nodes| nodes.get(index));
    let (left, right) = (2 * index, 2 * index + 1);
    match (child(left), child(right)) {
        (Some(one), Some(other)) => {
            let rest_of = |child: &UBig, sibling: &UBig| (&rest % child) * (sibling % child) % child;
            let (first, second) = (rest_of(one, other), rest_of(other, one));
            // It is not needed any more, and large.
            drop(rest);
            descend(tree, below, left, first, suspects);
            descend(tree, below, right, second, suspects);
        }
        _ => descend(tree, below, left, rest, suspects),
    }
}

/// The suspects against each other: there are few, and what one has in common with all others together can be itself.
fn pairs(numbers: &[UBig], suspects: &[usize]) -> Vec<Shared> {
    let mut shared = Vec::new();
    for (place, one) in suspects.iter().enumerate() {
        for other in suspects.iter().skip(place + 1) {
            let (Some(a), Some(b)) = (numbers.get(*one), numbers.get(*other)) else { continue };
            let factor = a.gcd(b);
            if factor != UBig::ONE {
                shared.push(Shared { keys: [*one, *other], factor });
            }
        }
    }
    shared
}

#[cfg(test)]
mod tests {
    use ingam_protocol::time::{Random as _, SeededRandom};

    use super::*;

    /// Odd numbers stand for primes: what counts is that two have next to nothing in common, which is then taken out.
    fn odd(random: &SeededRandom, bytes: usize) -> UBig {
        let mut number = vec![0; bytes];
        random.fill(&mut number);
        number[0] |= 0x80;
        number[bytes - 1] |= 1;
        UBig::from_be_bytes(&number)
    }

    /// Primes for tests, by Fermat's little theorem to the base 2.
    fn prime(random: &SeededRandom, bytes: usize) -> UBig {
        let two = UBig::from(2_u8);
        loop {
            let candidate = odd(random, bytes);
            let ring = dashu_int::fast_div::ConstDivisor::new(candidate.clone());
            let power = ring.reduce(two.clone()).pow(&(&candidate - UBig::ONE)).residue();
            if power == UBig::ONE {
                return candidate;
            }
        }
    }

    #[test]
    fn common_primes_are_found_wherever_they_are() {
        let random = SeededRandom::new(7);
        let primes: Vec<UBig> = (0..60).map(|_| prime(&random, 16)).collect();
        for count in [2_usize, 3, 5, 8, 13, 28] {
            let mut numbers: Vec<UBig> =
                (0..count).map(|index| &primes[2 * index] * &primes[2 * index + 1]).collect();
            assert_eq!(shared_factors(numbers.clone()), [], "{count} sound ones");
            // The last takes a prime of the first.
            numbers[count - 1] = &primes[0] * &primes[59];
            let found = shared_factors(numbers);
            assert_eq!(found, [Shared { keys: [0, count - 1], factor: primes[0].clone() }], "{count}");
        }
    }

    #[test]
    fn a_number_all_of_whose_primes_are_shared_is_told_with_each() {
        let random = SeededRandom::new(8);
        let [a, b, c, d] = [(); 4].map(|()| prime(&random, 16));
        let numbers = vec![&a * &b, &a * &c, &b * &d];
        let found: Vec<_> =
            shared_factors(numbers).into_iter().map(|shared| (shared.keys, shared.factor)).collect();
        assert_eq!(found, [([0, 1], a), ([0, 2], b)]);
    }

    #[test]
    fn a_thousand_sound_keys_share_nothing() {
        let random = SeededRandom::new(9);
        let primes: Vec<UBig> = (0..2000).map(|_| prime(&random, 12)).collect();
        let numbers = primes.chunks(2).map(|pair| &pair[0] * &pair[1]).collect();
        assert_eq!(shared_factors(numbers), []);
        assert_eq!(shared_factors(Vec::new()), []);
        assert_eq!(shared_factors(vec![UBig::from(15_u8)]), []);
    }
}
