//! Which variant a visitor gets. Pure, and for good: a change here would draw every visitor of a running experiment anew.
//!
//! The bucket is the first 8 bytes of sha256(`<experiment key>:<visitor id>`) as an unsigned big-endian number, modulo 100. The key is part
//! of it, so that whoever is in one experiment's first half is not in every other's (LD-111). Keys have no colon, so no two pairs share a
//! text. 2^64 is not a multiple of 100; the buckets below 16 are more likely by less than one part in 10^17.
//!
//! A variant has the buckets from the sum of the percents before it up to, not including, that sum and its own.

use sha2::{Digest, Sha256};

/// Variants in their order, each with its percent of the visitors; together 100.
pub type Shares = [(String, u8)];

pub fn bucket(experiment: &str, visitor: &str) -> u8 {
    let hash = Sha256::new()
        .chain_update(experiment)
        .chain_update(b":")
        .chain_update(visitor)
        .finalize();
    let number = hash.iter().take(8).fold(0_u64, |number, byte| (number << 8) | u64::from(*byte));
    (number % 100) as u8
}

/// The variant that has this bucket; `None` where the shares do not reach it, which the database does not let happen.
pub fn variant(shares: &Shares, bucket: u8) -> Option<&str> {
    let mut end = 0_u32;
    shares.iter().find_map(|(name, percent)| {
        end += u32::from(*percent);
        (u32::from(bucket) < end).then_some(name.as_str())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Printed by an implementation that is not this one:
    /// `python3 -c 'import hashlib,sys; print(int.from_bytes(hashlib.sha256((sys.argv[1]+":"+sys.argv[2]).encode()).digest()[:8],"big")%100)' <key> <visitor>`
    const VECTORS: [(&str, &str, u8); 6] = [
        ("home_hero_v2", "3f0b6f3e-6a3c-4f0e-9a54-0f4e6c1d2b7a", 98),
        ("home_hero_v2", "v-1", 31),
        ("discount_25_vs_30", "v-1", 71),
        ("a", "b", 48),
        ("a", "b:c", 26),
        ("k", "посетитель", 74),
    ];

    fn shares(percents: &[u8]) -> Vec<(String, u8)> {
        let names = ["a", "b", "c", "d"].map(str::to_owned);
        names.into_iter().zip(percents.iter().copied()).collect()
    }

    #[test]
    fn buckets_are_those_of_the_published_vectors() {
        for (experiment, visitor, expected) in VECTORS {
            assert_eq!(bucket(experiment, visitor), expected, "{experiment} {visitor}");
        }
        assert_eq!(bucket("k", &"x".repeat(128)), 72);
    }

    #[test]
    fn each_variant_has_the_buckets_of_its_share() {
        let shares = shares(&[34, 0, 33, 33]);
        let first_and_last = |name: &str| {
            let own: Vec<u8> = (0..100).filter(|bucket| variant(&shares, *bucket) == Some(name)).collect();
            (own.first().copied(), own.last().copied(), own.len())
        };
        assert_eq!(first_and_last("a"), (Some(0), Some(33), 34));
        assert_eq!(first_and_last("b"), (None, None, 0));
        assert_eq!(first_and_last("c"), (Some(34), Some(66), 33));
        assert_eq!(first_and_last("d"), (Some(67), Some(99), 33));
        assert_eq!(variant(&[], 0), None);
    }

    /// Of 10,000 visitors halves get 5,000 each, give or take five standard deviations: sqrt(10000 * 0.5 * 0.5) = 50. Of two
    /// experiments that do not depend on each other, a quarter is in the first half of both: 2,500, sqrt(10000 * 0.25 * 0.75) = 43.3.
    /// (`hash(visitor) % 100` without the key would put 5,000 there.)
    #[test]
    fn halves_are_halves_and_two_experiments_do_not_depend_on_each_other() {
        let visitors: Vec<String> = (0..10_000).map(|i| format!("visitor-{i}")).collect();
        let first = |experiment, visitor: &String| bucket(experiment, visitor) < 50;
        let count = |is_in: &dyn Fn(&String) -> bool| visitors.iter().filter(|visitor| is_in(visitor)).count();
        let hero = count(&|v| first("home_hero_v2", v));
        let discount = count(&|v| first("discount_25_vs_30", v));
        let both = count(&|v| first("home_hero_v2", v) && first("discount_25_vs_30", v));
        assert!(
            (4750..=5250).contains(&hero) && (4750..=5250).contains(&discount),
            "{hero} {discount}"
        );
        assert!((2284..=2716).contains(&both), "{both}");
        // The same counts as python3's hashlib gives.
        assert_eq!((hero, discount, both), (4967, 5047, 2519));
    }

    proptest! {
        #[test]
        fn every_visitor_has_a_variant(visitor in "\\PC{1,128}", cut in 0u8..=100) {
            let bucket = bucket("k", &visitor);
            prop_assert!(bucket < 100);
            let shares = shares(&[cut, 100 - cut]);
            prop_assert_eq!(variant(&shares, bucket), Some(if bucket < cut { "a" } else { "b" }));
        }
    }
}
