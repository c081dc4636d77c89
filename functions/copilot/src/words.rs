//! The sentences around the numbers, English and Russian. None holds a digit: those come out of the rows, or the plan.

use crate::parse::{Doubt, Reason};
use crate::plan::Period;
use crate::wire::{CellKind, Column, Dates, Locale};

const SUGGESTIONS_EN: [&str; 5] = [
    "Show me revenue for the last seven days",
    "What's our profit this week?",
    "Who are our best customers?",
    "Show top ten products",
    "What are the top performing channels?",
];
const SUGGESTIONS_RU: [&str; 5] = [
    "Покажи выручку за последние семь дней",
    "Какая прибыль за эту неделю?",
    "Кто наши лучшие клиенты?",
    "Топ десять товаров",
    "Лучшие каналы за прошлый месяц",
];

/// Questions that are answered, for who asked one that is not.
pub fn suggestions(locale: Locale) -> &'static [&'static str] {
    locale.pick(&SUGGESTIONS_EN, &SUGGESTIONS_RU)
}

/// Why there is no answer, and what there could be one to.
pub fn doubt(doubt: &Doubt, locale: Locale) -> String {
    let why = match doubt.reason {
        Reason::UnknownWords => locale.pick("I do not understand part of this question", "Часть вопроса мне непонятна"),
        Reason::UnclearPeriod => locale.pick("I am not sure which period is meant", "Непонятно, какой период имеется в виду"),
        Reason::UnclearNumber => locale.pick(
            "I am not sure what the number means, or it is out of bounds",
            "Непонятно, к чему относится число, или оно вне пределов",
        ),
        Reason::AmbiguousMetric => locale.pick(
            "This could mean revenue, profit or the number of orders",
            "Это может быть выручка, прибыль или число заказов",
        ),
        Reason::SeveralQuestions => locale.pick(
            "These are several questions; please ask one at a time",
            "Здесь несколько вопросов, задайте их по одному",
        ),
        Reason::NoMetric => locale.pick("I see no figure that is asked for", "Не вижу, о каком показателе вопрос"),
        Reason::UnclearRanking => locale.pick(
            "I rank products, customers and channels: ask for the top ones",
            "Я строю рейтинг товаров, клиентов и каналов: спросите о лучших",
        ),
        Reason::PeriodInFuture => locale.pick("This period has not begun yet", "Этот период ещё не начался"),
    };
    // Words with digits are left to the member `words`: this sentence must not look like a number.
    let quoted: Vec<&str> = doubt
        .words
        .iter()
        .map(String::as_str)
        .filter(|word| word.chars().all(|c| c.is_alphabetic() || c == ' '))
        .take(5)
        .collect();
    let quoted = if quoted.is_empty() {
        String::new()
    } else {
        format!(": {}", quoted.join(", "))
    };
    let can = locale.pick(
        "I can answer about revenue, profit, orders, top products, top customers, channels, alerts and unit economics; for today, yesterday, this or last week \
         or month, the last days, weeks or months, a date, or two dates.",
        "Я отвечаю о выручке, прибыли, заказах, лучших товарах, лучших клиентах, каналах, оповещениях и юнит-экономике; за сегодня, вчера, эту или прошлую неделю, \
         этот или прошлый месяц, последние дни, недели или месяцы, за дату или две даты.",
    );
    format!("{why}{quoted}. {can}")
}

/// The period in words and dates.
pub fn period(period: Period, dates: &Dates, locale: Locale) -> String {
    let span = if dates.from == dates.to {
        dates.from.clone()
    } else {
        locale.pick(
            format!("{} to {}", dates.from, dates.to),
            format!("с {} по {}", dates.from, dates.to),
        )
    };
    match label(period, locale) {
        Some(label) => format!("{label}, {span}"),
        None => span,
    }
}

fn label(period: Period, locale: Locale) -> Option<String> {
    let fixed = |english: &str, russian: &str| Some(locale.pick(english, russian).to_owned());
    match period {
        Period::Today => fixed("Today", "Сегодня"),
        Period::Yesterday => fixed("Yesterday", "Вчера"),
        Period::ThisWeek => fixed("This week", "Эта неделя"),
        Period::LastWeek => fixed("Last week", "Прошлая неделя"),
        Period::ThisMonth => fixed("This month", "Этот месяц"),
        Period::LastMonth => fixed("Last month", "Прошлый месяц"),
        Period::LastDays { count } => Some(counted(count.get(), locale, ["day", "days"], ["день", "дня", "дней"])),
        Period::LastWeeks { count } => Some(counted(count.get(), locale, ["week", "weeks"], ["неделя", "недели", "недель"])),
        Period::LastMonths { count } => Some(counted(count.get(), locale, ["month", "months"], ["месяц", "месяца", "месяцев"])),
        Period::Day { .. } | Period::Range(_) => None,
    }
}

/// `Last 7 days`, `7 дней по сегодня`.
fn counted(count: u32, locale: Locale, english: [&str; 2], russian: [&str; 3]) -> String {
    match locale {
        Locale::En => format!("Last {count} {}", english[usize::from(count != 1)]),
        Locale::Ru => format!("{count} {} по сегодня", plural(count, russian)),
    }
}

