//! What must come of each thing the provider says, state by state. Written from docs/state-machine.md and worked out by hand; the
//! functions are not asked.

use lonieve_tests::interleaving::world::money;

use crate::snapshot::{NONE, Snapshot};
use crate::states::*;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Said {
    /// 37.50, as asked for
    Paid,
    /// 30.00
    Less,
    /// 40.00
    More,
    /// 37.50 EUR
    Foreign,
    /// v1: 45.00 came in
    Overpaid,
    /// v1: 20.00 came in
    Underpaid,
    Failed,
    Expired,
    Pending,
    /// Another refund is done: 10.00 the first time, 5.00 more where one is known.
    Part,
    /// All that came in has gone back.
    Rest,
    /// A refund notice, and the provider knows of nothing we do not know.
    NothingNew,
    Chargeback,
    /// A chargeback notice the provider does not confirm.
    Claimed,
}

pub const SAID: [Said; 14] = [
    Said::Paid,
    Said::Less,
    Said::More,
    Said::Foreign,
    Said::Overpaid,
    Said::Underpaid,
    Said::Failed,
    Said::Expired,
    Said::Pending,
    Said::Part,
    Said::Rest,
    Said::NothingNew,
    Said::Chargeback,
    Said::Claimed,
];

/// Outcome, and what the order looks like afterwards.
pub fn of(state: State, said: Said) -> (&'static str, Snapshot) {
    let now = state.looks();
    match said {
        Said::Pending => ("noop", now),
        Said::Failed | Said::Expired => closing(state, said, now),
        Said::Paid | Said::Less | Said::More | Said::Foreign | Said::Overpaid | Said::Underpaid => payment(state, said, now),
        Said::Part | Said::Rest | Said::NothingNew => refund(state, said, now),
        Said::Chargeback | Said::Claimed => chargeback(state, said, now),
    }
}

fn closing(state: State, said: Said, mut now: Snapshot) -> (&'static str, Snapshot) {
    match (state, said) {
        // The shopper may try again until the bill is over.
        (Pending, Said::Failed) => {
            (now.order, now.payment) = ("failed reserved -".into(), "failed - -".into());
            ("failed", now)
        }
        (Pending, _) => {
            (now.order, now.payment) = ("expired none -".into(), "expired - -".into());
            release(&mut now);
            ("expired", now)
        }
        // The bill is over for good: the code is free.
        (FailedReserved, Said::Expired) => {
            now.order = "failed none -".into();
            release(&mut now);
            ("ignored", now)
        }
        (FailedReserved | FailedReleased | FailedSoldOut, Said::Failed) | (Expired | ExpiredSoldOut, Said::Expired) => {
            ("already_processed", now)
        }
        _ => ("ignored", now),
    }
}

/// A failed order whose time is over.
pub fn given_up(mut now: Snapshot) -> Snapshot {
    if now.order == "failed reserved -" {
        now.order = "failed none -".into();
        release(&mut now);
    }
    now
}

fn release(now: &mut Snapshot) {
    if now.held == "reserved" {
        now.held = NONE.into();
        now.ledger.push_str(" released");
    }
}

fn payment(state: State, said: Said, mut now: Snapshot) -> (&'static str, Snapshot) {
    let waits_for_the_rest = matches!(state, UnderpaidReserved | UnderpaidReleased | UnderpaidSoldOut);
    let takes_money = state.is_unpaid() || (waits_for_the_rest && said != Said::Underpaid);
    if !takes_money {
        // A surplus that has not been heard of: a warning, and it is what came in, unless money has gone back since.
        if said == Said::Overpaid {
            now.alerts = with_alert(&now.alerts, "overpaid warning open");
            if state.given_back().is_empty() && !matches!(state, ChargedBack | ChargedBackUndelivered) {
                now.payment = now.payment.replace("37.50", "45.00").replace("40.00", "45.00");
            }
        }
        let is_underpaid = waits_for_the_rest || matches!(state, UnderpaidPartBack | UnheardPartBack);
        return (
            if said == Said::Underpaid && !is_underpaid {
                "ignored"
            } else {
                "already_processed"
            },
            now,
        );
    }
    if state.is_unpaid() {
        now.outbox = "order.paid".into();
    } else {
        now.alerts = "underpaid critical closed".into();
    }
    // The fee: 2.9 % + 0.30 of what came in, half a cent up. 45.00: 1.605.
    let (payment, fee) = match said {
        Said::Less => ("paid 30.00 USD", "1.17"),
        Said::More => ("paid 40.00 USD", "1.46"),
        Said::Foreign => ("paid 37.50 EUR", NONE),
        Said::Overpaid => ("paid 45.00 USD", "1.61"),
        Said::Underpaid => ("paid 20.00 USD", NONE),
        _ => ("paid 37.50 USD", "1.39"),
    };
    (now.payment, now.fees) = (payment.into(), fee.into());
    let review = match said {
        Said::Less | Said::More => Some("amount_mismatch"),
        Said::Foreign => Some("currency_mismatch"),
        Said::Underpaid => Some("underpaid"),
        _ => None,
    };
    if said == Said::Overpaid {
        now.alerts = with_alert(&now.alerts, "overpaid warning open");
    }
    if let Some(reason) = review {
        // Codes that were reserved stay so.
        let fulfilment = if now.held == "reserved" { "reserved" } else { "none" };
        now.order = format!("manual_review {fulfilment} {reason}");
        now.alerts = with_alert(&now.alerts, &format!("{reason} critical open"));
        return ("manual_review", now);
    }
    if state.is_sold_out() {
        now.order = "manual_review waiting no_codes_available".into();
        now.alerts = with_alert(&now.alerts, "no_codes_available critical open");
        return ("manual_review", now);
    }
    now.order = "paid delivered -".into();
    now.held = "sold".into();
    now.ledger.push_str(" sold");
    now.outbox = "order.paid order.delivered".into();
    // 37.50 - 30.00 - fee
    now.money = if said == Said::Overpaid { "0.00 5.89" } else { "0.00 6.11" }.into();
    ("fulfilled", now)
}

