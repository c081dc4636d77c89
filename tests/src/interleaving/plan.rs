//! A world and its steps, made of a seed.
//!
//! Steps stand in one order, in which each order's own story is in its place (created, attached, paid, given back ...), in groups. A
//! step waits for at most one earlier step and for what stands before it on its own line. So no schedule can wait for itself, and the
//! steps of a group, which wait for the same one, start at the same moment on different lines.

use rand::rngs::StdRng;
use rand::seq::{IndexedRandom, SliceRandom};
use rand::{Rng, SeedableRng};
use serde_json::json;
use uuid::Uuid;

use super::story;
use super::world::{Shape, Stock, money};

pub const LINES: usize = 8;

/// What the provider says of a bill.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Word {
    Paid,
    Overpaid,
    Underpaid,
    Failed,
    Expired,
    Pending,
}

impl Word {
    pub fn name(self) -> &'static str {
        match self {
            Self::Paid => "paid",
            Self::Overpaid => "overpaid",
            Self::Underpaid => "underpaid",
            Self::Failed => "failed",
            Self::Expired => "expired",
            Self::Pending => "pending",
        }
    }

    pub fn has_money(self) -> bool {
        matches!(self, Self::Paid | Self::Overpaid | Self::Underpaid)
    }
}

/// An order that may come to be. Ids are known before: the orders Worker may choose them, and the provider's are ours here.
#[derive(Debug, Clone)]
pub struct Buyer {
    pub order: Uuid,
    pub bill: String,
    pub card: usize,
    pub quantity: i64,
    /// What the whole order costs, in cents.
    pub total: i64,
    pub gift: bool,
    pub partner: bool,
    /// Cardlink's contract: v1 asks before it settles, and knows refunds.
    pub v1: bool,
    /// What comes in where the word is over- or underpaid, in cents.
    pub received: i64,
    /// What the provider gives back, refund by refund, in cents; listed singly, or as a total only.
    pub refunds: Vec<i64>,
    pub listed: bool,
}

