//! Every phrase the parser knows outside of periods. A word that stands nowhere here or in [`super::period`] is unknown, and an
//! unknown word means no number.
//!
//! Russian words are listed in the forms they take in questions; guessing by stem would take `прибыльный` for `прибыль`.

use super::tokens::Token;

/// What a phrase contributes to the question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece {
    Subject(Subject),
    /// `top`, `best`: a ranking.
    Rank,
    /// `by revenue`, `by channel`.
    By(Subject),
    /// A word that fits some subjects only and changes nothing there: `paid orders`, `open alerts`.
    With(&'static [Subject]),
    /// Revenue, profit or orders: the question must say which.
    Ambiguous,
    /// Understood, and not something that can be answered: negations, comparisons, groupings.
    Unsupported,
    /// Means nothing by itself and takes nothing away.
    Filler,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    Revenue,
    Profit,
    Orders,
    Products,
    Customers,
    Channels,
    Alerts,
    UnitEconomics,
}

use Piece::{Ambiguous, By, Filler, Rank, Unsupported, With};
use Subject::{Alerts, Channels, Customers, Orders, Products, Profit, Revenue, UnitEconomics};

/// Phrases separated by commas, grouped by what they contribute.
const PHRASES: &[(Piece, &str)] = &[
    (
        Piece::Subject(Revenue),
        "revenue, revenues, turnover, выручка, выручки, выручке, выручку, выручкой, оборот, оборота",
    ),
    (Piece::Subject(Profit), "profit, profits, прибыль, прибыли, прибылью"),
    (
        Piece::Subject(Orders),
        "order, orders, how many sales, number of sales, заказ, заказа, заказов, заказы, сколько продаж, \
         количество продаж, число продаж",
    ),
    (
        Piece::Subject(Products),
        "product, products, товар, товара, товаров, товары, продукт, продукта, продуктов, продукты",
    ),
    (
        Piece::Subject(Customers),
        "customer, customers, client, clients, buyer, buyers, клиент, клиента, клиентов, клиенты, покупатель, \
         покупателя, покупателей, покупатели",
    ),
    (
        Piece::Subject(Channels),
        "channel, channels, channel performance, channel stats, marketing channels, traffic channels, traffic source, \
         traffic sources, канал, канала, каналов, каналы, каналам, рекламные каналы, рекламных каналов, \
         маркетинговые каналы, маркетинговых каналов, источники трафика, источников трафика",
    ),
    (
        Piece::Subject(Alerts),
        "alert, alerts, notifications, алерт, алерты, алертов, оповещения, оповещений, уведомления, уведомлений",
    ),
    (
        Piece::Subject(UnitEconomics),
        "unit economics, юнит экономика, юнит экономики, юнит экономике, юнит экономику, юнит экономикой",
    ),
    (
        Rank,
        "top, best, top performing, best performing, топ, лучшие, лучших, лучший, лучшая, самые лучшие, самых лучших",
    ),
    (By(Revenue), "by revenue, по выручке"),
    (By(Profit), "by profit, по прибыли"),
    (By(Channels), "by channel, by channels, per channel, по каналам"),
    (
        With(&[Products]),
        "selling, best selling, top selling, most popular, popular, самые популярные, самых популярных, \
         самые продаваемые, самых продаваемых, популярные, популярных, продаваемых, продаваемые",
    ),
    (With(&[Channels]), "performing"),
    (With(&[Orders]), "paid, оплаченные, оплаченных, оплачено, оплачен"),
    (With(&[Orders, Alerts]), "how many, number of, count, количество, число"),
    (
        With(&[Alerts]),
        "open, active, unresolved, current, any, there, открытые, открытых, активные, активных, есть ли, текущие, текущих",
    ),
    (With(&[Revenue, Profit, Orders]), "total, общая, общую, общее, всего"),
    (With(&[Revenue, Profit]), "how much, составила, составляет"),
    (With(&[Revenue, Profit, Orders, Alerts]), "сколько"),
    (
        Ambiguous,
        "sales, sale, income, earnings, earn, earned, sell, sold, продажи, продаж, продажам, доход, дохода, доходы, \
         заработали, заработал, заработок, продали, продано",
    ),
    (
        Unsupported,
        "not, no, without, except, excluding, не, без, кроме, нет, compare, compared, comparison, vs, versus, than, \
         сравни, сравнить, сравнение, сравнению, чем, против, and, or, и, или, а, but, но, per, by, по, daily, weekly, \
         monthly, average, средний, средняя, growth, рост, forecast, прогноз, why, почему, worst, bottom, least, худшие, \
         new, новые, новых",
    ),
    (
        Filler,
        "show, give, tell, display, list, get, see, know, me, us, i, we, want to, need to, can you, could you, please, \
         hi, hello, what, what's, whats, who, which, how, is, are, was, were, do, did, does, have, has, had, the, a, an, \
         of, our, my, покажи, покажите, показать, выведи, дай, дайте, скажи, скажите, назови, список, пожалуйста, \
         привет, мне, нам, какая, какой, какое, какие, какова, каков, каковы, кто, что, у нас, у меня, наш, наша, наше, \
         наши, нашу, наших, нашей, мой, моя, мое, мои, мою, моих, был, была, было, были, есть, это, хочу, хочу знать, \
         хочу увидеть, нужна, нужны",
    ),
];

