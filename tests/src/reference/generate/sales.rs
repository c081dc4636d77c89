//! Orders: what is bought, how it is paid, what becomes of it, and the events the server writes about it.

use chrono::{Days, Duration};
use rand::Rng;
use rust_decimal::Decimal;
use serde_json::json;
use uuid::Uuid;

use super::super::calendar::{day_begins, day_of};
use super::super::model::{Event, Fee, Item, Moment, Order, Payment, Refund, Word};
use super::super::server_event_id;
use super::visits::Visitor;
use super::{CHANNELS, Maker};

const NAMES: [Word; 8] = ["ann", "bob.b", "cat+shop", "dan_d", "eve-e", "o'neil", "zoe9", "9lives"];

/// How an order ends: status, fulfilment, and why a person must look.
type End = (Word, Word, Option<Word>);

impl Maker {
    /// The visitor orders, now. Some pay, and the provider's page sends them back.
    pub fn sale_of(&mut self, visitor: &mut Visitor) {
        let channel = if self.rng.random_bool(0.1) { CHANNELS[0] } else { visitor.channel };
        let Some(index) = self.sale(visitor.now, Some(visitor.session.clone()), channel) else {
            return;
        };
        let order = self.history.orders[index].clone();
        self.server_event(&order, "payment_redirect", order.created, Some(visitor.visit));
        if let Some(paid) = order.paid {
            self.server_event(&order, "payment_success", paid, Some(visitor.visit));
            if paid - order.created < Duration::minutes(20) {
                visitor.now = paid.max(visitor.now + Duration::milliseconds(1));
                self.event(visitor, "payment_return");
                let named = if self.rng.random_bool(0.02) { self.id() } else { order.id };
                if let Some(event) = self.history.events.last_mut().filter(|event| event.kind == "payment_return") {
                    event.data = Some(json!({"order_id": named}));
                }
            }
        }
        if let Some(delivered) = order.delivered {
            self.server_event(&order, "code_sent", delivered + Duration::seconds(2), None);
        }
        // Written for an order that is not there.
        if self.rng.random_bool(0.004) {
            let stranger = Order { id: self.id(), ..order };
            self.server_event(&stranger, "payment_success", stranger.created, None);
        }
    }

    /// An order of somebody whose browser keeps no session.
    pub fn sale_without_session(&mut self) {
        let (at, channel) = (self.moment(), self.channel());
        if let Some(index) = self.sale(at, None, channel) {
            let order = self.history.orders[index].clone();
            if let Some(paid) = order.paid {
                self.server_event(&order, "payment_success", paid, None);
            }
        }
    }

    fn server_event(&mut self, order: &Order, kind: Word, at: Moment, visit: Option<Uuid>) {
        let event = Event {
            id: server_event_id(kind, order.id),
            at,
            kind,
            session: order.session.clone().unwrap_or_else(|| format!("order:{}", order.id)),
            visit,
            channel: order.channel,
            device: Some("desktop"),
            page_seconds: None,
            scroll: None,
            data: match self.rng.random_range(0..1000) {
                0 => None,
                1 => Some(json!({"order_id": "9"})),
                _ => Some(json!({"order_id": order.id})),
            },
            bot: None,
        };
        self.keep(event);
    }

    fn sale(&mut self, created: Moment, session: Option<String>, channel: super::Channel) -> Option<usize> {
        if self.history.orders.len() >= self.size.orders || created > self.history.ends {
            return None;
        }
        let paid = self.paid_at(created).filter(|paid| *paid <= self.history.ends);
        let delivers = paid.map(|paid| paid + Duration::seconds(self.rng.random_range(1..90)));
        let end = self.end(paid, delivers);
        let delivered = delivers.filter(|_| matches!(end.1, "delivered" | "revoked"));
        let items = self.items(created);
        let total: Decimal = items.iter().map(|item| item.price * Decimal::from(item.quantity)).sum();
        let is_known = delivered.is_some() && !(paid.is_some_and(|paid| self.is_murky(paid)) && self.rng.random_bool(0.04));
        let cost = is_known.then(|| (total * Decimal::new(self.rng.random_range(60..103), 2)).round_dp(2));
        let (id, email, user) = (self.id(), self.email(), self.rng.random_bool(0.3).then(|| self.id()));
        let payments = self.payments(end.0, total);
        let fees = self.fees(&payments);
        let refunds = paid.map_or_else(Vec::new, |paid| self.refunds(end.0, total, paid));
        self.history.orders.push(Order {
            id,
            email,
            user,
            session,
            channel,
            created,
            paid,
            delivered,
            status: end.0,
            fulfilment: end.1,
            review_reason: end.2,
            total,
            cost,
            items,
            payments,
            fees,
            refunds,
        });
        Some(self.history.orders.len() - 1)
    }

