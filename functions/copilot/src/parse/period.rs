//! Periods in words. Only forms that have one meaning: `last week` is the calendar week before this one and `past week` the last
//! seven days; `previous 7 days`, `last day`, `15/01/2026` or a month without a year could be two things and are not read.

use super::lexicon::{length_of, number};
use super::tokens::Token;
use crate::plan::{Day, Period, Range};

/// A period at the start of these tokens, with the preposition in front of it, and its length. `Err` where it has the form of a period
/// and cannot be one: 5000 days, a range that runs backwards.
pub fn period(tokens: &[Token]) -> Option<(Result<Period, ()>, usize)> {
    let lead = longest(LEADS, tokens);
    let article = usize::from(matches!(tokens.get(lead), Some(Token::Word(word)) if word == "the"));
    let rest = tokens.get(lead + article..)?;
    let leads_count = matches!(tokens.first(), Some(Token::Word(word)) if lead == 1 && (word == "for" || word == "за"));
    let (period, length) = core(rest, leads_count)?;
    // `the last week` may be either kind of week, and `на сегодня` may mean up to today.
    let is_word = |i: usize, word: &str| matches!(tokens.get(i), Some(Token::Word(token)) if token == word);
    let calendar = matches!(period, Ok(Period::LastWeek | Period::LastMonth));
    let unclear = (article == 1 && calendar && is_word(lead + 1, "last"))
        || (lead == 1 && is_word(0, "на") && !matches!(period, Ok(Period::ThisWeek | Period::LastWeek)));
    Some((if unclear { Err(()) } else { period }, lead + article + length))
}

const LEADS: &str = "for, in, on, during, over, of, за, на, в, во, в течение, за период, for the period";
const TODAY: &str = "today, today's, сегодня, сегодняшний день, сегодняшняя, сегодняшнюю, сегодняшней, сегодняшние, сегодняшних";
const YESTERDAY: &str = "yesterday, yesterday's, вчера, вчерашний день, вчерашняя, вчерашнюю, вчерашней, вчерашние, вчерашних";
/// The running week or month.
const THIS: &str = "this, current, эта, эту, этой, этот, этом, этого, текущая, текущую, текущей, текущий, текущем, текущего";
/// The calendar week or month before.
const BEFORE: &str = "last, previous, прошлая, прошлую, прошлой, прошлый, прошлом, прошлого, предыдущая, предыдущую, предыдущей, \
    предыдущий, предыдущем, предыдущего";
/// Counted back from today.
const PAST: &str = "past, последняя, последнюю, последней, последний, последнем, последнего";
const PAST_MANY: &str = "last, past, последние, последних";
const WEEK: &str = "week, week's, неделя, неделю, неделе, недели";
const MONTH: &str = "month, month's, месяц, месяце, месяца";
const DAYS: &str = "day, days, день, дня, дней";
const WEEKS: &str = "week, weeks, неделю, недели, недель";
const MONTHS: &str = "month, months, месяц, месяца, месяцев";
/// Of two dates.
const FROM: &str = "from, between, с, со";
const TO: &str = "to, through, and, по";

/// Each month's names: nominative, prepositional, genitive; English name and abbreviation.
const MONTH_NAMES: [&str; 12] = [
    "january, jan, январь, январе, января",
    "february, feb, февраль, феврале, февраля",
    "march, mar, март, марте, марта",
    "april, apr, апрель, апреле, апреля",
    "may, май, мае, мая",
    "june, jun, июнь, июне, июня",
    "july, jul, июль, июле, июля",
    "august, aug, август, августе, августа",
    "september, sep, sept, сентябрь, сентябре, сентября",
    "october, oct, октябрь, октябре, октября",
    "november, nov, ноябрь, ноябре, ноября",
    "december, dec, декабрь, декабре, декабря",
];

/// About time, and in no form that is read.
const OTHERS: &str = "year, years, quarter, hour, hours, ago, since, until, till, before, after, tomorrow, next, год, года, лет, \
    квартал, час, часа, часов, сутки, назад, до, после, от, завтра, вчерашний, следующий, следующую, weekend, \
    выходные, прошлые, прошлых, предыдущие, предыдущих";

/// A word that belongs to a question about time. Where such a word is left over, the period was not understood.
pub fn is_about_time(word: &str) -> bool {
    let lists = [
        TODAY, YESTERDAY, THIS, BEFORE, PAST, PAST_MANY, WEEK, MONTH, DAYS, WEEKS, MONTHS, FROM, OTHERS,
    ];
    lists.iter().chain(&MONTH_NAMES).any(|list| has(list, word))
}

/// A preposition or conjunction, which says nothing alone.
pub fn is_lead(word: &str) -> bool {
    has(LEADS, word) || has(TO, word) || has("or, и, или", word)
}

/// A month's name.
pub fn is_month(token: Option<&Token>) -> bool {
    month_number(token).is_some()
}

fn core(tokens: &[Token], leads_count: bool) -> Option<(Result<Period, ()>, usize)> {
    let by_date = || {
        range(tokens)
            .or_else(|| month(tokens))
            .or_else(|| date(tokens).map(|(date, length)| (Ok(Period::Day { date }), length)))
    };
    by_date().or_else(|| named(tokens)).or_else(|| counted(tokens, leads_count))
}