/// The longest known phrase at the start of these tokens, and its length.
pub fn phrase(tokens: &[Token]) -> Option<(Piece, usize)> {
    let all = PHRASES
        .iter()
        .flat_map(|(piece, phrases)| phrases.split(", ").map(move |phrase| (*piece, phrase)));
    all.filter_map(|(piece, phrase)| Some((piece, length_of(phrase, tokens)?)))
        .max_by_key(|(_, length)| *length)
}

/// How many tokens a phrase takes, where they begin with it.
pub fn length_of(phrase: &str, tokens: &[Token]) -> Option<usize> {
    let mut length = 0;
    for word in phrase.split(' ') {
        match tokens.get(length) {
            Some(Token::Word(token)) if token == word => length += 1,
            _ => return None,
        }
    }
    Some(length)
}

/// A whole number, in digits or in words up to ten.
pub fn number(token: Option<&Token>) -> Option<u32> {
    let word = match token? {
        Token::Number(number) => return Some(*number),
        Token::Word(word) => word.as_str(),
        _ => return None,
    };
    Some(match word {
        "one" | "один" | "одна" | "одно" | "одну" | "одного" | "одной" => 1,
        "two" | "два" | "две" | "двух" => 2,
        "three" | "три" | "трех" => 3,
        "four" | "четыре" | "четырех" => 4,
        "five" | "пять" | "пяти" => 5,
        "six" | "шесть" | "шести" => 6,
        "seven" | "семь" | "семи" => 7,
        "eight" | "восемь" | "восьми" => 8,
        "nine" | "девять" | "девяти" => 9,
        "ten" | "десять" | "десяти" => 10,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::tokens::tokens;

    #[test]
    fn every_phrase_is_in_the_form_the_tokens_have_and_stands_once() {
        let mut seen = std::collections::BTreeSet::new();
        for phrase in PHRASES.iter().flat_map(|(_, phrases)| phrases.split(", ")) {
            assert!(seen.insert(phrase), "{phrase} stands twice");
            let words: Vec<Token> = phrase.split(' ').map(|word| Token::Word(word.into())).collect();
            assert_eq!(tokens(phrase), words, "{phrase}");
        }
    }

    #[test]
    fn the_longest_phrase_wins() {
        assert_eq!(phrase(&tokens("how many sales")), Some((Piece::Subject(Orders), 3)));
        assert_eq!(phrase(&tokens("how many orders")), Some((With(&[Orders, Alerts]), 2)));
        assert_eq!(phrase(&tokens("how profit")), Some((Filler, 1)));
        assert_eq!(phrase(&tokens("revenu")), None);
        assert_eq!(phrase(&tokens("10")), None);
    }
}