#[derive(Debug, Clone)]
pub enum Act {
    Create(usize),
    Attach(usize),
    FailOrder(usize, bool),
    /// buyer, word, cents more or less than asked for, right currency
    Notice(usize, Word, i64, bool),
    /// The same word, found by a job that looked at the bill.
    Look(usize, Word),
    /// The first so many refunds are done.
    Refund(usize, usize),
    Chargeback(usize, bool),
    /// The job: list, last look, expire.
    Expiry,
    /// The same with a list that was read earlier.
    ExpireThis(usize),
    Parked,
    Fulfil,
    Import(Vec<Stock>),
    Resolve(usize, &'static str),
    Resend(usize),
    Show(usize),
    Outbox,
    Replace(usize),
    /// Refund started by staff, in cents; None: all.
    StaffRefund(usize, Option<i64>),
    Advance(i64),
}

#[derive(Debug, Clone)]
pub struct Step {
    pub line: usize,
    pub after: Option<usize>,
    pub pause_us: u64,
    pub act: Act,
}

#[derive(Debug, Clone)]
pub struct Plan {
    pub seed: u64,
    pub shape: Shape,
    pub buyers: Vec<Buyer>,
    pub steps: Vec<Step>,
}

/// The same on every run.
pub fn id(rng: &mut StdRng) -> Uuid {
    uuid::Builder::from_random_bytes(rng.random()).into_uuid()
}

pub fn plan(seed: u64) -> Plan {
    let mut rng = StdRng::seed_from_u64(seed);
    let rng = &mut rng;
    let shape = shape(rng);
    let cards = shape.cards();
    let buyers: Vec<Buyer> = (0..rng.random_range(6..=12))
        .map(|_| {
            let card = rng.random_range(0..cards.len());
            let quantity = *[1, 1, 1, 2, 2, 3].choose(rng).unwrap();
            buyer(rng, card, quantity, cards[card].2 * quantity)
        })
        .collect();
    let stories = buyers.iter().enumerate().map(|(at, buyer)| story::of(rng, at, buyer)).collect();
    let steps = schedule(rng, stories, &shape, buyers.len());
    Plan {
        seed,
        shape,
        buyers,
        steps,
    }
}

fn shape(rng: &mut StdRng) -> Shape {
    let products: Vec<(i64, i64, Vec<i64>)> = (0..rng.random_range(1..=2))
        .map(|_| {
            let nominals: &[i64] = [&[5000_i64][..], &[2500, 5000]].choose(rng).unwrap();
            (rng.random_range(8000..=11_000), rng.random_range(0..=30), nominals.to_vec())
        })
        .collect();
    let margin = *[0, 0, 7].choose(rng).unwrap();
    // The limits per person and per stock are another's matter: here nobody is turned away but for want of codes.
    let settings = json!({
        "bill_ttl_s": *[300, 900, 3600].choose(rng).unwrap(), "reservation_grace_s": *[0, 60, 600].choose(rng).unwrap(),
        "code_expiry_margin_days": margin, "max_unpaid_units": 1000, "max_unpaid_share": 100,
    });
    let mut shape = Shape {
        products,
        settings,
        codes: Vec::new(),
    };
    let cards = shape.cards().len();
    shape.codes = (0..rng.random_range(3..=8)).map(|_| code(rng, cards, margin)).collect();
    shape
}

/// A few codes have no known cost, and a few end while the world is running.
fn code(rng: &mut StdRng, cards: usize, margin_days: i64) -> Stock {
    Stock {
        id: id(rng),
        card: rng.random_range(0..cards),
        fingerprint: id(rng),
        cost: rng.random_bool(0.9).then(|| rng.random_range(1500..=4500)),
        expires: rng
            .random_bool(0.25)
            .then(|| margin_days * 24 * 60 + *[30, 120, 100_000].choose(rng).unwrap()),
    }
}

fn buyer(rng: &mut StdRng, card: usize, quantity: i64, total: i64) -> Buyer {
    let v1 = rng.random_bool(0.5);
    let received = if rng.random_bool(0.5) {
        total + rng.random_range(1..=500)
    } else {
        rng.random_range(1..total)
    };
    // A refund of some of it, or of all that can have come in, in up to three parts.
    let whole = if rng.random_bool(0.6) {
        received.min(total)
    } else {
        rng.random_range(1..=received.min(total))
    };
    let mut refunds = vec![whole];
    for _ in 0..rng.random_range(0..=2) {
        let last = *refunds.last().unwrap();
        if last > 2 {
            let part = rng.random_range(1..last);
            refunds.pop();
            refunds.extend([part, last - part]);
        }
    }
    Buyer {
        order: id(rng),
        bill: String::new(),
        card,
        quantity,
        total,
        gift: rng.random_bool(0.2),
        partner: rng.random_bool(0.25),
        v1,
        received,
        refunds,
        listed: rng.random_bool(0.5),
    }
}

/// Puts the stories into each other, with the work of jobs and staff between and beside their groups.
fn schedule(rng: &mut StdRng, mut stories: Vec<Vec<Vec<Act>>>, shape: &Shape, buyers: usize) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut anchors: Vec<Option<usize>> = vec![None; stories.len()];
    for story in &mut stories {
        story.reverse();
    }
    loop {
        let open: Vec<usize> = (0..stories.len()).filter(|at| !stories[*at].is_empty()).collect();
        let Some(&at) = open.choose(rng) else { break };
        let mut group = stories[at].pop().unwrap();
        if rng.random_bool(0.3) {
            group.push(beside(rng, shape, buyers));
        }
        if rng.random_bool(0.08) {
            group.push(beside(rng, shape, buyers));
        }
        // Now and then a group does not wait for the one before it: a notice before its bill, a refund before its payment.
        let after = anchors[at].filter(|_| rng.random_bool(0.93));
        let mut lines: Vec<usize> = (0..LINES).collect();
        lines.shuffle(rng);
        let first = steps.len();
        for (place, act) in group.into_iter().enumerate() {
            let pause_us = if rng.random_bool(0.5) { 0 } else { rng.random_range(0..1500) };
            steps.push(Step {
                line: lines[place % LINES],
                after,
                pause_us,
                act,
            });
        }
        anchors[at] = Some(rng.random_range(first..steps.len()));
    }
    steps
}

