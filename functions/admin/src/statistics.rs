//! What counts of an experiment allow to say. Pure.
//!
//! **Sample ratio.** Visitors are drawn in the allocated percents; where those who were exposed are not spread like that, something other than
//! chance decides who is counted (a variant that crashes before it reports, a redirect that loses people), and no comparison of the variants
//! means anything. Pearson's chi-square test: sum of (exposed - expected)^2 / expected. Where the allocation was changed on the way, each
//! allocation is compared by itself, and statistics and degrees of freedom are added; all visitors against one allocation would look
//! wrong by design. `p < 0.001` is a mismatch: the check is looked at again and again, and a false alarm discredits it.
//!
//! **Conversion.** Each variant against the first: difference of the two rates, with a normal approximation and the variance of each side by
//! itself. 5 % is shared among the variants compared (Bonferroni): with nine of them one would else look better by chance as likely as not.
//! The test and the interval are one statement: the interval leaves out zero exactly where p is below the level.
//!
//! There is no verdict on revenue or order value: few large orders decide them, and a normal approximation would be wrong where it matters.
//! Nor is there a winner: who looks every day and stops at the first difference will find one. Fix the number of visitors before.

use serde::Serialize;
use statrs::distribution::{ChiSquared, ContinuousCDF, Normal};

/// Below this probability the spread of visitors is no chance.
const MISMATCH: f64 = 0.001;
/// The chi-square distribution fits from about this expected count on.
const MIN_EXPECTED: f64 = 5.0;
/// Probability of seeing any difference where there is none.
const LEVEL: f64 = 0.05;
/// Fewer exposed visitors, or fewer who did or did not buy, are too few for a normal approximation.
const MIN_EXPOSED: u64 = 100;
const MIN_EACH: u64 = 10;

/// A variant under one allocation.
#[derive(Debug, Clone, Copy, serde::Deserialize)]
pub struct Cell {
    pub percent: u32,
    pub exposed: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SampleRatio {
    /// `None`: too few visitors to tell.
    pub mismatch: Option<bool>,
    pub chi_square: f64,
    pub degrees_of_freedom: u32,
    /// How likely a spread as uneven as this one is by chance.
    pub p_value: Option<f64>,
}

pub fn sample_ratio(allocations: &[Vec<Cell>]) -> SampleRatio {
    let (mut chi_square, mut degrees, mut impossible) = (0.0, 0, false);
    for cells in allocations {
        let total: u64 = cells.iter().map(|cell| cell.exposed).sum();
        let expected = |cell: &Cell| total as f64 * f64::from(cell.percent) / 100.0;
        let drawn: Vec<&Cell> = cells.iter().filter(|cell| cell.percent > 0).collect();
        // Nobody is drawn into a share of 0 %: whoever is there came by another way.
        impossible |= cells.iter().any(|cell| cell.percent == 0 && cell.exposed > 0);
        if drawn.len() < 2 || drawn.iter().any(|cell| expected(cell) < MIN_EXPECTED) {
            continue;
        }
        let of = |cell: &&Cell| (cell.exposed as f64 - expected(cell)).powi(2) / expected(cell);
        chi_square += drawn.iter().map(of).sum::<f64>();
        degrees += drawn.len() as u32 - 1;
    }
    let distribution = ChiSquared::new(f64::from(degrees)).ok().filter(|_| degrees > 0);
    let p_value = match distribution {
        _ if impossible => Some(0.0),
        Some(distribution) => Some(distribution.sf(chi_square)),
        None => None,
    };
    SampleRatio {
        mismatch: p_value.map(|p| p < MISMATCH),
        chi_square: rounded(chi_square, 4),
        degrees_of_freedom: degrees,
        p_value,
    }
}

/// Visitors who saw a variant, and those of them who bought.
#[derive(Debug, Clone, Copy)]
pub struct Arm {
    pub exposed: u64,
    pub converted: u64,
}

impl Arm {
    /// Percent, two decimals; `None` where nobody was exposed.
    pub fn conversion_rate(self) -> Option<f64> {
        (self.exposed > 0).then(|| rounded(self.rate() * 100.0, 2))
    }

    fn rate(self) -> f64 {
        self.converted as f64 / self.exposed as f64
    }

    fn variance(self) -> f64 {
        self.rate() * (1.0 - self.rate()) / self.exposed as f64
    }

