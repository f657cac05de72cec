//! Keys that everybody could break: the checks of BR 6.1.1.3, 6.1.5 and 6.1.6.

use num_bigint::BigUint;

use super::{BadKey, Curve, KeyFlaw};

/// Primes that no RSA modulus may have as a factor: all below 752 (BR 6.1.6).
const SMALL_PRIMES: [u32; 133] = [
    2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97, 101, 103,
    107, 109, 113, 127, 131, 137, 139, 149, 151, 157, 163, 167, 173, 179, 181, 191, 193, 197, 199, 211, 223,
    227, 229, 233, 239, 241, 251, 257, 263, 269, 271, 277, 281, 283, 293, 307, 311, 313, 317, 331, 337, 347,
    349, 353, 359, 367, 373, 379, 383, 389, 397, 401, 409, 419, 421, 431, 433, 439, 443, 449, 457, 461, 463,
    467, 479, 487, 491, 499, 503, 509, 521, 523, 541, 547, 557, 563, 569, 571, 577, 587, 593, 599, 601, 607,
    613, 617, 619, 631, 641, 643, 647, 653, 659, 661, 673, 677, 683, 691, 701, 709, 719, 727, 733, 739, 743,
    751,
];

/// The primes of the ROCA fingerprint (CVE-2017-15361): modulo each of them, an affected modulus is a power of 65537.
const ROCA_PRIMES: std::ops::Range<usize> = 1..39;

/// How many steps of Fermat's factorization a modulus must withstand (BR 6.1.1.3).
const FERMAT_ROUNDS: u32 = 100;

/// Checks an RSA key. Both numbers are big-endian without leading zeros.
pub(super) fn check_rsa(modulus: &[u8], exponent: &[u8]) -> Result<(), BadKey> {
    // Sizes first: everything after works on at most 4096 bits.
    let bits = modulus.len() * 8
        - modulus.first().map_or(0, |first| usize::try_from(first.leading_zeros()).unwrap_or(0));
    if !(2048..=4096).contains(&bits) {
        let why = format!("the RSA key has {bits} bits: make a new one of 2048 to 4096");
        return Err(BadKey::new(KeyFlaw::RsaSize, why));
    }
    if !bits.is_multiple_of(8) {
        let why = format!("the RSA key has {bits} bits: make a new one whose size is a multiple of 8");
        return Err(BadKey::new(KeyFlaw::RsaSize, why));
    }
    if exponent != [1, 0, 1] {
        let why = "the RSA key's public exponent is not 65537: make a new key with that one";
        return Err(BadKey::new(KeyFlaw::RsaExponent, why));
    }
    let n = BigUint::from_bytes_be(modulus);
    let residues = SMALL_PRIMES.map(|prime| (prime, remainder(&n, prime)));
    if let Some((prime, _)) = residues.iter().find(|(_, residue)| *residue == 0) {
        let flaw = if *prime == 2 { KeyFlaw::RsaEven } else { KeyFlaw::RsaSmallFactor };
        let why = format!("the RSA modulus is divisible by {prime}, so it is damaged: make a new key");
        return Err(BadKey::new(flaw, why));
    }
    let fingerprint = residues.get(ROCA_PRIMES).unwrap_or_default();
    if fingerprint.iter().all(|(prime, residue)| is_power_of_65537(*residue, *prime)) {
        let why = "the RSA key has the ROCA weakness (CVE-2017-15361): make a new one with other software or on another device";
        return Err(BadKey::new(KeyFlaw::RsaRoca, why));
    }
    if has_close_factors(&n) {
        let why =
            "the RSA modulus has factors close to each other (Fermat): make a new key with other software";
        return Err(BadKey::new(KeyFlaw::RsaClosePrimes, why));
    }
    Ok(())
}

fn remainder(n: &BigUint, prime: u32) -> u32 {
    (n % prime).iter_u32_digits().next().unwrap_or(0)
}

fn is_power_of_65537(residue: u32, prime: u32) -> bool {
    let generator = 65_537 % prime;
    let mut power = 1;
    for _ in 0..prime {
        if power == residue {
            return true;
        }
        power = power * generator % prime;
    }
    false
}

