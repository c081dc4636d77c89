//! A question cut into tokens. Nothing is dropped but white space and the punctuation of plain sentences: what has no meaning
//! here becomes [`Token::Other`], and a question with such a token is not answered with a number.

use crate::plan::Day;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Token {
    /// Letters only, lower case, `ё` as `е`; apostrophes between letters are part of it.
    Word(String),
    /// Digits, without sign or leading zero.
    Number(u32),
    /// `2026-01-15` or `15.01.2026` (day first).
    Date(Day),
    /// A dash that may mean something: between two dates, or glued to a word or number.
    Dash,
    /// Whatever else: symbols, `10k`, `1.5`, `30.02.2026`.
    Other(String),
}

pub fn tokens(question: &str) -> Vec<Token> {
    let chars: Vec<char> = question.to_lowercase().chars().map(fold).collect();
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(&c) = chars.get(at) {
        let before = at.checked_sub(1).and_then(|i| chars.get(i));
        at += match c {
            c if c.is_whitespace() => 1,
            '.' | ',' | '?' | '!' | ':' | '…' => 1,
            '-' => {
                if !is_plain_hyphen(before, &chars[at + 1..]) {
                    tokens.push(Token::Dash);
                }
                1
            }
            '0'..='9' => numeric(&chars[at..], &mut tokens),
            c if c.is_alphabetic() => word(&chars[at..], &mut tokens),
            c => {
                tokens.push(Token::Other(c.to_string()));
                1
            }
        };
    }
    tokens
}

/// One spelling for letters and signs that people type in several.
fn fold(c: char) -> char {
    match c {
        'ё' => 'е',
        '’' => '\'',
        '–' | '—' | '‑' => '-',
        c => c,
    }
}

/// `top-10`, `unit-economics`: joins like a space. ` - ` before a word: a pause. Everything else may be a minus or a range.
fn is_plain_hyphen(before: Option<&char>, after: &[char]) -> bool {
    let glued = before.is_some_and(|c| c.is_alphabetic()) && after.first().is_some_and(|c| c.is_alphanumeric());
    let pause = before.is_none_or(|c| c.is_whitespace())
        && after.first().is_some_and(|c| c.is_whitespace())
        && after.iter().find(|c| !c.is_whitespace()).is_some_and(|c| c.is_alphabetic());
    glued || pause
}

fn word(chars: &[char], tokens: &mut Vec<Token>) -> usize {
    let inside = |i: usize| match chars.get(i) {
        Some(c) if c.is_alphanumeric() => true,
        Some('\'') => chars.get(i + 1).is_some_and(|c| c.is_alphabetic()),
        _ => false,
    };
    let length = (0..).take_while(|i| inside(*i)).count();
    let text: String = chars[..length].iter().collect();
    let plain = text.chars().all(|c| c.is_alphabetic() || c == '\'');
    tokens.push(if plain { Token::Word(text) } else { Token::Other(text) });
    length
}

/// Reads to the next white space, since `1.5`, `01.02.2026` and `2026-01-01..2026-01-31` are one thing each.
fn numeric(chars: &[char], tokens: &mut Vec<Token>) -> usize {
    let length = chars.iter().take_while(|c| !c.is_whitespace()).count();
    let chunk: String = chars[..length].iter().collect();
    let text = chunk.trim_end_matches(['.', ',', '?', '!', ':']);
    if let Some(date) = date(text) {
        tokens.push(Token::Date(date));
    } else if let Some((from, to)) = two_dates(text) {
        tokens.extend([Token::Date(from), Token::Dash, Token::Date(to)]);
    } else if let Some(number) = number(text) {
        tokens.push(Token::Number(number));
    } else {
        tokens.push(Token::Other(text.to_owned()));
    }
    length
}

fn number(text: &str) -> Option<u32> {
    let plain = text.len() <= 6 && text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    if plain { text.parse().ok() } else { None }
}

fn date(text: &str) -> Option<Day> {
    let digits = |part: &str, lengths: &[usize]| -> Option<u32> {
        let plain = lengths.contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
        if plain { part.parse().ok() } else { None }
    };
    let parts = |separator: char| -> Option<[&str; 3]> { text.split(separator).collect::<Vec<_>>().try_into().ok() };
    let (year, month, day) = if let Some([year, month, day]) = parts('-') {
        (digits(year, &[4])?, digits(month, &[2])?, digits(day, &[2])?)
    } else {
        let [day, month, year] = parts('.')?;
        (digits(year, &[4])?, digits(month, &[1, 2])?, digits(day, &[1, 2])?)
    };
    Day::new(i32::try_from(year).ok()?, month, day)
}

/// `a..b`, or dates with dots joined by a dash.
fn two_dates(text: &str) -> Option<(Day, Day)> {
    let (from, to) = text
        .split_once("..")
        .or_else(|| text.split_once('-').filter(|(from, _)| from.contains('.')))?;
    Some((date(from)?, date(to)?))
}

#[cfg(test)]
mod tests {
    use super::Token::*;
    use super::*;

    fn words(text: &str) -> Vec<Token> {
        text.split(' ').map(|word| Word(word.into())).collect()
    }

    fn day(year: i32, month: u32, day: u32) -> Token {
        Date(Day::new(year, month, day).unwrap())
    }

    #[test]
    fn plain_sentences_lose_their_punctuation() {
        assert_eq!(tokens("What’s our Profit, this week?!"), words("what's our profit this week"));
        assert_eq!(tokens("Выручка — за ещё неделю…"), words("выручка за еще неделю"));
        assert_eq!(
            tokens("unit-economics top-10"),
            [words("unit economics top"), vec![Number(10)]].concat()
        );
    }

    #[test]
    fn dates_and_ranges_are_read_whole() {
        assert_eq!(tokens("2026-01-15, 5.1.2026."), [day(2026, 1, 15), day(2026, 1, 5)]);
        for range in [
            "2026-01-01..2026-01-31",
            "2026-01-01 - 2026-01-31",
            "01.01.2026-31.01.2026",
            "01.01.2026 – 31.01.2026",
        ] {
            assert_eq!(tokens(range), [day(2026, 1, 1), Dash, day(2026, 1, 31)], "{range}");
        }
    }

    #[test]
    fn what_is_unclear_stays_visible() {
        for text in [
            "10k",
            "1.5",
            "1,000",
            "007",
            "30.02.2026",
            "2026-13-01",
            "15/01/2026",
            "1234567",
            "7d",
            "5th",
            "top10",
            "q1",
            "٧",
            "10;",
            "2026-1-5",
        ] {
            assert_eq!(tokens(text), [Other(text.into())], "{text}");
        }
        assert_eq!(tokens("-5"), [Dash, Number(5)]);
        assert_eq!(tokens("top - 5"), [Word("top".into()), Dash, Number(5)]);
        assert_eq!(tokens("a -b"), [Word("a".into()), Dash, Word("b".into())]);
        for symbol in [
            "'", "\"", ";", "*", "/", "\\", "(", "=", "<", "%", "$", "@", "#", "\u{200b}", "\u{202e}", "💰", "_", "`", "{",
        ] {
            assert_eq!(tokens(symbol), [Other(symbol.into())], "{symbol}");
        }
    }
}