    fn is_enough(self) -> bool {
        self.exposed >= MIN_EXPOSED && self.converted >= MIN_EACH && self.exposed.saturating_sub(self.converted) >= MIN_EACH
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    TooEarly,
    /// The sample ratio does not fit.
    NotReliable,
    NoDifferenceShown,
    Higher,
    Lower,
}

/// A variant's conversion against that of the first one, in percentage points.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Comparison {
    pub verdict: Verdict,
    pub sentence: String,
    pub difference: Option<f64>,
    /// The interval's ends, and how likely a difference like this is by chance; where there are enough visitors.
    pub low: Option<f64>,
    pub high: Option<f64>,
    pub p_value: Option<f64>,
}

/// `names` are those of the first variant and of this one; `compared` is how many variants are compared with the first.
pub fn compare(names: [&str; 2], first: Arm, this: Arm, compared: usize, mismatch: bool) -> Comparison {
    let difference = (first.exposed > 0 && this.exposed > 0).then(|| (this.rate() - first.rate()) * 100.0);
    let level = LEVEL / compared.max(1) as f64;
    let interval = difference.filter(|_| first.is_enough() && this.is_enough()).map(|difference| {
        let error = (first.variance() + this.variance()).sqrt() * 100.0;
        let normal = Normal::standard();
        let reach = normal.inverse_cdf(1.0 - level / 2.0) * error;
        (difference - reach, difference + reach, 2.0 * normal.sf(difference.abs() / error))
    });
    let verdict = match interval {
        _ if mismatch => Verdict::NotReliable,
        None => Verdict::TooEarly,
        Some((low, ..)) if low > 0.0 => Verdict::Higher,
        Some((_, high, _)) if high < 0.0 => Verdict::Lower,
        Some(_) => Verdict::NoDifferenceShown,
    };
    Comparison {
        verdict,
        sentence: sentence(verdict, names, interval),
        difference: difference.map(|points| rounded(points, 2)),
        low: interval.map(|(low, ..)| rounded(low, 2)),
        high: interval.map(|(_, high, _)| rounded(high, 2)),
        p_value: interval.map(|(.., p)| p),
    }
}

fn sentence(verdict: Verdict, [first, this]: [&str; 2], interval: Option<(f64, f64, f64)>) -> String {
    let (low, high, _) = interval.unwrap_or_default();
    match verdict {
        Verdict::TooEarly => format!(
            "Too early to say: {first} and {this} each need {MIN_EXPOSED} visitors who saw them, {MIN_EACH} who bought and {MIN_EACH} who did not."
        ),
        Verdict::NotReliable => {
            "Do not rely on this: the visitors are not spread over the variants as allocated, so more than the variants differs.".to_owned()
        }
        Verdict::NoDifferenceShown => {
            format!("No difference shown: the conversion of {this} may lie {low:+.2} to {high:+.2} points from that of {first}.")
        }
        Verdict::Higher | Verdict::Lower => {
            let word = if verdict == Verdict::Higher { "more" } else { "fewer" };
            format!("Of those who saw {this}, {word} bought than of those who saw {first}: {low:+.2} to {high:+.2} points.")
        }
    }
}

fn rounded(number: f64, decimals: i32) -> f64 {
    let scale = 10_f64.powi(decimals);
    // Plus zero: of -0.001 nothing is left, not even the sign.
    (number * scale).round() / scale + 0.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cells(pairs: &[(u32, u64)]) -> Vec<Cell> {
        let cell = |(percent, exposed): &(u32, u64)| Cell {
            percent: *percent,
            exposed: *exposed,
        };
        pairs.iter().map(cell).collect()
    }

    #[track_caller]
    fn near(left: f64, right: f64) {
        assert!((left - right).abs() <= 1e-9 * right.abs().max(1e-6), "{left} {right}");
    }

    /// The expected values are printed by SciPy 1.17: `from scipy.stats import chisquare; print(chisquare([600, 400], [500, 500]))`.
    #[test]
    fn chi_square_and_its_probability_are_those_of_scipy() {
        for (allocation, chi_square, p) in [
            (cells(&[(50, 600), (50, 400)]), 40.0, 2.5396285894708634e-10),
            (cells(&[(50, 5050), (50, 4950)]), 1.0, 0.31731050786291115),
            (cells(&[(50, 5100), (50, 4900)]), 4.0, 0.04550026389635857),
            (cells(&[(50, 5165), (50, 4835)]), 10.89, 0.0009668482847675553),
            (cells(&[(34, 340), (33, 330), (33, 330)]), 0.0, 1.0),
            (cells(&[(34, 400), (33, 300), (33, 300)]), 16.0428, 0.00032836315757506847),
        ] {
            let ratio = sample_ratio(&[allocation]);
            near(ratio.chi_square, chi_square);
            near(ratio.p_value.unwrap(), p);
            assert_eq!(ratio.mismatch, Some(p < 0.001));
        }
    }

    /// `chi2.sf(chisquare([520, 480]).statistic + chisquare([95, 905], [100, 900]).statistic, 2)`; against 50:50 the same visitors would be
    /// a mismatch, `chisquare([615, 1385]).pvalue` is 2e-66.
    #[test]
    fn a_changed_allocation_is_compared_part_by_part() {
        let ratio = sample_ratio(&[cells(&[(50, 520), (50, 480)]), cells(&[(10, 95), (90, 905)])]);
        near(ratio.p_value.unwrap(), 0.39106210750432224);
        assert_eq!((ratio.degrees_of_freedom, ratio.mismatch), (2, Some(false)));
        assert_eq!(sample_ratio(&[cells(&[(50, 615), (50, 1385)])]).mismatch, Some(true));
    }

    #[test]
    fn few_visitors_say_nothing_and_a_visitor_in_an_empty_share_says_it_all() {
        for few in [
            vec![],
            vec![cells(&[(50, 0), (50, 0)])],
            vec![cells(&[(50, 9), (50, 0)])],
            vec![cells(&[(100, 500), (0, 0)])],
        ] {
            assert_eq!(sample_ratio(&few).mismatch, None, "{few:?}");
        }
        assert_eq!(sample_ratio(&[cells(&[(50, 5), (50, 5)])]).mismatch, Some(false));
        assert_eq!(sample_ratio(&[cells(&[(100, 500), (0, 1)])]).mismatch, Some(true));
    }

    fn arms(first: (u64, u64), this: (u64, u64)) -> [Arm; 2] {
        [first, this].map(|(converted, exposed)| Arm { exposed, converted })
    }

    /// Printed by SciPy 1.17, for (100, 1000, 140, 1000, 1) and so on:
    /// ```text
    /// from scipy.stats import norm
    /// def test(x1, n1, x2, n2, k):
    ///     a, b = x1/n1, x2/n2; se = (a*(1-a)/n1 + b*(1-b)/n2)**.5; z = norm.isf(0.05/k/2)
    ///     print(2*norm.sf(abs(b-a)/se), (b-a-z*se)*100, (b-a+z*se)*100)
    /// ```
    #[test]
    fn differences_intervals_and_probabilities_are_those_of_scipy() {
        for (first, this, compared, p, low, high, verdict) in [
            ((100, 1000), (140, 1000), 1, 0.005822078137343643, 1.16, 6.84, Verdict::Higher),
            ((100, 1000), (140, 1000), 3, 0.005822078137343643, 0.53, 7.47, Verdict::Higher),
            (
                (100, 1000),
                (110, 1000),
                1,
                0.46568424714874634,
                -1.69,
                3.69,
                Verdict::NoDifferenceShown,
            ),
            ((140, 1000), (100, 1000), 1, 0.005822078137343643, -6.84, -1.16, Verdict::Lower),
            ((200, 2000), (10, 100), 1, 1.0, -6.03, 6.03, Verdict::NoDifferenceShown),
        ] {
            let [control, variant] = arms(first, this);
            let found = compare(["control", "b"], control, variant, compared, false);
            near(found.p_value.unwrap(), p);
            assert_eq!(
                (found.low, found.high, found.verdict),
                (Some(low), Some(high), verdict),
                "{first:?} {this:?}"
            );
        }
    }

    #[test]
    fn no_side_is_called_better_while_there_are_few() {
        for (first, this) in [
            ((0, 0), (0, 0)),
            ((0, 99), (99, 99)),
            ((10, 99), (50, 1000)),
            ((9, 1000), (300, 1000)),
            ((500, 1000), (995, 1000)),
        ] {
            let [control, variant] = arms(first, this);
            let found = compare(["control", "b"], control, variant, 1, false);
            assert_eq!(
                (found.verdict, found.p_value, found.low),
                (Verdict::TooEarly, None, None),
                "{first:?} {this:?}"
            );
        }
    }

    #[test]
    fn a_mismatch_takes_every_verdict_back_and_sentences_speak_plainly() {
        let [control, variant] = arms((100, 1000), (140, 1000));
        let found = compare(["control", "b"], control, variant, 1, true);
        assert_eq!(found.verdict, Verdict::NotReliable);
        let found = compare(["control", "b"], control, variant, 1, false);
        assert_eq!(
            found.sentence,
            "Of those who saw b, more bought than of those who saw control: +1.16 to +6.84 points."
        );
        assert_eq!(
            (control.conversion_rate(), arms((0, 0), (0, 0))[0].conversion_rate()),
            (Some(10.0), None)
        );
    }
}
