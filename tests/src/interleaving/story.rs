//! What may happen to one order, in groups of steps that start together.

use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;

use super::plan::{Act, Buyer, Word};

/// Longer than any bill and grace of the plans.
const OVER_S: i64 = 4300;

pub fn of(rng: &mut StdRng, at: usize, buyer: &Buyer) -> Vec<Vec<Act>> {
    let mut story = begin(rng, at);
    let paid = middle(rng, at, buyer, &mut story);
    if paid {
        end(rng, at, buyer, &mut story);
    }
    if rng.random_bool(0.4) {
        // What a provider that repeats itself says long after.
        let mut late = vec![notice(at, Word::Failed), notice(at, Word::Expired)];
        if paid && !is_odd(&story) {
            late.push(notice(at, Word::Paid));
        }
        late.truncate(rng.random_range(1..=late.len()));
        story.push(late);
    }
    story
}

fn notice(at: usize, word: Word) -> Act {
    Act::Notice(at, word, 0, true)
}

/// Has this story a payment whose sum or word is not the plain one? Then a plain one would be another truth.
fn is_odd(story: &[Vec<Act>]) -> bool {
    story.iter().flatten().any(|act| {
        matches!(act, Act::Notice(_, Word::Overpaid | Word::Underpaid, _, _))
            || matches!(act, Act::Notice(_, _, more, right) if *more != 0 || !right)
    })
}

fn times(rng: &mut StdRng, most: usize, act: &Act) -> Vec<Act> {
    vec![act.clone(); rng.random_range(1..=most)]
}

fn begin(rng: &mut StdRng, at: usize) -> Vec<Vec<Act>> {
    match rng.random_range(0..20) {
        0 => vec![vec![Act::Create(at)], vec![Act::Attach(at), Act::FailOrder(at, false)]],
        1 => vec![
            vec![Act::Create(at)],
            vec![Act::Attach(at)],
            vec![Act::FailOrder(at, true), Act::Show(at)],
        ],
        // The answer of the call was lost; it is made again.
        2 => vec![vec![Act::Create(at)], vec![Act::Attach(at), Act::Attach(at)]],
        // The bill becomes known late, or too late: its notices come before it.
        3 | 4 => vec![vec![Act::Create(at)], vec![]],
        5 => vec![vec![Act::Create(at)], vec![Act::Advance(OVER_S), Act::Expiry, Act::Attach(at)]],
        _ => vec![vec![Act::Create(at)], vec![Act::Attach(at)]],
    }
}

/// Says whether money comes in.
fn middle(rng: &mut StdRng, at: usize, buyer: &Buyer, story: &mut Vec<Vec<Act>>) -> bool {
    let late = story.last().is_some_and(Vec::is_empty);
    story.retain(|group| !group.is_empty());
    let (paid, failed, expired) = (notice(at, Word::Paid), notice(at, Word::Failed), notice(at, Word::Expired));
    let before = story.len();
    let mut has_money = true;
    match rng.random_range(0..100) {
        0..=27 => story.push(times(rng, 4, &paid)),
        28..=35 => story.extend([times(rng, 2, &failed), vec![paid.clone(), failed]]),
        36..=43 => story.extend([vec![expired.clone()], vec![paid.clone(), expired, Act::Fulfil]]),
        44..=55 => {
            let mut race = times(rng, 2, &paid);
            let end = [Act::ExpireThis(at), Act::Expiry, expired].choose(rng).unwrap().clone();
            race.extend(times(rng, 2, &end));
            story.extend([vec![Act::Advance(OVER_S)], race]);
        }
        56..=64 => {
            has_money = false;
            if rng.random_bool(0.3) {
                story.push(vec![failed]);
            }
            if rng.random_bool(0.3) {
                story.push(vec![notice(at, Word::Pending)]);
            }
            if rng.random_bool(0.5) {
                story.extend([vec![Act::Advance(OVER_S)], vec![Act::Expiry, Act::ExpireThis(at), expired]]);
            }
        }
        65..=74 => {
            let odd = if rng.random_bool(0.3) {
                Act::Notice(at, Word::Paid, 0, false)
            } else {
                Act::Notice(at, Word::Paid, *[-1, 1, 250].choose(rng).unwrap(), true)
            };
            story.extend([times(rng, 2, &odd), decision(rng, at)]);
        }
        75..=80 => {
            let look = Act::Look(at, Word::Paid);
            story.push(vec![look, paid.clone(), Act::Expiry]);
        }
        _ if !buyer.v1 => story.push(times(rng, 3, &paid)),
        _ if buyer.received > buyer.total => story.push(times(rng, 3, &notice(at, Word::Overpaid))),
        _ => {
            story.push(times(rng, 2, &notice(at, Word::Underpaid)));
            match rng.random_range(0..3) {
                0 => story.push(vec![paid.clone(), paid.clone(), Act::Resolve(at, "deliver")]),
                1 => story.push(vec![paid.clone(), Act::Refund(at, 1)]),
                _ => story.push(decision(rng, at)),
            }
        }
    }
    if late {
        // Beside the first words of the provider, or after them.
        match story.get_mut(before) {
            Some(words) if rng.random_bool(0.5) => words.push(Act::Attach(at)),
            Some(_) => story.insert(before + 1, vec![Act::Attach(at)]),
            None => story.push(vec![Act::Attach(at)]),
        }
    }
    has_money
}

/// What a person does about an order under review, twice over.
fn decision(rng: &mut StdRng, at: usize) -> Vec<Act> {
    let mut acts = vec![Act::Resolve(at, ["deliver", "close"].choose(rng).unwrap())];
    if rng.random_bool(0.5) {
        acts.push(Act::Resolve(at, "deliver"));
    }
    if rng.random_bool(0.3) {
        acts.push(Act::ExpireThis(at));
    }
    acts
}

fn end(rng: &mut StdRng, at: usize, buyer: &Buyer, story: &mut Vec<Vec<Act>>) {
    let all = Act::Refund(at, buyer.refunds.len());
    match rng.random_range(0..100) {
        0..=24 => story.push(vec![Act::Show(at), Act::Show(at), Act::Outbox]),
        25..=34 => story.push(vec![Act::Replace(at), Act::Replace(at), Act::Show(at), Act::Outbox]),
        35..=39 => story.push(vec![Act::Resend(at), Act::Outbox, Act::Resend(at)]),
        _ if !buyer.v1 => {}
        40..=54 => {
            let refunds = (1..=buyer.refunds.len()).map(|upto| Act::Refund(at, upto));
            let mut group: Vec<Act> = refunds.collect();
            group.push(Act::Fulfil);
            story.push(group);
        }
        55..=64 => story.extend([
            vec![Act::Refund(at, 1), Act::Show(at)],
            vec![all.clone(), all, Act::Fulfil, Act::Resolve(at, "deliver")],
        ]),
        // The refund does not wait until the payment has been heard of.
        65..=71 => {
            if let Some(last) = story.last_mut() {
                last.push(all);
            }
        }
        72..=82 => story.push(vec![
            Act::Chargeback(at, true),
            Act::Chargeback(at, rng.random_bool(0.7)),
            Act::Refund(at, 1),
            Act::Fulfil,
        ]),
        83..=87 => {
            if let Some(last) = story.last_mut() {
                last.push(Act::Chargeback(at, true));
            }
        }
        _ => {
            let part = rng.random_bool(0.5).then(|| rng.random_range(1..=buyer.total));
            story.push(vec![
                Act::StaffRefund(at, part),
                Act::StaffRefund(at, None),
                Act::Refund(at, 1),
                Act::Replace(at),
            ]);
        }
    }
}
