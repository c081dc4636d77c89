//! What holds for every question.

use proptest::prelude::*;

use super::*;
use crate::parse::lexicon::phrase;
use crate::parse::tokens::{Token, tokens};

const ANSWERED: [&str; 8] = [
    "what is our revenue for the last 7 days",
    "profit this week",
    "how many orders from 2026-01-01 to 2026-01-31",
    "show top 10 products by revenue last month",
    "кто наши лучшие клиенты за последние три месяца",
    "выручка по каналам за прошлую неделю",
    "are there any open alerts",
    "юнит-экономика за 15 января 2026 года",
];

/// Is this word part of the parser's language, in any role?
fn is_known(word: &str) -> bool {
    let token = Token::Word(word.to_owned());
    let alone = std::slice::from_ref(&token);
    // A filler or a word of a longer phrase is found by offering it in a sentence that takes it.
    phrase(alone).is_some() || number(Some(&token)).is_some() || period::is_about_time(word) || period::is_lead(word) || word == "the"
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// The rule this parser stands on: with one word it does not know, a question gets no number.
    #[test]
    fn a_word_the_parser_does_not_know_means_no_plan(sentence in 0..ANSWERED.len(), at in 0usize..12, word in "[a-zа-я]{1,12}") {
        prop_assume!(!is_known(&word));
        let mut words: Vec<&str> = ANSWERED[sentence].split(' ').collect();
        prop_assert!(parse(&words.join(" ")).is_ok());
        words.insert(at.min(words.len()), &word);
        let question = words.join(" ");
        prop_assert!(parse(&question).is_err(), "{} was read as {:?}", question, parse(&question));
    }

    /// A misspelt word is not guessed: change one letter, and unless that makes another known word there is no plan.
    #[test]
    fn a_misspelt_word_means_no_plan(sentence in 0..ANSWERED.len(), at in 0usize..60, letter in "[a-zа-я]") {
        let mut chars: Vec<char> = ANSWERED[sentence].chars().collect();
        let at = at % chars.len();
        let letter = letter.chars().next().unwrap();
        prop_assume!(chars[at].is_alphabetic() && chars[at] != letter);
        chars[at] = letter;
        let question: String = chars.iter().collect();
        let changed = question.split(' ').zip(ANSWERED[sentence].split(' ')).find(|(now, before)| now != before).map(|(now, _)| now);
        // A hyphenated term has inflected forms of its own: one letter may make another of them.
        prop_assume!(!changed.unwrap().contains('-') && !is_known(changed.unwrap()));
        prop_assert!(parse(&question).is_err(), "{} was read as {:?}", question, parse(&question));
    }

    #[test]
    fn any_text_is_read_or_doubted_without_a_panic(question in ".{0,500}") {
        let _ = parse(&question);
    }

    /// Words of the parser's own language in any order and number: whatever comes out has kept every token's say.
    #[test]
    fn a_mix_of_known_words_never_panics(words in prop::collection::vec(prop::sample::select(vec![
        "revenue", "profit", "orders", "top", "10", "products", "customers", "last", "7", "days", "week", "this", "today", "by", "from", "2026-01-01", "to",
        "2026-01-31", "за", "последние", "с", "по", "the", "for", "any", "-", "january", "2026", "15", "best", "channels",
    ]), 0..14)) {
        let _ = tokens(&words.join(" "));
        let _ = parse(&words.join(" "));
    }
}
