//! From rows to what the page shows. Pure, and without arithmetic: every number is copied out of a cell.

use serde_json::Value;
use shared::error::{ApiError, Code};

use crate::format::money;
use crate::parse::{Doubt, Question};
use crate::plan::Plan;
use crate::wire::{CellKind, Days, Kind, Locale, Report, Row, Shown, Unclear};
use crate::{tables, words};

/// The answer to a question that was not understood. Never a number.
pub fn unclear(doubt: &Doubt, locale: Locale) -> Shown {
    Shown {
        kind: Kind::Unknown,
        metric: None,
        value: Value::Null,
        period: None,
        formatted: words::doubt(doubt, locale),
        days: None,
        currency: None,
        notes: vec![],
        columns: vec![],
        rows: None,
        doubt: Some(Unclear {
            reason: doubt.reason,
            words: doubt.words.clone(),
            suggestions: words::suggestions(locale),
        }),
    }
}

/// The answer to a question, from the report its plan asked for.
pub fn answer(question: &Question, report: &Report, locale: Locale) -> Result<Shown, ApiError> {
    let mut shown = match question.plan {
        Plan::Revenue { .. } => revenue(report, locale)?,
        Plan::Profit { .. } => profit(report, locale)?,
        Plan::Orders { .. } => orders(report, locale)?,
        Plan::Alerts { period } => alerts(report, period.is_some(), locale)?,
        Plan::TopProducts { .. } | Plan::TopCustomers { .. } | Plan::Channels { .. } | Plan::UnitEconomics { .. } => {
            tables::ranking(question.plan.intent(), report, locale)
        }
    };
    shown.period = Some(match question.plan.period() {
        Some(period) => words::period(period, &report.period, locale),
        None => locale.pick("Now", "Сейчас").to_owned(),
    });
    if question.plan.period().is_some() {
        let dates = report.period.clone();
        shown.days = Some(Days {
            from: dates.from,
            to: dates.to,
            time_zone: dates.time_zone,
            period_assumed: question.period_assumed,
        });
        if question.period_assumed {
            shown.notes.push(words::period_assumed(locale).to_owned());
        }
        if report.period.ends_in_future {
            shown.notes.push(words::not_over(locale).to_owned());
        }
    }
    Ok(shown)
}

/// The first row of a report that always has one.
struct Cells<'a> {
    row: &'a Row,
    currency: &'a str,
    locale: Locale,
}

impl<'a> Cells<'a> {
    fn of(report: &'a Report, locale: Locale) -> Result<Self, ApiError> {
        let row = report
            .rows
            .first()
            .ok_or_else(|| ApiError::new(Code::InternalError).detail("a report without its row"))?;
        Ok(Self {
            row,
            currency: &report.currency,
            locale,
        })
    }

    /// A cell as it came; null is an answer, absence a defect.
    fn cell(&self, name: &str) -> Result<&'a Value, ApiError> {
        self.row
            .get(name)
            .ok_or_else(|| ApiError::new(Code::InternalError).detail(format_args!("a report without {name}")))
    }

    /// An amount with its currency; `None` where it is not known.
    fn money(&self, name: &str) -> Result<Option<String>, ApiError> {
        Ok(self.cell(name)?.as_str().map(|amount| money(amount, self.currency, self.locale)))
    }

    fn money_or_dash(&self, name: &str) -> Result<String, ApiError> {
        Ok(self.money(name)?.unwrap_or_else(|| "-".to_owned()))
    }

    /// Orders whose money cannot be added up make a note wherever revenue is said.
    fn note_unclear(&self, notes: &mut Vec<String>) -> Result<(), ApiError> {
        let count = self.cell("unclear_orders")?;
        if count != 0 {
            notes.push(self.locale.pick(
                format!("Not included: {count} paid in another currency, or with an unreadable amount."),
                format!("Не учтено заказов: {count}. Они оплачены в другой валюте, или сумма нечитаема."),
            ));
        }
        Ok(())
    }
}

pub(crate) fn shown(kind: Kind, metric: &'static str, value: Value, formatted: String, currency: Option<&str>) -> Shown {
    Shown {
        kind,
        metric: Some(metric),
        value,
        period: None,
        formatted,
        days: None,
        currency: currency.map(str::to_owned),
        notes: vec![],
        columns: vec![],
        rows: None,
        doubt: None,
    }
}

fn revenue(report: &Report, locale: Locale) -> Result<Shown, ApiError> {
    let cells = Cells::of(report, locale)?;
    let mut shown = shown(
        Kind::Metric,
        locale.pick("Revenue", "Выручка"),
        cells.cell("revenue")?.clone(),
        cells.money_or_dash("revenue")?,
        Some(&report.currency),
    );
    shown.notes.push(locale.pick("Before refunds.", "До вычета возвратов.").to_owned());
    cells.note_unclear(&mut shown.notes)?;
    Ok(shown)
}