fn with_alert(alerts: &str, alert: &str) -> String {
    let mut all: Vec<&str> = alerts.split(", ").filter(|known| *known != NONE).chain([alert]).collect();
    all.sort_unstable();
    all.join(", ")
}

/// Money that goes back was in: the order is under review, and the fee booked on what was asked for.
fn unheard(now: &mut Snapshot) {
    let fulfilment = if now.held == "reserved" { "reserved" } else { "none" };
    now.order = format!("manual_review {fulfilment} underpaid");
    (now.payment, now.fees, now.outbox) = ("paid - -".into(), "1.39".into(), "order.paid".into());
    now.alerts = with_alert(&now.alerts, "underpaid critical open");
}

/// What has gone back of the price, in cents, once the provider has given back so much in all.
fn of_the_price(state: State, in_all: i64) -> i64 {
    (in_all - (state.came_in() - 3750).max(0)).max(0)
}

fn refund(state: State, said: Said, mut now: Snapshot) -> (&'static str, Snapshot) {
    let known: i64 = state.given_back().iter().sum();
    match state {
        ChargedBack | ChargedBackUndelivered => return ("ignored", now),
        Refunded | RefundedUndelivered => return ("already_processed", now),
        _ if said == Said::NothingNew => return (if known > 0 { "already_processed" } else { "ignored" }, now),
        _ => {}
    }
    let in_all = match said {
        Said::Rest => state.came_in(),
        _ if known > 0 => known + 500,
        _ => 1000,
    };
    let new = in_all - known;
    if state.is_unpaid() {
        unheard(&mut now);
    }
    let kind = if new >= 3750 { "full" } else { "partial" };
    now.refunds = with_refund(&now.refunds, known, &format!("refund {} {kind}", money(new)));
    let counted = of_the_price(state, in_all);
    let profit = if now.held == "sold" {
        negative_or_not(611 - counted)
    } else {
        NONE.into()
    };
    now.money = format!("{} {profit}", money(counted));
    if said == Said::Rest {
        end(&mut now, "refunded");
        return ("refunded", now);
    }
    if let Some(fulfilment) = now.order.strip_prefix("paid ").or(now.order.strip_prefix("partially_refunded ")) {
        now.order = format!("partially_refunded {fulfilment}");
    }
    ("partially_refunded", now)
}

/// The refunds stand in the order of their sums, the larger first.
fn with_refund(refunds: &str, known: i64, refund: &str) -> String {
    let new: i64 = refund.split(' ').nth(1).unwrap().replace('.', "").parse().unwrap();
    match refunds {
        NONE => refund.into(),
        _ if new > known => format!("{refund}, {refunds}"),
        _ => format!("{refunds}, {refund}"),
    }
}

fn negative_or_not(cents: i64) -> String {
    if cents < 0 { format!("-{}", money(-cents)) } else { money(cents) }
}

/// No money is left: no code is, either, and no case is open.
fn end(now: &mut Snapshot, status: &str) {
    now.payment = now.payment.replacen("paid", status, 1);
    now.alerts = now
        .alerts
        .split(", ")
        .map(|alert| {
            if alert.contains("chargeback") {
                alert.to_owned()
            } else {
                alert.replace(" open", " closed")
            }
        })
        .collect::<Vec<_>>()
        .join(", ");
    if now.held == "sold" {
        now.held = "revoked".into();
        now.ledger.push_str(" revoked");
        now.order = format!("{status} revoked -");
    } else {
        release(now);
        now.order = format!("{status} none -");
    }
}

fn chargeback(state: State, said: Said, mut now: Snapshot) -> (&'static str, Snapshot) {
    match state {
        ChargedBack | ChargedBackUndelivered => return ("already_processed", now),
        Refunded | RefundedUndelivered => return ("ignored", now),
        _ if said == Said::Claimed => return ("ignored", now),
        _ => {}
    }
    if state.is_unpaid() {
        unheard(&mut now);
    }
    let known: i64 = state.given_back().iter().sum();
    let kind = if known == 0 { "full" } else { "partial" };
    let row = format!("chargeback {} {kind}", money(state.came_in() - known));
    now.refunds = if now.refunds == NONE {
        row
    } else {
        format!("{}, {row}", now.refunds)
    };
    let counted = of_the_price(state, state.came_in());
    let profit = if now.held == "sold" {
        negative_or_not(611 - counted)
    } else {
        NONE.into()
    };
    now.money = format!("{} {profit}", money(counted));
    end(&mut now, "chargeback");
    now.alerts = with_alert(if now.alerts.is_empty() { NONE } else { &now.alerts }, "chargeback critical open");
    ("chargeback", now)
}
