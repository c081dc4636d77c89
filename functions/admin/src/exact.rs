//! Figures on their way from the database to the page, digit for digit. Pure.
//!
//! PostgREST prints a `numeric` as a JSON number, whose token has all of its digits; read into a binary float they would not survive. So each
//! token is taken as it stands and put into a string. Counts stay numbers, and null stays null: not known is not zero.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

/// Columns of type `numeric`: amounts, percentages, ratios and means. Everything else passes as it is.
const FIGURES: &[&str] = &[
    "ad_spend",
    "avg_24h",
    "avg_ltv",
    "avg_order_value",
    "avg_orders_per_customer",
    "avg_page_seconds",
    "avg_scroll_depth",
    "avg_session_seconds",
    "baseline_value",
    "bounce_rate",
    "change_percentage",
    "conversion_from_previous",
    "conversion_rate",
    "cost",
    "current_value",
    "failed_percentage",
    "margin_percentage",
    "mer",
    "metric_value",
    "monetary",
    "overall_conversion",
    "pages_per_session",
    "period_comparison",
    "profit",
    "repeat_rate",
    "retention_rates",
    "revenue",
    "roi_percentage",
    "total_ltv",
    "total_spent",
    "value",
];

/// The one figure of `get_unit_economics` that counts things; the column it stands in holds amounts.
const COUNTED: &str = "\"Total Orders\"";

type Row = BTreeMap<String, Box<RawValue>>;

/// The row with every figure as a string of at least two decimals (`75` -> `"75.00"`).
pub fn row(row: Row) -> Row {
    let counted = row.get("metric_name").is_some_and(|name| name.get() == COUNTED);
    let exact = |(name, raw): (String, Box<RawValue>)| {
        let decimals = if counted && name == "metric_value" { 0 } else { 2 };
        let raw = if FIGURES.contains(&name.as_str()) {
            figure(raw, decimals)
        } else {
            raw
        };
        (name, raw)
    };
    row.into_iter().map(exact).collect()
}

fn figure(raw: Box<RawValue>, decimals: usize) -> Box<RawValue> {
    let token = raw.get();
    let text = if token.starts_with('[') {
        match serde_json::from_str::<Vec<Box<RawValue>>>(token) {
            Ok(list) => {
                let list: Vec<String> = list.into_iter().map(|item| figure(item, decimals).get().to_owned()).collect();
                format!("[{}]", list.join(","))
            }
            Err(_) => return raw,
        }
    } else if token.starts_with(|c: char| c == '-' || c.is_ascii_digit()) {
        format!("\"{}\"", padded(token, decimals))
    } else {
        return raw;
    };
    // A string of digits, or a list of such: always JSON.
    RawValue::from_string(text).unwrap_or(raw)
}

/// At least so many decimals; digits that are there are kept, but for the zeros of a whole number that is to have none.
fn padded(token: &str, decimals: usize) -> String {
    match token.split_once('.') {
        Some((whole, part)) if decimals == 0 && part.bytes().all(|b| b == b'0') => whole.to_owned(),
        Some((_, part)) => format!("{token}{}", "0".repeat(decimals.saturating_sub(part.len()))),
        None if decimals > 0 && token.bytes().all(|b| b == b'-' || b.is_ascii_digit()) => format!("{token}.{}", "0".repeat(decimals)),
        None => token.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn through(json: &str) -> String {
        serde_json::to_string(&row(serde_json::from_str(json).unwrap())).unwrap()
    }

    #[test]
    fn figures_become_strings_digit_for_digit() {
        for (given, answered) in [
            (r#"{"revenue":9999999999.99}"#, r#"{"revenue":"9999999999.99"}"#),
            // Halfway between two binary floats, and beyond what they tell apart.
            (r#"{"revenue":90071992547409.93}"#, r#"{"revenue":"90071992547409.93"}"#),
            (r#"{"profit":-0.10}"#, r#"{"profit":"-0.10"}"#),
            (r#"{"profit":0}"#, r#"{"profit":"0.00"}"#),
            (r#"{"mer":15.5}"#, r#"{"mer":"15.50"}"#),
            (r#"{"cost":1.234}"#, r#"{"cost":"1.234"}"#),
            (r#"{"cost":null}"#, r#"{"cost":null}"#),
            (r#"{"revenue":"12.50"}"#, r#"{"revenue":"12.50"}"#),
            (
                r#"{"retention_rates":[50,33.33,null]}"#,
                r#"{"retention_rates":["50.00","33.33",null]}"#,
            ),
            (r#"{"retention_rates":[]}"#, r#"{"retention_rates":[]}"#),
            (r#"{"sessions":10000,"orders":0}"#, r#"{"orders":0,"sessions":10000}"#),
            (r#"{"product_data":{"revenue":1.5}}"#, r#"{"product_data":{"revenue":1.5}}"#),
        ] {
            assert_eq!(through(given), answered, "{given}");
        }
    }

    #[test]
    fn what_is_counted_among_amounts_has_no_cents() {
        for (given, answered) in [
            (
                r#"{"metric_name":"Total Orders","metric_value":150}"#,
                r#"{"metric_name":"Total Orders","metric_value":"150"}"#,
            ),
            (
                r#"{"metric_name":"Total Orders","metric_value":150.00}"#,
                r#"{"metric_name":"Total Orders","metric_value":"150"}"#,
            ),
            (
                r#"{"metric_name":"Revenue","metric_value":150}"#,
                r#"{"metric_name":"Revenue","metric_value":"150.00"}"#,
            ),
        ] {
            assert_eq!(through(given), answered);
        }
    }

    proptest! {
        #[test]
        fn no_digit_is_lost(whole in "-?(0|[1-9][0-9]{0,24})", part in "[0-9]{0,6}") {
            let token = if part.is_empty() { whole.clone() } else { format!("{whole}.{part}") };
            let answered = through(&format!("{{\"revenue\":{token}}}"));
            prop_assert!(answered.contains(&format!("\"{token}")), "{}", answered);
            let text = answered.trim_start_matches("{\"revenue\":\"").trim_end_matches("\"}");
            prop_assert!(text.split_once('.').is_some_and(|(_, decimals)| decimals.len() >= 2));
            prop_assert!(text.strip_prefix(&token).is_some_and(|rest| rest.bytes().all(|b| b == b'0' || b == b'.')));
        }
    }
}