/// The form of a Russian noun after a number: 1 день, 2 дня, 5 дней, 11 дней, 21 день.
fn plural(count: u32, forms: [&str; 3]) -> &str {
    match (count % 10, count % 100) {
        (1, hundred) if hundred != 11 => forms[0],
        (2..=4, hundred) if !(12..=14).contains(&hundred) => forms[1],
        _ => forms[2],
    }
}

pub fn period_assumed(locale: Locale) -> &'static str {
    locale.pick(
        "No period was named, so this is the last seven days.",
        "Период не назван, поэтому это последние семь дней.",
    )
}

pub fn not_over(locale: Locale) -> &'static str {
    locale.pick("The period is not over yet.", "Период ещё не закончился.")
}

pub fn nothing_found(locale: Locale) -> &'static str {
    locale.pick("Nothing in this period", "За этот период ничего нет")
}

pub fn column(key: &'static str, kind: CellKind, locale: Locale) -> Column {
    let label = match key {
        "product_name" => locale.pick("Product", "Товар"),
        "brand" => locale.pick("Brand", "Бренд"),
        "orders_count" | "orders" => locale.pick("Orders", "Заказы"),
        "units" => locale.pick("Units", "Штук"),
        "revenue" => locale.pick("Revenue", "Выручка"),
        "email" => locale.pick("E-mail", "Эл. почта"),
        "name" => locale.pick("Name", "Имя"),
        "refunded" => locale.pick("Refunded", "Возвращено"),
        "net" => locale.pick("Paid less refunds", "Оплачено за вычетом возвратов"),
        "utm_source" => locale.pick("Source", "Источник"),
        "utm_campaign" => locale.pick("Campaign", "Кампания"),
        "sessions" => locale.pick("Sessions", "Визиты"),
        "cost" => locale.pick("Cost", "Себестоимость"),
        "profit" => locale.pick("Gross profit", "Валовая прибыль"),
        "ad_spend" => locale.pick("Ad spend", "Расходы на рекламу"),
        "roi_percentage" => "ROI, %",
        "mer" => "MER",
        "conversion_rate" => locale.pick("Conversion, %", "Конверсия, %"),
        "severity" => locale.pick("Severity", "Важность"),
        "title" => locale.pick("Alert", "Оповещение"),
        "message" => locale.pick("Message", "Сообщение"),
        "occurrences" => locale.pick("Times", "Раз"),
        "created_at" => locale.pick("Since", "С"),
        "metric_name" => locale.pick("Metric", "Показатель"),
        "metric_value" => locale.pick("Value", "Значение"),
        "period_comparison" => locale.pick("Change, %", "Изменение, %"),
        other => other,
    };
    Column { key, label, kind }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::parse;

    fn dates(from: &str, to: &str) -> Dates {
        Dates {
            from: from.into(),
            to: to.into(),
            time_zone: "UTC".into(),
            ends_in_future: false,
        }
    }

    #[test]
    fn periods_are_said_with_their_dates() {
        let week = dates("2026-01-09", "2026-01-15");
        assert_eq!(
            period(Period::SEVEN_DAYS, &week, Locale::En),
            "Last 7 days, 2026-01-09 to 2026-01-15"
        );
        assert_eq!(
            period(Period::SEVEN_DAYS, &week, Locale::Ru),
            "7 дней по сегодня, с 2026-01-09 по 2026-01-15"
        );
        assert_eq!(
            period(Period::Today, &dates("2026-01-15", "2026-01-15"), Locale::En),
            "Today, 2026-01-15"
        );
        let day = parse("revenue on 2026-01-15").unwrap().plan.period().unwrap();
        assert_eq!(period(day, &dates("2026-01-15", "2026-01-15"), Locale::Ru), "2026-01-15");
        let forms = ["день", "дня", "дней"];
        for (count, form) in [
            (1, "день"),
            (2, "дня"),
            (5, "дней"),
            (11, "дней"),
            (12, "дней"),
            (21, "день"),
            (104, "дня"),
            (111, "дней"),
        ] {
            assert_eq!(plural(count, forms), form, "{count}");
        }
    }

    #[test]
    fn a_doubt_never_shows_a_digit() {
        for question in [
            "top 500 products",
            "sales today",
            "revenue 100000",
            "revenue for q1 of 2026",
            "выручка за 2026 год",
            "5",
            "top 1,5 products",
        ] {
            let found = parse(question).unwrap_err();
            for locale in [Locale::En, Locale::Ru] {
                assert!(!doubt(&found, locale).chars().any(char::is_numeric), "{}", doubt(&found, locale));
                assert!(!suggestions(locale).iter().any(|text| text.chars().any(char::is_numeric)));
            }
        }
    }

    #[test]
    fn what_is_suggested_is_answered() {
        for question in suggestions(Locale::En).iter().chain(suggestions(Locale::Ru)) {
            assert!(parse(question).is_ok(), "{question}");
        }
    }
}
