//! From a question to a plan, without a model and without guessing.
//!
//! 1. The question is cut into tokens; every token must be part of a phrase the parser knows ([`lexicon`], [`period`]) or of a number that
//!    belongs somewhere. One word left over, a name of a country say, and the question means something the plan would not hold.
//! 2. The pieces must make one question: one subject, at most one period, a ranking only where there is one.
//! 3. Otherwise the answer is a [`Doubt`], which says why. Misspelt words are not corrected: the nearest word may be the wrong one.
//!
//! Order hardly matters (`profit this week`, `this week's profit`), so nothing here is a grammar of English or Russian.

mod lexicon;
mod period;
mod tokens;

#[cfg(test)]
mod phrasings;

use lexicon::{Piece, Subject, number, phrase};
use serde::Serialize;
use tokens::{Token, tokens};

use crate::plan::{DEFAULT_LIMIT, Period, Plan};

/// Why a question got no plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Doubt {
    pub reason: Reason,
    /// The words it is about, as they were understood.
    pub words: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// Words that the parser does not know, or that ask for something it cannot do.
    UnknownWords,
    /// Something about time that has no form, or no single form, the parser knows.
    UnclearPeriod,
    /// A number that belongs to nothing, or is out of bounds.
    UnclearNumber,
    /// Sales, income: revenue, profit or the number of orders?
    AmbiguousMetric,
    /// More than one subject or period.
    SeveralQuestions,
    /// Nothing asked for.
    NoMetric,
    /// Products or customers without a ranking, or a ranking of something that has none.
    UnclearRanking,
    /// The period begins after today.
    PeriodInFuture,
}

/// A question that was understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Question {
    pub plan: Plan,
    /// The question named no period, so the plan has the default one.
    pub period_assumed: bool,
}

/// What was found in a question, before it is known whether it makes sense together.
#[derive(Default)]
struct Found {
    subjects: Vec<Subject>,
    periods: Vec<Period>,
    limits: Vec<u32>,
    ranked: bool,
    by: Vec<Subject>,
    with: Vec<&'static [Subject]>,
    ambiguous: Vec<String>,
    /// Tokens that belong to nothing.
    words: Vec<String>,
    times: Vec<String>,
    numbers: Vec<String>,
}

pub fn parse(question: &str) -> Result<Question, Doubt> {
    let tokens = tokens(question);
    let mut found = Found::default();
    let mut at = 0;
    while at < tokens.len() {
        at += found.take(&tokens[at..]);
    }
    found.into_question()
}

impl Found {
    /// Takes the phrase these tokens begin with; returns its length.
    fn take(&mut self, tokens: &[Token]) -> usize {
        if let Some((period, length)) = period::period(tokens) {
            match period {
                Ok(period) => add(&mut self.periods, period),
                Err(()) => self.times.push(text(&tokens[..length])),
            }
            return length;
        }
        if let Some((limit, length)) = ranking(tokens) {
            self.ranked = true;
            add(&mut self.limits, limit);
            if period::is_month(tokens.get(length)) {
                // `top 5 January 2026 ...`: five of a month, or of a day?
                self.numbers.push(text(&tokens[..length]));
            }
            return length;
        }
        let Some((piece, length)) = phrase(tokens) else {
            self.leave(&tokens[0]);
            return 1;
        };
        match piece {
            Piece::Subject(subject) => add(&mut self.subjects, subject),
            Piece::Rank => self.ranked = true,
            Piece::By(subject) => add(&mut self.by, subject),
            Piece::With(subjects) => self.take_adjective(subjects, &tokens[..length]),
            Piece::Ambiguous => self.ambiguous.push(text(&tokens[..length])),
            Piece::Unsupported => self.words.push(text(&tokens[..length])),
            Piece::Filler => {}
        }
        length
    }

    /// `best selling`, `most popular` also rank.
    fn take_adjective(&mut self, subjects: &'static [Subject], tokens: &[Token]) {
        self.ranked |= subjects == [Subject::Products] && text(tokens) != "selling";
        self.with.push(subjects);
    }

    fn leave(&mut self, token: &Token) {
        let text = text(std::slice::from_ref(token));
        match token {
            Token::Word(_) if number(Some(token)).is_some() => self.numbers.push(text),
            Token::Word(word) if period::is_about_time(word) => self.times.push(text),
            Token::Word(_) => self.words.push(text),
            Token::Date(_) => self.times.push(text),
            Token::Number(_) => self.numbers.push(text),
            Token::Dash | Token::Other(_) => self.words.push(text),
        }
    }

