//! The words of `docs/analytics.md`: person, visit, revenue, cost, customer, channel.

use std::collections::{BTreeMap, HashMap, HashSet};

use chrono::NaiveDate;
use rust_decimal::Decimal;
use uuid::Uuid;

use super::calendar::{Period, day_of};
use super::model::{Channel, Event, History, Moment, Order, Payment, Word};

const SERVER_TYPES: [Word; 3] = ["payment_redirect", "payment_success", "code_sent"];

/// A visitor's events of one session with the same `visit_id`.
#[derive(Debug, Clone)]
pub struct Visit {
    pub first: Moment,
    pub last: Moment,
    pub day: NaiveDate,
    pub channel: Channel,
    pub device: Word,
    pub page_views: usize,
    /// One page, left or not, and nothing else.
    pub is_bounce: bool,
    pub page_seconds: Vec<i32>,
    pub scrolls: Vec<i32>,
}

/// An e-mail address with its paid orders, in the order of payment.
#[derive(Debug, Clone)]
pub struct Customer<'a> {
    pub email: &'a str,
    pub orders: Vec<&'a Order>,
    /// The day of each of them.
    pub days: Vec<NaiveDate>,
    pub value: Decimal,
}

impl Customer<'_> {
    pub fn days_since_last(&self, today: NaiveDate) -> i64 {
        self.days.last().map_or(0, |day| (today - *day).num_days())
    }
}

/// A history, grouped.
pub struct Books<'a> {
    pub history: &'a History,
    pub visits: Vec<Visit>,
    /// Persons' events of each session, in time.
    pub sessions: HashMap<&'a str, Vec<&'a Event>>,
    pub orders_of_session: HashMap<&'a str, Vec<&'a Order>>,
    pub customers: BTreeMap<&'a str, Customer<'a>>,
    unsubscribed: HashSet<&'a str>,
}

impl<'a> Books<'a> {
    pub fn new(history: &'a History) -> Self {
        let mut events: Vec<&Event> = history.events.iter().collect();
        events.sort_by_key(|event| (event.at, event.id));
        let mut groups: HashMap<(&str, Uuid), Vec<&Event>> = HashMap::new();
        let mut sessions: HashMap<&str, Vec<&Event>> = HashMap::new();
        for event in events.into_iter().filter(|event| event.bot.is_none()) {
            sessions.entry(&event.session).or_default().push(event);
            if let (Some(visit), true) = (event.visit, is_visitors(event)) {
                groups.entry((&event.session, visit)).or_default().push(event);
            }
        }
        let mut orders_of_session: HashMap<&str, Vec<&Order>> = HashMap::new();
        let mut customers: BTreeMap<&str, Customer> = BTreeMap::new();
        for order in &history.orders {
            if let Some(session) = &order.session {
                orders_of_session.entry(session).or_default().push(order);
            }
            if order.paid.is_some() {
                let customer = customers.entry(&order.email).or_insert_with(|| Customer {
                    email: &order.email,
                    orders: Vec::new(),
                    days: Vec::new(),
                    value: Decimal::ZERO,
                });
                customer.value += revenue(history, order) - refunded(order);
                customer.orders.push(order);
            }
        }
        for customer in customers.values_mut() {
            customer.orders.sort_by_key(|order| (order.paid, order.id));
            customer.days = customer
                .orders
                .iter()
                .filter_map(|order| order.paid)
                .map(|paid| day_of(history.zone, paid))
                .collect();
        }
        let leads = history.leads.iter().filter(|lead| lead.unsubscribed.is_some());
        Self {
            history,
            visits: groups
                .values()
                .filter(|events| events.iter().any(|event| event.kind != "x_page_leave"))
                .map(|events| visit(history, events))
                .collect(),
            sessions,
            orders_of_session,
            customers,
            unsubscribed: leads.map(|lead| lead.email.as_str()).collect(),
        }
    }

    /// Visits that began in the period.
    pub fn visits_of(&self, period: Period) -> impl Iterator<Item = &Visit> {
        self.visits.iter().filter(move |visit| period.has_day(visit.day))
    }