/// Fermat: if n = a² - b² with a near the square root of n, then a - b and a + b are its factors.
fn has_close_factors(n: &BigUint) -> bool {
    let mut a = n.sqrt();
    if &a * &a < *n {
        a += 1_u32;
    }
    let mut square = &a * &a - n;
    for _ in 0..FERMAT_ROUNDS {
        if is_square(&square) {
            return true;
        }
        // (a + 1)² = a² + 2a + 1.
        square += &a * 2_u32 + 1_u32;
        a += 1_u32;
    }
    false
}

fn is_square(n: &BigUint) -> bool {
    // Only 12 of the 64 residues modulo 64 are squares: that spares most of the roots.
    let low = n.iter_u32_digits().next().unwrap_or(0) % 64;
    if !(0..32).any(|root: u32| root * root % 64 == low) {
        return false;
    }
    let root = n.sqrt();
    &root * &root == *n
}

/// Whether `y² = x³ - 3x + b` holds modulo the curve's prime, and both coordinates are below it (SEC 1, section 3.2.2.1).
/// The cofactor of each curve is 1, so such a point is in the right group.
pub(super) fn is_on_curve(curve: Curve, x: &[u8], y: &[u8]) -> bool {
    let (p, b) = match curve {
        Curve::P256 => (
            "ffffffff00000001000000000000000000000000ffffffffffffffffffffffff",
            "5ac635d8aa3a93e7b3ebbd55769886bc651d06b0cc53b0f63bce3c3e27d2604b",
        ),
        Curve::P384 => (
            "fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffeffffffff0000000000000000ffffffff",
            "b3312fa7e23ee7e4988e056be3f82d19181d9c6efe8141120314088f5013875ac656398d8a2ed19d2a85c8edd3ec2aef",
        ),
        Curve::P521 => (
            "01ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff\
             ffffffffffffffffffffffffffffffff",
            "0051953eb9618e1c9a1f929a21a0b68540eea2da725b99b315f3b8b489918ef109e156193951ec7e937b1652c0bd3bb1bf07\
             3573df883d2c34f1ef451fd46b503f00",
        ),
    };
    let number = |text: &str| BigUint::parse_bytes(text.as_bytes(), 16).unwrap_or_default();
    let (p, b) = (number(p), number(b));
    let (x, y) = (BigUint::from_bytes_be(x), BigUint::from_bytes_be(y));
    if x >= p || y >= p {
        return false;
    }
    let left = &y * &y % &p;
    // `+ 3p` keeps the difference from going below zero.
    let right = (&x * &x * &x + &p * 3_u32 - &x * 3_u32 + b) % &p;
    left == right
}

