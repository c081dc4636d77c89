//! Answers that are tables: their titles, columns, and what to know about them.

use serde_json::Value;

use crate::answer::shown;
use crate::plan::Intent;
use crate::wire::{CellKind, Kind, Locale, Report, Shown};
use crate::words;

pub fn ranking(intent: Intent, report: &Report, locale: Locale) -> Shown {
    use CellKind::{Count, Money, Percent, Ratio, Text, Unit};
    let (name, note, columns): (_, _, &[(&str, CellKind)]) = match intent {
        Intent::TopProducts => (
            locale.pick("Top products by revenue", "Лучшие товары по выручке"),
            locale.pick("Before refunds.", "До вычета возвратов."),
            &[
                ("product_name", Text),
                ("brand", Text),
                ("orders_count", Count),
                ("units", Count),
                ("revenue", Money),
            ],
        ),
        Intent::TopCustomers => (
            locale.pick("Top customers by what they paid", "Лучшие клиенты по сумме оплат"),
            locale.pick("Less refunds of these orders.", "За вычетом возвратов по этим заказам."),
            &[
                ("email", Text),
                ("name", Text),
                ("orders_count", Count),
                ("revenue", Money),
                ("refunded", Money),
                ("net", Money),
            ],
        ),
        Intent::Channels => (
            locale.pick("Channels by gross profit", "Каналы по валовой прибыли"),
            locale.pick(
                "Profit here is before fees and refunds.",
                "Прибыль здесь до вычета комиссий и возвратов.",
            ),
            &[
                ("utm_source", Text),
                ("utm_campaign", Text),
                ("sessions", Count),
                ("orders", Count),
                ("revenue", Money),
                ("cost", Money),
                ("profit", Money),
                ("ad_spend", Money),
                ("roi_percentage", Percent),
                ("mer", Ratio),
                ("conversion_rate", Percent),
            ],
        ),
        _ => (
            locale.pick("Unit economics", "Юнит-экономика"),
            locale.pick(
                "Change against as many days right before.",
                "Изменение к такому же числу дней непосредственно перед периодом.",
            ),
            &[("metric_name", Text), ("metric_value", Unit), ("period_comparison", Percent)],
        ),
    };
    let formatted = if report.rows.is_empty() {
        words::nothing_found(locale)
    } else {
        name
    };
    let mut shown = shown(Kind::Table, name, Value::Null, formatted.to_owned(), Some(&report.currency));
    shown.notes.push(note.to_owned());
    fill(&mut shown, report, columns, locale);
    shown
}

pub fn fill(shown: &mut Shown, report: &Report, columns: &[(&'static str, CellKind)], locale: Locale) {
    shown.columns = columns.iter().map(|(key, kind)| words::column(key, *kind, locale)).collect();
    shown.rows = Some(report.rows.clone());
}