    fn email(&mut self) -> String {
        // A quarter of the people place half of the orders. Both shops know the same people.
        let people = (self.size.orders / 3).max(8);
        let among = if self.rng.random_bool(0.5) { people / 4 } else { people };
        let number = self.rng.random_range(0..among);
        format!(
            "{}{}@{}example.com",
            NAMES[number % NAMES.len()],
            number / 5,
            if number % 7 == 0 { "mail." } else { "" }
        )
    }

    fn paid_at(&mut self, created: Moment) -> Option<Moment> {
        let next_midnight = day_begins(self.size.zone, day_of(self.size.zone, created) + Days::new(1));
        match self.rng.random_range(0..100) {
            0..=12 => None,
            13..=14 => Some(next_midnight),
            15..=16 => Some(created),
            17..=24 => Some(created + Duration::milliseconds(self.rng.random_range(3_600_000..150_000_000))),
            _ => Some(created + Duration::milliseconds(self.rng.random_range(15_000..900_000))),
        }
    }

    fn end(&mut self, paid: Option<Moment>, delivers: Option<Moment>) -> End {
        let Some(paid) = paid else {
            return self.pick(&[
                ("pending", "reserved", None),
                ("failed", "none", None),
                ("failed", "reserved", None),
                ("expired", "none", None),
            ]);
        };
        if delivers > Some(self.history.ends) {
            return ("manual_review", "waiting", Some("no_codes_available"));
        }
        match self.rng.random_range(0..1000) {
            0..=49 => ("partially_refunded", "delivered", None),
            50..=89 => ("refunded", "revoked", None),
            90..=114 => ("refunded", "none", None),
            115..=129 => ("chargeback", "revoked", None),
            130..=134 => ("chargeback", "none", None),
            135..=150 if self.is_murky(paid) => self.pick(&[
                ("manual_review", "waiting", Some("no_codes_available")),
                ("manual_review", "reserved", Some("amount_mismatch")),
                ("manual_review", "none", Some("underpaid")),
            ]),
            _ => ("paid", "delivered", None),
        }
    }

    fn items(&mut self, created: Moment) -> Vec<Item> {
        let count = if self.rng.random_bool(0.2) {
            self.rng.random_range(2..4)
        } else {
            1
        };
        // One product is renamed shortly before the end, one order in a hundred has lost its brands.
        let is_branded = !self.rng.random_bool(0.01);
        (0..count)
            .map(|_| {
                // Low numbers sell better.
                let (one, other) = (self.rng.random_range(0..12), self.rng.random_range(0..12));
                let index: usize = std::cmp::min(one, other);
                let product = self.history.products[index].clone();
                let renamed = index == 1 && created > self.history.ends - Duration::days(12);
                Item {
                    product: product.id,
                    name: if renamed { format!("{} (new)", product.name) } else { product.name },
                    brand: is_branded.then_some(product.brand),
                    price: Decimal::new(self.rng.random_range(500..9999), 2),
                    quantity: if self.rng.random_bool(0.8) {
                        1
                    } else {
                        self.rng.random_range(2..5)
                    },
                }
            })
            .collect()
    }

