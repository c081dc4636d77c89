//! Adds up the closing lines of cargo's test runs.

use std::{fmt, ops::AddAssign};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub passed: u64,
    pub failed: u64,
    pub skipped: u64,
}

impl Tally {
    /// Every `test result:` line among the lines of one run. A run that failed without a failed test (it did not build, a test
    /// program crashed) counts as one failure, so that no red run ends in a green sum.
    pub fn of_run<'a>(lines: impl IntoIterator<Item = &'a str>, succeeded: bool) -> Self {
        let mut tally = Self::default();
        lines.into_iter().filter_map(Self::of_line).for_each(|line| tally += line);
        if !succeeded && tally.failed == 0 {
            tally.failed = 1;
        }
        tally
    }

    /// "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 2 filtered out; finished in 0.10s"
    fn of_line(line: &str) -> Option<Self> {
        let counts = line.trim().strip_prefix("test result: ")?.split_once(". ")?.1;
        let count = |word: &str| -> Option<u64> {
            counts
                .split(';')
                .find_map(|part| part.trim().strip_suffix(word)?.trim().parse().ok())
        };
        Some(Self {
            passed: count("passed")?,
            failed: count("failed")?,
            skipped: count("ignored")?,
        })
    }

    /// Whether the gate is open. On CI a skipped test is a hole in it.
    pub fn is_good(self, ci: bool) -> bool {
        self.failed == 0 && self.passed > 0 && !(ci && self.skipped > 0)
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 2 filtered out; finished in 0.10s";
    const BAD: &str = "test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.10s";

    #[test]
    fn the_lines_of_all_test_programs_are_added_up() {
        let tally = Tally::of_run(["running 3 tests", GOOD, "", BAD], false);
        assert_eq!(tally.to_string(), "4 passed, 2 failed, 1 skipped");
    }

    #[test]
    fn a_run_that_broke_without_a_failed_test_is_one_failure() {
        assert_eq!(Tally::of_run([GOOD], false).failed, 1);
        assert_eq!(Tally::of_run([], false).failed, 1);
        assert_eq!(Tally::of_run([GOOD], true).failed, 0);
    }

    #[test]
    fn a_skip_closes_the_gate_on_ci_only_and_no_test_at_all_closes_it_everywhere() {
        let skipped = Tally {
            passed: 3,
            failed: 0,
            skipped: 1,
        };
        assert!(skipped.is_good(false) && !skipped.is_good(true));
        assert!(!Tally::default().is_good(false));
        assert!(
            !Tally {
                passed: 9,
                failed: 1,
                skipped: 0
            }
            .is_good(false)
        );
    }
}