    /// Orders whose money came in during the period.
    pub fn paid_in(&self, period: Period) -> impl Iterator<Item = &'a Order> {
        let span = period.moments(self.history.zone);
        self.history
            .orders
            .iter()
            .filter(move |order| order.paid.is_some_and(|paid| span.has(paid)))
    }

    pub fn created_in(&self, period: Period) -> impl Iterator<Item = &'a Order> {
        let span = period.moments(self.history.zone);
        self.history.orders.iter().filter(move |order| span.has(order.created))
    }

    pub fn paid_day(&self, order: &Order) -> Option<NaiveDate> {
        order.paid.map(|paid| day_of(self.history.zone, paid))
    }

    pub fn revenue(&self, order: &Order) -> Decimal {
        revenue(self.history, order)
    }

    pub fn today(&self, now: Moment) -> NaiveDate {
        day_of(self.history.zone, now)
    }

    pub fn has_unsubscribed(&self, email: &str) -> bool {
        self.unsubscribed.contains(email)
    }
}

pub fn is_visitors(event: &Event) -> bool {
    event.bot.is_none() && !is_servers(event)
}

/// One of the three types that the server writes.
pub fn is_servers(event: &Event) -> bool {
    SERVER_TYPES.contains(&event.kind)
}

fn visit(history: &History, events: &[&Event]) -> Visit {
    let (first, last) = (events[0], events[events.len() - 1]);
    let page_views = events.iter().filter(|event| event.kind == "page_view").count();
    let leaves = events.iter().filter(|event| event.kind == "x_page_leave").count();
    let with_source = events.iter().find(|event| event.channel.0.is_some());
    Visit {
        first: first.at,
        last: last.at,
        day: day_of(history.zone, first.at),
        channel: with_source.map_or((None, None), |event| event.channel),
        device: first.device.unwrap_or("unknown"),
        page_views,
        is_bounce: page_views == 1 && page_views + leaves == events.len(),
        page_seconds: events.iter().filter_map(|event| event.page_seconds).collect(),
        scrolls: events.iter().filter_map(|event| event.scroll).collect(),
    }
}

/// Payments whose money came in, whatever became of it later.
fn settled(order: &Order) -> impl Iterator<Item = &Payment> {
    order
        .payments
        .iter()
        .filter(|payment| !matches!(payment.status, "pending" | "failed" | "expired"))
}

/// What a payment brought in the shop's currency, at most what was asked. None where it cannot be read.
fn brought(history: &History, payment: &Payment) -> Option<Decimal> {
    match payment.received_currency {
        None => Some(payment.amount),
        Some(currency) if currency == history.currency => payment.received.map(|received| received.min(payment.amount)),
        Some(_) => None,
    }
}

/// Can all the money of the order be added up?
pub fn is_clear(history: &History, order: &Order) -> bool {
    settled(order).all(|payment| brought(history, payment).is_some())
}

fn revenue(history: &History, order: &Order) -> Decimal {
    if settled(order).next().is_none() {
        return order.total;
    }
    settled(order).filter_map(|payment| brought(history, payment)).sum()
}

/// None where it is not known.
pub fn cost(order: &Order) -> Option<Decimal> {
    if matches!(order.status, "refunded" | "chargeback") && order.delivered.is_none() {
        return Some(Decimal::ZERO);
    }
    order.cost
}

/// All that has gone back of an order, whenever it did.
pub fn refunded(order: &Order) -> Decimal {
    order
        .refunds
        .iter()
        .filter(|refund| refund.status == "completed")
        .map(|refund| refund.amount)
        .sum()
}

/// Money of several orders. A cost that is not known makes the sum unknown.
#[derive(Debug, Clone, Copy)]
pub struct Takings {
    pub orders: usize,
    pub revenue: Decimal,
    pub cost: Option<Decimal>,
}

impl Default for Takings {
    fn default() -> Self {
        Self {
            orders: 0,
            revenue: Decimal::ZERO,
            cost: Some(Decimal::ZERO),
        }
    }
}

impl Takings {
    pub fn add(&mut self, history: &History, order: &Order) {
        self.orders += 1;
        self.revenue += revenue(history, order);
        self.cost = self.cost.zip(cost(order)).map(|(sum, cost)| sum + cost);
    }

    pub fn of<'o>(history: &History, orders: impl Iterator<Item = &'o Order>) -> Self {
        let mut takings = Self::default();
        orders.for_each(|order| takings.add(history, order));
        takings
    }

    pub fn profit(&self) -> Option<Decimal> {
        self.cost.map(|cost| self.revenue - cost)
    }
}