/// Checks an Ed25519 key (RFC 8032, section 5.1.3): its y is below 2^255 - 19 and belongs to a point, and that point is
/// not of small order. Under the eight points of small order, signatures hold that nobody had to make.
pub(super) fn check_ed25519(key: &[u8; 32]) -> Result<(), BadKey> {
    let mut little_endian = *key;
    // The highest bit is the sign of x.
    little_endian[31] &= 0x7f;
    let y = BigUint::from_bytes_le(&little_endian);
    let one = BigUint::from(1_u32);
    let p = (&one << 255_u32) - 19_u32;
    if y >= p {
        return Err(BadKey::new(
            KeyFlaw::NotOnCurve,
            "the Ed25519 key is not in its only encoding: make a new key",
        ));
    }
    let number = |text: &str| BigUint::parse_bytes(text.as_bytes(), 16).unwrap_or_default();
    // The coordinates y of the points of order 8; those of order 4 have 0, that of order 2 has -1, and 1 is neutral.
    let eighth = number("7a03ac9277fdc74ec6cc392cfa53202a0f67100d760b3cba4fd84d3d706a17c7");
    if y == BigUint::ZERO || y == one || &y + &one == p || y == eighth || &y + &eighth == p {
        let why = "the Ed25519 key is a point of small order, for which everybody can sign: make a new key";
        return Err(BadKey::new(KeyFlaw::SmallOrder, why));
    }
    // x² = (y² - 1) / (dy² + 1) must be a square: Euler's criterion on the product, which is one when the quotient is.
    let d = number("52036cee2b6ffe738cc740797779e89800700a4d4141d8ab75eb4dca135978a3");
    let square = &y * &y % &p;
    let product = (&square + &p - &one) * (d * &square + &one) % &p;
    if product.modpow(&((&p - &one) >> 1_u32), &p) != one {
        return Err(BadKey::new(
            KeyFlaw::NotOnCurve,
            "the Ed25519 key is no point of its curve: make a new key",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A 2048-bit number with neither small factors nor close ones: only its shape matters here.
    fn modulus_of(factors: [&BigUint; 2]) -> Vec<u8> {
        (factors[0] * factors[1]).to_bytes_be()
    }

    fn odd_near(bits: u64, offset: u32) -> BigUint {
        // 3 * 2^(bits-2) makes the product of two such numbers have exactly 2 * bits bits.
        (BigUint::from(3_u32) << (bits - 2)) + offset
    }

    #[test]
    fn sizes_and_exponents_are_checked() {
        let bad = |modulus: &[u8], exponent: &[u8]| check_rsa(modulus, exponent).unwrap_err();
        let refused = |modulus: &[u8], exponent: &[u8]| bad(modulus, exponent).to_string();
        assert_eq!(bad(&[0xff; 128], &[1, 0, 1]).flaw(), KeyFlaw::RsaSize);
        assert_eq!(bad(&[0xff; 256], &[3]).flaw(), KeyFlaw::RsaExponent);
        assert!(refused(&[0xff; 128], &[1, 0, 1]).contains("1024 bits"));
        assert!(refused(&[0xff; 513], &[1, 0, 1]).contains("4104 bits"));
        assert!(refused(&[&[0x7f][..], &[0xff; 256]].concat(), &[1, 0, 1]).contains("multiple of 8"));
        assert!(refused(&[0xff; 256], &[3]).contains("exponent"));
        assert!(refused(&[], &[1, 0, 1]).contains("0 bits"));
    }

    #[test]
    fn small_factors_are_found() {
        let mut even = [0xff; 256];
        even[255] = 0xfe;
        let bad = check_rsa(&even, &[1, 0, 1]).unwrap_err();
        assert!(bad.flaw() == KeyFlaw::RsaEven && bad.to_string().contains("divisible by 2"), "{bad}");
        // The last prime below 752, times a number that makes 2048 bits of it and has no smaller factor.
        let many = |factor: &BigUint| SMALL_PRIMES[..132].iter().any(|prime| remainder(factor, *prime) == 0);
        let mut factor = ((BigUint::from(3_u32) << 2046_u32) / 751_u32) | BigUint::from(1_u32);
        while many(&factor) {
            factor += 2_u32;
        }
        let bad = check_rsa(&(factor * 751_u32).to_bytes_be(), &[1, 0, 1]).unwrap_err();
        assert!(bad.flaw() == KeyFlaw::RsaSmallFactor && bad.to_string().contains("751"), "{bad}");
    }

    #[test]
    fn close_factors_are_found() {
        // Numbers without factors below 744, found by counting up.
        let free = |start: u32| {
            (start..)
                .step_by(2)
                .map(|offset| odd_near(1024, offset))
                .find(|n| SMALL_PRIMES.iter().all(|prime| remainder(n, *prime) != 0))
        };
        let (one, other) = (free(1).unwrap(), free(5001).unwrap());
        let refusal = check_rsa(&modulus_of([&one, &other]), &[1, 0, 1]).unwrap_err().to_string();
        assert!(refusal.contains("Fermat"), "{refusal}");
    }

    #[test]
    fn roca_moduli_are_found() {
        // By definition: a number that is a power of 65537 modulo the product of the fingerprint's primes.
        let product = SMALL_PRIMES[ROCA_PRIMES].iter().fold(BigUint::from(1_u32), |all, prime| all * *prime);
        let residue = BigUint::from(65_537_u32).modpow(&BigUint::from(123_456_789_u32), &product);
        let mut n = &product * (BigUint::from(3_u32) << (2046 - product.bits())) * 2_u32 + residue;
        while n.bits() < 2048 || SMALL_PRIMES.iter().any(|prime| remainder(&n, *prime) == 0) {
            n += &product;
            if n.bits() < 2048 {
                n += &product << (2047 - product.bits());
            }
        }
        let refusal = check_rsa(&n.to_bytes_be(), &[1, 0, 1]).unwrap_err().to_string();
        assert!(refusal.contains("ROCA"), "{refusal}");
    }
}