    fn into_question(mut self) -> Result<Question, Doubt> {
        self.check_leftovers()?;
        if self.by == [Subject::Channels] && matches!(self.subjects[..], [Subject::Revenue | Subject::Profit | Subject::Orders]) {
            // `revenue by channel` asks for the channels, whose rows have it.
            (self.subjects, self.by) = (vec![Subject::Channels], vec![]);
        }
        let [subject] = self.subjects[..] else {
            return doubt(Reason::NoMetric);
        };
        let sorted_so = match subject {
            Subject::Products => self.by.iter().all(|by| *by == Subject::Revenue),
            Subject::Channels => self.by.iter().all(|by| *by == Subject::Profit),
            _ => self.by.is_empty(),
        };
        if !sorted_so || !self.with.iter().all(|subjects| subjects.contains(&subject)) {
            return doubt(Reason::UnknownWords);
        }
        self.plan(subject)
    }

    /// Whatever belongs to nothing makes a doubt; the most telling one is named.
    fn check_leftovers(&self) -> Result<(), Doubt> {
        // `for Kazakhstan`: the name is what was not understood.
        let telling: Vec<String> = self.words.iter().filter(|word| !period::is_lead(word)).cloned().collect();
        let several = self.subjects.len() > 1 || self.periods.len() > 1;
        // `revenue and profit`: two questions rather than an unknown `and`.
        let leads = if several { &[][..] } else { &self.words[..] };
        let leftovers = [
            (Reason::UnknownWords, &telling[..]),
            (Reason::UnclearPeriod, &self.times),
            (Reason::UnclearNumber, &self.numbers),
            (Reason::UnknownWords, leads),
            (Reason::AmbiguousMetric, &self.ambiguous),
        ];
        match leftovers.into_iter().find(|(_, words)| !words.is_empty()) {
            Some((reason, words)) => Err(Doubt {
                reason,
                words: words.to_vec(),
            }),
            None if several => Err(Doubt {
                reason: Reason::SeveralQuestions,
                words: vec![],
            }),
            None => Ok(()),
        }
    }

    fn plan(&self, subject: Subject) -> Result<Question, Doubt> {
        let ranking_fits = match subject {
            Subject::Products | Subject::Customers => self.ranked,
            Subject::Channels => true,
            _ => !self.ranked,
        };
        if !ranking_fits {
            return doubt(Reason::UnclearRanking);
        }
        let limit = match self.limits[..] {
            [] => DEFAULT_LIMIT,
            [limit] => limit,
            _ => return doubt(Reason::UnclearNumber),
        };
        let Ok(limit) = limit.try_into() else {
            return doubt(Reason::UnclearNumber);
        };
        let named = self.periods.first().copied();
        let period = named.unwrap_or(Period::DEFAULT);
        let plan = match subject {
            Subject::Revenue => Plan::Revenue { period },
            Subject::Profit => Plan::Profit { period },
            Subject::Orders => Plan::Orders { period },
            Subject::Products => Plan::TopProducts { period, limit },
            Subject::Customers => Plan::TopCustomers { period, limit },
            Subject::Channels => Plan::Channels { period, limit },
            Subject::Alerts => Plan::Alerts { period: named },
            Subject::UnitEconomics => Plan::UnitEconomics { period },
        };
        Ok(Question {
            plan,
            period_assumed: named.is_none() && plan.period().is_some(),
        })
    }
}

/// `top 10`, `10 best`: a ranking with its number.
fn ranking(tokens: &[Token]) -> Option<(u32, usize)> {
    let rank = |tokens: &[Token]| phrase(tokens).filter(|(piece, _)| *piece == Piece::Rank).map(|(_, length)| length);
    if let Some(length) = rank(tokens) {
        return Some((number(tokens.get(length))?, length + 1));
    }
    let limit = number(tokens.first())?;
    Some((limit, 1 + rank(&tokens[1..])?))
}

fn add<T: PartialEq>(list: &mut Vec<T>, item: T) {
    if !list.contains(&item) {
        list.push(item);
    }
}

fn doubt(reason: Reason) -> Result<Question, Doubt> {
    Err(Doubt { reason, words: vec![] })
}

fn text(tokens: &[Token]) -> String {
    let text = |token: &Token| match token {
        Token::Word(text) | Token::Other(text) => text.clone(),
        Token::Number(number) => number.to_string(),
        Token::Date(day) => chrono::NaiveDate::from(*day).to_string(),
        Token::Dash => "-".to_owned(),
    };
    tokens.iter().map(text).collect::<Vec<_>>().join(" ")
}