    fn payments(&mut self, status: Word, total: Decimal) -> Vec<Payment> {
        let currency = self.history.currency;
        let payment = |id, status, received, received_currency| Payment {
            id,
            status,
            amount: total,
            received,
            received_currency,
        };
        let mut payments = Vec::new();
        if self.rng.random_bool(0.05) {
            let ended = self.pick(&["failed", "expired"]);
            payments.push(payment(self.id(), ended, None, None));
        }
        let settled = match status {
            "pending" | "failed" | "expired" => {
                payments.push(payment(self.id(), status, None, None));
                return payments;
            }
            "refunded" | "chargeback" => status,
            _ => "paid",
        };
        let id = self.id();
        match self.rng.random_range(0..1000) {
            // Brought in from elsewhere: nothing settled.
            0..=19 => {}
            20..=29 => payments.push(payment(
                id,
                settled,
                Some(total),
                Some(if currency == "EUR" { "USD" } else { "EUR" }),
            )),
            30..=34 => payments.push(payment(id, settled, None, Some(currency))),
            35..=59 => payments.push(payment(id, settled, Some((total * Decimal::new(7, 1)).round_dp(2)), Some(currency))),
            60..=84 => payments.push(payment(id, settled, Some(total + Decimal::ONE), Some(currency))),
            // Not written by a settle; two of which one cannot be read; two that both count.
            85..=89 => payments.push(payment(id, settled, None, None)),
            90..=91 => {
                payments.push(payment(id, settled, Some(total), Some(currency)));
                payments.push(payment(self.id(), settled, None, Some(currency)));
            }
            92..=93 => {
                payments.push(payment(id, settled, Some(total), Some(currency)));
                payments.push(payment(self.id(), settled, Some(Decimal::TEN), Some(currency)));
            }
            _ => payments.push(payment(id, settled, Some(total), Some(currency))),
        }
        payments
    }

    fn fees(&mut self, payments: &[Payment]) -> Vec<Fee> {
        let mut fees = Vec::new();
        for payment in payments
            .iter()
            .filter(|payment| matches!(payment.status, "paid" | "refunded" | "chargeback"))
        {
            let amount = (payment.amount * Decimal::new(29, 3) + Decimal::new(30, 2)).round_dp(2);
            let currency = if self.rng.random_bool(0.01) { "GBP" } else { self.history.currency };
            let fee = Fee {
                id: self.id(),
                amount,
                currency,
                reverses: None,
            };
            if payment.status == "refunded" && self.rng.random_bool(0.4) {
                fees.push(Fee {
                    id: self.id(),
                    amount: -(amount / Decimal::TWO).round_dp(2),
                    currency,
                    reverses: Some(fee.id),
                });
            }
            fees.insert(0, fee);
        }
        fees
    }

    fn refunds(&mut self, status: Word, total: Decimal, paid: Moment) -> Vec<Refund> {
        let kind = if status == "chargeback" { "chargeback" } else { "refund" };
        let shares: Vec<i64> = match status {
            "refunded" | "chargeback" if self.rng.random_bool(0.2) => vec![40, 60],
            "refunded" | "chargeback" => vec![100],
            "partially_refunded" => vec![self.rng.random_range(1..80), 15],
            // Asked for and not done.
            _ if self.rng.random_bool(0.02) => vec![0],
            _ => Vec::new(),
        };
        let refund = |maker: &mut Self, share: i64| {
            let requested = paid + Duration::milliseconds(maker.rng.random_range(60_000..3_000_000_000));
            let midnight = day_begins(maker.size.zone, day_of(maker.size.zone, requested) + Days::new(1));
            let done = if maker.rng.random_bool(0.05) {
                midnight
            } else {
                requested + Duration::minutes(1)
            };
            let is_done = share > 0 && done <= maker.history.ends;
            let status = if is_done {
                "completed"
            } else {
                maker.pick(&["pending", "approved", "rejected"])
            };
            Refund {
                kind,
                status,
                amount: (total * Decimal::new(share.max(10), 2)).round_dp(2),
                requested: requested.min(maker.history.ends),
                processed: (is_done || status == "rejected").then_some(done.min(maker.history.ends)),
            }
        };
        shares.into_iter().map(|share| refund(self, share)).collect()
    }
}