/// What goes on beside the stories.
fn beside(rng: &mut StdRng, shape: &Shape, buyers: usize) -> Act {
    match rng.random_range(0..10) {
        0..=3 => Act::Fulfil,
        4 => Act::Expiry,
        5 | 6 => Act::Outbox,
        7 => Act::Show(rng.random_range(0..buyers)),
        8 => Act::Parked,
        _ => {
            let mut codes: Vec<Stock> = (0..rng.random_range(1..=3)).map(|_| code(rng, shape.cards().len(), 7)).collect();
            // A code that is there already: the same row again, or another row with the same code.
            if rng.random_bool(0.3) {
                let mut known = shape.codes.choose(rng).unwrap().clone();
                if rng.random_bool(0.5) {
                    known.id = id(rng);
                }
                codes.push(known);
            }
            Act::Import(codes)
        }
    }
}

impl Plan {
    /// The same plan under ids of its own, so that one database can hold it twice.
    pub fn afresh(&self) -> Self {
        let salt = Uuid::new_v4().as_u128();
        let salted = |id: &mut Uuid| *id = Uuid::from_u128(id.as_u128() ^ salt);
        let mut plan = self.clone();
        for buyer in &mut plan.buyers {
            salted(&mut buyer.order);
            buyer.bill = format!("bill-{}", buyer.order.simple());
        }
        let imported = plan.steps.iter_mut().filter_map(|step| match &mut step.act {
            Act::Import(codes) => Some(codes),
            _ => None,
        });
        for code in imported.chain([&mut plan.shape.codes]).flatten() {
            salted(&mut code.id);
            salted(&mut code.fingerprint);
        }
        plan
    }

    /// The plan in lines, for a failure's report.
    pub fn describe(&self) -> String {
        let mut text = format!("products {:?} settings {}\n", self.shape.products, self.shape.settings);
        for (at, buyer) in self.buyers.iter().enumerate() {
            text.push_str(&format!(
                "buyer {at}: {} of card {} for {}{}{} {} {}, received {}, refunds {:?}{}\n",
                buyer.quantity,
                buyer.card,
                money(buyer.total),
                if buyer.gift { " gift" } else { "" },
                if buyer.partner { " partner" } else { "" },
                if buyer.v1 { "v1" } else { "v2" },
                buyer.order,
                money(buyer.received),
                buyer.refunds,
                if buyer.listed { " listed" } else { "" },
            ));
        }
        for (at, step) in self.steps.iter().enumerate() {
            let after = step.after.map_or(String::new(), |after| format!(" after {after}"));
            text.push_str(&format!("{at:>4} line {}{after}: {:?}\n", step.line, step.act));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_is_the_same_plan() {
        assert_eq!(format!("{:?}", plan(7)), format!("{:?}", plan(7)));
        assert_ne!(plan(7).describe(), plan(8).describe());
    }

    #[test]
    fn no_step_waits_for_a_later_one_and_every_kind_of_step_occurs() {
        let mut kinds = std::collections::BTreeSet::new();
        for seed in 0..200 {
            for (at, step) in plan(seed).steps.iter().enumerate() {
                assert!(step.after.is_none_or(|after| after < at) && step.line < LINES);
                let name = format!("{:?}", step.act);
                kinds.insert(name.split('(').next().unwrap().to_owned());
            }
        }
        assert_eq!(kinds.len(), 19, "{kinds:?}");
    }
}
