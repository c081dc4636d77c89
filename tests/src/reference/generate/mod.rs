//! Makes a shop's history out of a seed: the same seed is the same history.
//!
//! Fourteen months, so that every zone with summer time changes its clocks twice or three times in it. What is rare
//! in a real shop is made often enough to meet every rule: equal times, moments exactly at midnight, visits over midnight and over days,
//! programs, days without anything, days with unknown costs, every way an order can end, addresses that two shops share.

mod rest;
mod sales;
mod visits;

use chrono::{DateTime, Datelike, Days, Duration, NaiveDate};
use chrono_tz::Tz;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use uuid::Uuid;

use super::calendar::{day_begins, day_of};
use super::model::{Channel, History, Moment, Product, Word};

pub const CHANNELS: [Channel; 8] = [
    (None, None),
    (Some("google"), Some("brand")),
    (Some("google"), Some("summer_sale")),
    (Some("google"), None),
    (Some("facebook"), Some("launch")),
    (Some("newsletter"), Some("october")),
    // What stands for null in reports, written out by somebody; and a campaign without a source.
    (Some("direct"), Some("n/a")),
    (None, Some("orphan")),
];

pub const BRANDS: [Word; 5] = ["Astra", "Nimbus", "Stratus", "apex", "Zenith"];

/// How large a shop, and where.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    pub seed: u64,
    pub zone: Tz,
    pub events: usize,
    pub orders: usize,
    /// After this moment nothing has happened.
    pub ends: Moment,
}

/// 10 November 2025, 14:37 UTC: after a summer time in Europe and one in America have ended.
pub fn fixed_end() -> Moment {
    DateTime::from_timestamp(1_762_785_420, 0).unwrap()
}

/// Exactly so many events and orders.
pub fn generate(size: Size) -> History {
    let mut maker = Maker::new(size);
    while maker.history.events.len() < size.events || maker.history.orders.len() < size.orders {
        maker.session();
        if maker.rng.random_bool(0.045) {
            maker.sale_without_session();
        }
    }
    maker.history.events.truncate(size.events);
    maker.history.events.sort_by_key(|event| (event.at, event.id));
    maker.history.orders.truncate(size.orders);
    maker.rest();
    maker.history
}

struct Maker {
    rng: StdRng,
    size: Size,
    history: History,
    /// Days that something happens on, with a running sum of how much.
    calendar: Vec<(NaiveDate, f64)>,
    sessions: usize,
}

impl Maker {
    fn new(size: Size) -> Self {
        let mut rng = StdRng::seed_from_u64(size.seed);
        let id = |rng: &mut StdRng| uuid::Builder::from_random_bytes(rng.random()).into_uuid();
        let product = |rng: &mut StdRng, index: usize| Product {
            id: id(rng),
            name: format!("{} Card {index}", BRANDS[index % BRANDS.len()]),
            brand: BRANDS[index % BRANDS.len()],
        };
        let history = History {
            tenant: id(&mut rng),
            zone: size.zone,
            currency: if size.seed.is_multiple_of(2) { "USD" } else { "EUR" },
            begins: day_of(size.zone, size.ends) - Days::new(426),
            ends: size.ends,
            products: (0..12).map(|index| product(&mut rng, index)).collect(),
            events: Vec::with_capacity(size.events + 200),
            orders: Vec::with_capacity(size.orders + 10),
            spend: Vec::new(),
            leads: Vec::new(),
            samples: Vec::new(),
        };
        Self {
            rng,
            size,
            history,
            calendar: weighted_days(size),
            sessions: 0,
        }
    }

    fn id(&mut self) -> Uuid {
        uuid::Builder::from_random_bytes(self.rng.random()).into_uuid()
    }

    fn pick<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.rng.random_range(0..list.len())]
    }

    fn day(&mut self) -> NaiveDate {
        let all = self.calendar.last().unwrap().1;
        let place = self.rng.random_range(0.0..all);
        let index = self.calendar.partition_point(|(_, sum)| *sum <= place);
        self.calendar[index].0
    }

    /// Some moment of some day, to the millisecond: also the day's first one, its last, and often minutes before midnight.
    fn moment(&mut self) -> Moment {
        let day = self.day();
        let (begins, ends) = (day_begins(self.size.zone, day), day_begins(self.size.zone, day + Days::new(1)));
        match self.rng.random_range(0..400) {
            0 => begins,
            1 => ends - Duration::milliseconds(1),
            2..=9 => ends - Duration::milliseconds(self.rng.random_range(1..900_000)),
            _ => begins + Duration::milliseconds(self.rng.random_range(0..(ends - begins).num_milliseconds())),
        }
    }

    /// Source and campaign of a visitor; most have come by themselves.
    fn channel(&mut self) -> Channel {
        match self.rng.random_range(0..100) {
            0..=39 => CHANNELS[0],
            40..=96 => CHANNELS[self.rng.random_range(1..6)],
            _ => CHANNELS[self.rng.random_range(6..8)],
        }
    }

    /// On such a day some costs are not known; on all others every one is.
    fn is_murky(&self, moment: Moment) -> bool {
        day_of(self.size.zone, moment).num_days_from_ce() % 19 == 3
    }
}

/// A shop grows, has week-ends, quiet days and rushes, and is closed for eight days.
fn weighted_days(size: Size) -> Vec<(NaiveDate, f64)> {
    let last = day_of(size.zone, size.ends);
    let mut sum = 0.0;
    let days = (last - Days::new(426)).iter_days().take(427).enumerate();
    days.map(|(index, day)| {
        let growth = 0.5 + index as f64 / 300.0;
        let week = if day.weekday().number_from_monday() > 5 { 0.7 } else { 1.0 };
        sum += growth
            * week
            * match index {
                150..158 => 0.0,
                _ if index % 17 == 0 => 0.15,
                _ if index % 23 == 0 => 2.4,
                _ => 1.0,
            };
        (day, sum)
    })
    .collect()
}