fn profit(report: &Report, locale: Locale) -> Result<Shown, ApiError> {
    let cells = Cells::of(report, locale)?;
    let value = cells.money("true_profit")?;
    let known = value.is_some();
    let formatted = value.unwrap_or_else(|| locale.pick("Not known", "Неизвестна").to_owned());
    let name = locale.pick("True profit", "Прибыль после всех расходов");
    let mut shown = shown(
        Kind::Metric,
        name,
        cells.cell("true_profit")?.clone(),
        formatted,
        Some(&report.currency),
    );
    let [revenue, fees, refunds, ads] = ["revenue", "fees", "refunds", "ad_spend"].map(|name| cells.money_or_dash(name));
    let (revenue, fees, refunds, ads) = (revenue?, fees?, refunds?, ads?);
    if known {
        let (cost, gross) = (cells.money_or_dash("cost")?, cells.money_or_dash("gross_profit")?);
        shown.notes.push(locale.pick(
            format!("Revenue {revenue} less cost of the codes {cost}, fees {fees}, refunds {refunds} and ad spend {ads}. Gross profit: {gross}."),
            format!("Выручка {revenue} минус себестоимость кодов {cost}, комиссии {fees}, возвраты {refunds} и реклама {ads}. Валовая прибыль: {gross}."),
        ));
    } else {
        let (unknown, orders) = (cells.cell("unknown_cost_orders")?, cells.cell("orders")?);
        shown.notes.push(locale.pick(
            format!(
                "The cost of {unknown} of {orders} paid orders is not known (codes not delivered yet, or imported without a cost), so neither is the profit. \
                 Revenue {revenue}, fees {fees}, refunds {refunds}, ad spend {ads}."
            ),
            format!(
                "Себестоимость неизвестна у {unknown} из {orders} оплаченных заказов (коды ещё не выданы или загружены без цены), поэтому неизвестна и прибыль. \
                 Выручка {revenue}, комиссии {fees}, возвраты {refunds}, реклама {ads}."
            ),
        ));
    }
    cells.note_unclear(&mut shown.notes)?;
    Ok(shown)
}

fn orders(report: &Report, locale: Locale) -> Result<Shown, ApiError> {
    let cells = Cells::of(report, locale)?;
    let orders = cells.cell("orders")?;
    let mut shown = shown(
        Kind::Metric,
        locale.pick("Paid orders", "Оплаченные заказы"),
        orders.clone(),
        orders.to_string(),
        None,
    );
    let (placed, revenue, average) = (
        cells.cell("placed")?,
        cells.money_or_dash("revenue")?,
        cells.money_or_dash("average_order")?,
    );
    shown.notes.push(locale.pick(
        format!("Placed in the period, paid or not: {placed}. Revenue {revenue}, {average} per order."),
        format!("Оформлено за период, оплаченных и нет: {placed}. Выручка {revenue}, в среднем {average} на заказ."),
    ));
    cells.note_unclear(&mut shown.notes)?;
    Ok(shown)
}