/// `today`, `this week`, `last month`, `past week`.
fn named(tokens: &[Token]) -> Option<(Result<Period, ()>, usize)> {
    for (list, period) in [(TODAY, Period::Today), (YESTERDAY, Period::Yesterday)] {
        match longest(list, tokens) {
            0 => {}
            length => return Some((Ok(period), length)),
        }
    }
    let unit = tokens.get(1);
    let (week, month) = (is_one_of(WEEK, unit), is_one_of(MONTH, unit));
    let starts = |list| is_one_of(list, tokens.first());
    let period = match (week, month) {
        (true, _) if starts(THIS) => Period::ThisWeek,
        (true, _) if starts(BEFORE) => Period::LastWeek,
        (true, _) if starts(PAST) => Period::SEVEN_DAYS,
        (_, true) if starts(THIS) => Period::ThisMonth,
        (_, true) if starts(BEFORE) => Period::LastMonth,
        (_, true) if starts(PAST) => Period::LastMonths { count: 1.try_into().ok()? },
        _ => return None,
    };
    Some((Ok(period), 2))
}

/// `last 7 days`, `7 последних дней`, `за 7 дней`, `за неделю`.
fn counted(tokens: &[Token], leads_count: bool) -> Option<(Result<Period, ()>, usize)> {
    let is_word = |i: usize, word: &str| matches!(tokens.get(i), Some(Token::Word(token)) if token == word);
    if is_one_of(PAST_MANY, tokens.first()) {
        let count = number(tokens.get(1))?;
        return Some((units(count, tokens.get(2))?, 3));
    }
    if let Some(count) = number(tokens.first()) {
        if is_one_of(PAST_MANY, tokens.get(1)) && !is_word(1, "last") && !is_word(1, "past") {
            return Some((units(count, tokens.get(2))?, 3));
        }
        return if leads_count {
            Some((units(count, tokens.get(1))?, 2))
        } else {
            None
        };
    }
    if leads_count && is_word(0, "неделю") {
        return Some((Ok(Period::SEVEN_DAYS), 1));
    }
    if leads_count && is_word(0, "месяц") {
        Some((units(1, tokens.first())?, 1))
    } else {
        None
    }
}

fn units(count: u32, unit: Option<&Token>) -> Option<Result<Period, ()>> {
    let period = if is_one_of(DAYS, unit) {
        count.try_into().map(|count| Period::LastDays { count })
    } else if is_one_of(WEEKS, unit) {
        count.try_into().map(|count| Period::LastWeeks { count })
    } else if is_one_of(MONTHS, unit) {
        count.try_into().map(|count| Period::LastMonths { count })
    } else {
        return None;
    };
    Some(period.map_err(|_| ()))
}

/// `from A to B`, `A - B`.
fn range(tokens: &[Token]) -> Option<(Result<Period, ()>, usize)> {
    let lead = usize::from(is_one_of(FROM, tokens.first()));
    let (from, length) = date(&tokens[lead..])?;
    let middle = lead + length;
    let joined = match tokens.get(middle)? {
        Token::Dash => true,
        Token::Word(word) => has(TO, word),
        _ => false,
    };
    if !joined {
        return None;
    }
    let (to, length) = date(&tokens[middle + 1..])?;
    Some((Range::new(from, to).map(Period::Range).ok_or(()), middle + 1 + length))
}

/// `January 2026`: all of it.
fn month(tokens: &[Token]) -> Option<(Result<Period, ()>, usize)> {
    let month = month_number(tokens.first())?;
    let Some(Token::Number(year)) = tokens.get(1) else { return None };
    let first = Day::new(i32::try_from(*year).ok()?, month, 1)?;
    let last = (28..=31).rev().find_map(|day| Day::new(i32::try_from(*year).ok()?, month, day))?;
    Some((Range::new(first, last).map(Period::Range).ok_or(()), 2 + year_word(tokens.get(2))))
}

/// `2026-01-15`, `15 January 2026`, `January 15, 2026`, `15 января 2026 года`.
fn date(tokens: &[Token]) -> Option<(Day, usize)> {
    if let Some(Token::Date(day)) = tokens.first() {
        return Some((*day, 1));
    }
    let (day, month) = match (tokens.first()?, tokens.get(1)?) {
        (Token::Number(day), month) => (*day, month_number(Some(month))?),
        (month, Token::Number(day)) => (*day, month_number(Some(month))?),
        _ => return None,
    };
    let Some(Token::Number(year)) = tokens.get(2) else { return None };
    Some((Day::new(i32::try_from(*year).ok()?, month, day)?, 3 + year_word(tokens.get(3))))
}

fn year_word(token: Option<&Token>) -> usize {
    usize::from(is_one_of("года, год, году, г", token))
}

fn month_number(token: Option<&Token>) -> Option<u32> {
    MONTH_NAMES
        .iter()
        .zip(1..)
        .find(|(names, _)| is_one_of(names, token))
        .map(|(_, number)| number)
}

/// Is this word in a list of phrases separated by commas?
fn has(list: &str, word: &str) -> bool {
    list.split(", ").any(|phrase| phrase == word)
}

fn is_one_of(list: &str, token: Option<&Token>) -> bool {
    matches!(token, Some(Token::Word(word)) if has(list, word))
}

fn longest(list: &str, tokens: &[Token]) -> usize {
    list.split(", ").filter_map(|phrase| length_of(phrase, tokens)).max().unwrap_or(0)
}
