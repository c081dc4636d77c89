//! Every state an order can be in, each reached by what really happens, and what it looks like.

use std::sync::Arc;

use lonieve_tests::interleaving::ground::{CARDLINK, Ground, Line, ORDERS, Who};
use lonieve_tests::interleaving::till::{Placed, Till};
use serde_json::json;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    Pending,
    FailedReserved,
    FailedReleased,
    FailedSoldOut,
    Expired,
    ExpiredSoldOut,
    UnderpaidReserved,
    UnderpaidReleased,
    UnderpaidSoldOut,
    UnderpaidPartBack,
    UnheardPartBack,
    Waiting,
    OtherAmount,
    OtherCurrency,
    Paid,
    Closed,
    PartBack,
    ClosedPartBack,
    Refunded,
    RefundedUndelivered,
    ChargedBack,
    ChargedBackUndelivered,
}

pub use State::*;

pub const ALL: [State; 22] = [
    Pending,
    FailedReserved,
    FailedReleased,
    FailedSoldOut,
    Expired,
    ExpiredSoldOut,
    UnderpaidReserved,
    UnderpaidReleased,
    UnderpaidSoldOut,
    UnderpaidPartBack,
    UnheardPartBack,
    Waiting,
    OtherAmount,
    OtherCurrency,
    Paid,
    Closed,
    PartBack,
    ClosedPartBack,
    Refunded,
    RefundedUndelivered,
    ChargedBack,
    ChargedBackUndelivered,
];

impl State {
    /// The row of the document's table of notices, by its first cell's words.
    pub fn notice_row(self) -> &'static str {
        match self {
            Pending => "`pending`",
            FailedReserved | FailedReleased | FailedSoldOut => "`failed`",
            Expired | ExpiredSoldOut => "`expired`",
            UnderpaidReserved | UnderpaidReleased | UnderpaidSoldOut => "`manual_review` because underpaid, nothing given back",
            UnderpaidPartBack | UnheardPartBack => "`manual_review` because underpaid, a part given back",
            Waiting | OtherAmount | OtherCurrency | Paid | Closed => "`paid`, `manual_review` for another reason",
            PartBack | ClosedPartBack | Refunded | RefundedUndelivered | ChargedBack | ChargedBackUndelivered => {
                "`partially_refunded`, `refunded`, `chargeback`"
            }
        }
    }

    /// The row of the document's table of money that goes back.
    pub fn reversal_row(self) -> &'static str {
        match self {
            Pending | FailedReserved | FailedReleased | FailedSoldOut | Expired | ExpiredSoldOut => "`pending`, `failed`, `expired`",
            Paid | Closed | PartBack | ClosedPartBack => "`paid`, `partially_refunded`",
            Refunded | RefundedUndelivered => "`refunded`",
            ChargedBack | ChargedBackUndelivered => "`chargeback`",
            _ => "`manual_review`",
        }
    }

    /// Nobody has paid, as far as we know.
    pub fn is_unpaid(self) -> bool {
        self.reversal_row() == "`pending`, `failed`, `expired`"
    }

    pub fn is_sold_out(self) -> bool {
        matches!(self, FailedSoldOut | ExpiredSoldOut | UnderpaidSoldOut | Waiting)
    }

    /// What came in, in cents, as far as the provider has told us; else what was asked for.
    pub fn came_in(self) -> i64 {
        match self {
            UnderpaidReserved | UnderpaidReleased | UnderpaidSoldOut | UnderpaidPartBack => 2000,
            OtherAmount | Closed | ClosedPartBack | RefundedUndelivered => 4000,
            _ => 3750,
        }
    }

    pub fn currency(self) -> &'static str {
        if self == OtherCurrency { "EUR" } else { "USD" }
    }

    /// The refunds that are done, in cents.
    pub fn given_back(self) -> &'static [i64] {
        match self {
            UnderpaidPartBack | UnheardPartBack | PartBack | ClosedPartBack => &[1000],
            Refunded => &[3750],
            RefundedUndelivered => &[4000],
            _ => &[],
        }
    }

    /// An order in this state, in a shop of its own where one code is free, or none.
    pub async fn reach(self, ground: &Arc<Ground>, line: &Arc<Line>) -> (Till, Placed) {
        let till = Till::on(ground, line, line, if self.is_sold_out() { 1 } else { 2 }).await;
        let placed = till.place().await;
        let told = async |status: &str, amount: &str, currency: &str, received: Option<&str>, outcome: &str| {
            let p = till.notice_of(&placed, status, amount, currency, received);
            line.outcome(CARDLINK, "settle_payment", p, outcome).await;
        };
        let paid = async || told("paid", "37.50", "USD", None, "fulfilled").await;
        let other_amount = async || told("paid", "40.00", "USD", None, "manual_review").await;
        let underpaid = async || told("underpaid", "37.50", "USD", Some("20.00"), "manual_review").await;
        let over = async || told("expired", "37.50", "USD", None, "expired").await;
        let gives_back = async |outcome: &str| {
            let p = till.refund(&placed, self.given_back(), "USD");
            line.outcome(CARDLINK, "settle_refund", p, outcome).await;
        };
        let charged = async || {
            line.outcome(CARDLINK, "settle_chargeback", till.chargeback(&placed, true), "chargeback")
                .await;
        };
        let close = async || {
            let p = json!({"order_id": placed.order, "action": "close", "note": "Decided."});
            line.outcome(Who::Person(till.world.manager), "resolve_order", p, "ok").await;
        };
        let never_shown = async || {
            let p = json!({"order_id": placed.order, "reason": "provider_unavailable", "link_not_shown": true, "now": till.world.now()});
            line.outcome(ORDERS, "fail_order", p, "failed").await;
        };
        let sold_out = async || till.pay(&till.place().await, "fulfilled").await;
        match self {
            Pending => {}
            FailedReserved => told("failed", "37.50", "USD", None, "failed").await,
            FailedReleased => never_shown().await,
            FailedSoldOut => {
                never_shown().await;
                sold_out().await;
            }
            Expired => over().await,
            ExpiredSoldOut => {
                over().await;
                sold_out().await;
            }
            UnderpaidReserved => underpaid().await,
            UnderpaidReleased => {
                over().await;
                underpaid().await;
            }
            UnderpaidSoldOut => {
                over().await;
                sold_out().await;
                underpaid().await;
            }
            UnderpaidPartBack => {
                underpaid().await;
                gives_back("partially_refunded").await;
            }
            UnheardPartBack => gives_back("partially_refunded").await,
            Waiting => {
                over().await;
                sold_out().await;
                told("paid", "37.50", "USD", None, "manual_review").await;
            }
            OtherAmount => other_amount().await,
            OtherCurrency => told("paid", "37.50", "EUR", None, "manual_review").await,
            Paid => paid().await,
            Closed => {
                other_amount().await;
                close().await;
            }
            PartBack => {
                paid().await;
                gives_back("partially_refunded").await;
            }
            ClosedPartBack => {
                other_amount().await;
                close().await;
                gives_back("partially_refunded").await;
            }
            Refunded => {
                paid().await;
                gives_back("refunded").await;
            }
            RefundedUndelivered => {
                other_amount().await;
                gives_back("refunded").await;
            }
            ChargedBack => {
                paid().await;
                charged().await;
            }
            ChargedBackUndelivered => charged().await,
        }
        (till, placed)
    }
}