fn alerts(report: &Report, in_period: bool, locale: Locale) -> Result<Shown, ApiError> {
    let total = report
        .total
        .ok_or_else(|| ApiError::new(Code::InternalError).detail("alerts without a total"))?;
    let name = if in_period {
        locale.pick("Alerts", "Оповещения")
    } else {
        locale.pick("Open alerts", "Открытые оповещения")
    };
    let mut shown = shown(Kind::Alerts, name, total.into(), format!("{name}: {total}"), None);
    if u64::try_from(report.rows.len()).is_ok_and(|rows| rows < total) {
        shown.notes.push(
            locale
                .pick("Only the gravest are listed.", "Показаны только самые важные.")
                .to_owned(),
        );
    }
    if in_period {
        shown.notes.push(
            locale
                .pick(
                    "Opened in this period; some may be resolved.",
                    "Открытые за этот период; часть может быть уже закрыта.",
                )
                .to_owned(),
        );
    }
    tables::fill(
        &mut shown,
        report,
        &[
            ("severity", CellKind::Text),
            ("title", CellKind::Text),
            ("message", CellKind::Text),
            ("occurrences", CellKind::Count),
            ("created_at", CellKind::Time),
        ],
        locale,
    );
    Ok(shown)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::parse;
    use serde_json::json;

    fn report(rows: Value) -> Report {
        serde_json::from_value(json!({
            "period": {"from": "2026-01-09", "to": "2026-01-15", "time_zone": "Asia/Almaty", "ends_in_future": false},
            "currency": "USD", "rows": rows, "total": 3
        }))
        .unwrap()
    }

    fn to(question: &str, rows: Value, locale: Locale) -> Value {
        serde_json::to_value(answer(&parse(question).unwrap(), &report(rows), locale).unwrap()).unwrap()
    }

    fn profit_row(cost: Value, true_profit: Value) -> Value {
        json!([{"true_profit": true_profit, "revenue": "15000.00", "cost": cost, "gross_profit": "3750.00", "fees": "450.00", "refunds": "150.00",
                "contribution": "3150.00", "ad_spend": "1500.00", "orders": 150, "unknown_cost_orders": 2, "unclear_orders": 0}])
    }

    #[test]
    fn a_metric_has_the_documents_members() {
        let shown = to(
            "revenue",
            json!([{"revenue": "15234.50", "orders": 12, "unclear_orders": 0}]),
            Locale::En,
        );
        assert_eq!(
            shown,
            json!({
                "type": "metric", "metric": "Revenue", "value": "15234.50", "period": "Last 7 days, 2026-01-09 to 2026-01-15", "formatted": "$15,234.50",
                "from": "2026-01-09", "to": "2026-01-15", "timeZone": "Asia/Almaty", "periodAssumed": true, "currency": "USD",
                "notes": ["Before refunds.", "No period was named, so this is the last seven days."],
            })
        );
        let shown = to(
            "выручка за неделю",
            json!([{"revenue": "0.00", "orders": 1, "unclear_orders": 1}]),
            Locale::Ru,
        );
        assert_eq!(
            shown["notes"][1],
            "Не учтено заказов: 1. Они оплачены в другой валюте, или сумма нечитаема."
        );
    }

    #[test]
    fn a_profit_says_what_it_is_made_of_or_that_it_is_not_known() {
        let shown = to(
            "profit for the last 7 days",
            profit_row("11250.00".into(), "1650.00".into()),
            Locale::En,
        );
        assert_eq!((&shown["value"], &shown["formatted"]), (&json!("1650.00"), &json!("$1,650.00")));
        let note = "Revenue $15,000.00 less cost of the codes $11,250.00, fees $450.00, refunds $150.00 and ad spend $1,500.00. Gross profit: $3,750.00.";
        assert_eq!(shown["notes"], json!([note]));
        let shown = to("profit", profit_row(Value::Null, Value::Null), Locale::En);
        assert_eq!((&shown["value"], &shown["formatted"]), (&Value::Null, &json!("Not known")));
        assert!(
            shown["notes"][0]
                .as_str()
                .unwrap()
                .starts_with("The cost of 2 of 150 paid orders is not known"),
            "{shown}"
        );
    }

    #[test]
    fn tables_keep_their_rows_and_name_no_number() {
        let rows = json!([{"product_name": "Nimbus Card", "brand": "Nimbus", "orders_count": 2, "units": 4, "revenue": "150.00"}]);
        let shown = to("top 10 products", rows.clone(), Locale::En);
        assert_eq!(
            (&shown["type"], &shown["value"], &shown["rows"]),
            (&json!("table"), &Value::Null, &rows)
        );
        assert_eq!(shown["formatted"], "Top products by revenue");
        assert_eq!(shown["columns"][4], json!({"key": "revenue", "label": "Revenue", "kind": "money"}));
        assert_eq!(to("top 10 products", json!([]), Locale::En)["formatted"], "Nothing in this period");
    }

    #[test]
    fn alerts_without_a_period_are_those_open_now() {
        let shown = to("alerts", json!([]), Locale::En);
        assert_eq!(
            (&shown["type"], &shown["value"], &shown["period"]),
            (&json!("alerts"), &json!(3), &json!("Now"))
        );
        assert_eq!(shown["notes"], json!(["Only the gravest are listed."]));
        assert_eq!(
            to("alerts today", json!([]), Locale::Ru)["period"],
            "Сегодня, с 2026-01-09 по 2026-01-15"
        );
    }

    #[test]
    fn a_missing_cell_is_a_defect_and_not_a_zero() {
        let question = parse("revenue").unwrap();
        for rows in [json!([]), json!([{"orders": 1}])] {
            assert_eq!(answer(&question, &report(rows), Locale::En).unwrap_err().code, Code::InternalError);
        }
    }

    #[test]
    fn an_unclear_question_gets_no_value() {
        let shown = serde_json::to_value(unclear(&parse("revenue of Kazakhstan in 2026").unwrap_err(), Locale::En)).unwrap();
        assert_eq!(
            (&shown["type"], &shown["value"], &shown["metric"]),
            (&json!("unknown"), &Value::Null, &Value::Null)
        );
        assert_eq!(
            (&shown["reason"], &shown["words"]),
            (&json!("unknown_words"), &json!(["kazakhstan"]))
        );
    }
}
