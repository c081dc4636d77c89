//! Sessions: their visits, and what is done in them.

use chrono::Duration;
use rand::Rng;
use serde_json::json;
use uuid::Uuid;

use super::super::model::{Channel, Event, Moment, Word};
use super::{CHANNELS, Maker};

/// The way to the till, and what lies beside it.
const WAY: [Word; 5] = ["page_view", "view_product", "add_to_cart", "checkout_start", "checkout_submit"];
const BESIDE: [Word; 7] = [
    "page_view",
    "view_catalog",
    "configurator_open",
    "configurator_change",
    "support_open",
    "x_page_leave",
    "x_exposure",
];
const DEVICES: [Option<Word>; 4] = [Some("mobile"), Some("desktop"), Some("tablet"), None];

/// A visitor's session while it is made.
pub struct Visitor {
    pub session: String,
    pub channel: Channel,
    device: Option<Word>,
    bot: Option<Word>,
    pub visit: Uuid,
    pub now: Moment,
}

impl Maker {
    /// A session of one or more visits, a program's now and then.
    pub fn session(&mut self) {
        self.sessions += 1;
        let bot = self.rng.random_bool(0.04).then_some("Googlebot");
        let mut visitor = Visitor {
            session: format!("s{:x}-{}", self.rng.random::<u32>(), self.sessions),
            channel: self.channel(),
            device: self.pick(&DEVICES),
            bot,
            visit: self.id(),
            now: self.moment(),
        };
        match self.rng.random_range(0..1000) {
            0..=1 => self.endless_visit(&mut visitor),
            2..=300 => self.bounce(&mut visitor),
            _ => self.shopping(&mut visitor),
        }
        while self.rng.random_bool(0.25) {
            // The next visit: at least half an hour and a bit later, mostly days.
            let minutes = if self.rng.random_bool(0.3) { 31..180 } else { 600..20_000 };
            visitor.now += Duration::minutes(self.rng.random_range(minutes));
            visitor.visit = self.id();
            if self.rng.random_bool(0.3) {
                visitor.channel = self.channel();
                visitor.device = self.pick(&DEVICES);
            }
            self.shopping(&mut visitor);
        }
    }

    /// One page, and often how it was left.
    fn bounce(&mut self, visitor: &mut Visitor) {
        self.event(visitor, "page_view");
        for _ in 0..self.rng.random_range(0..3) {
            self.pass(visitor);
            self.event(visitor, "x_page_leave");
        }
    }

    /// More than a day without ever half an hour between two events.
    fn endless_visit(&mut self, visitor: &mut Visitor) {
        for step in 0..70 {
            self.event(visitor, if step % 9 == 1 { "view_product" } else { "page_view" });
            let minutes = if step % 5 == 0 { 30 } else { self.rng.random_range(10..30) };
            visitor.now += Duration::minutes(minutes);
        }
    }

    /// Along the way to the till as far as the visitor likes, mostly in order, and perhaps an order at its end.
    fn shopping(&mut self, visitor: &mut Visitor) {
        let mut way = WAY.to_vec();
        if self.rng.random_bool(0.06) {
            let (one, other) = (self.rng.random_range(0..5), self.rng.random_range(0..5));
            way.swap(one, other);
        }
        for step in way {
            if self.rng.random_bool(0.12) {
                return;
            }
            if self.rng.random_bool(0.4) {
                let beside = self.pick(&BESIDE);
                self.event(visitor, beside);
                self.pass(visitor);
            }
            if self.rng.random_bool(0.03) {
                continue;
            }
            self.event(visitor, step);
            // Some steps happen at the very same moment.
            if step == "checkout_start" || !self.rng.random_bool(0.05) {
                self.pass(visitor);
            }
        }
        let orders = 1 + usize::from(self.rng.random_bool(0.03));
        for _ in 0..orders {
            if self.rng.random_bool(0.95) {
                self.sale_of(visitor);
                self.pass(visitor);
            }
        }
    }

    /// Time passes, up to exactly half an hour; source and device change with it now and then.
    fn pass(&mut self, visitor: &mut Visitor) {
        visitor.now += match self.rng.random_range(0..60) {
            0 => Duration::minutes(30),
            1..=3 => Duration::seconds(self.rng.random_range(300..1700)),
            _ => Duration::milliseconds(self.rng.random_range(400..90_000)),
        };
        match self.rng.random_range(0..120) {
            0 => visitor.channel = self.channel(),
            1 => visitor.device = self.pick(&DEVICES),
            _ => {}
        }
    }

    /// Stores one event of the visitor, unless it lies after the end of the history.
    pub fn event(&mut self, visitor: &Visitor, kind: Word) {
        let data =
            (kind == "checkout_start").then(|| json!({"cart": self.rng.random_range(1..1000), "note": "with, \"quotes\"\tand\\more"}));
        // A link with a source is seen on one page; later events have it from the session, or do not.
        let channel = if self.rng.random_bool(0.15) { CHANNELS[0] } else { visitor.channel };
        let event = Event {
            id: self.id(),
            at: visitor.now,
            kind,
            session: visitor.session.clone(),
            visit: (!self.rng.random_bool(0.003)).then_some(visitor.visit),
            channel,
            device: visitor.device,
            page_seconds: (kind == "x_page_leave" || self.rng.random_bool(0.1)).then(|| self.rng.random_range(0..900)),
            scroll: (kind == "x_page_leave" || self.rng.random_bool(0.1)).then(|| self.rng.random_range(0..=100)),
            data,
            // A program may also use the cookies of a person.
            bot: visitor.bot.or_else(|| self.rng.random_bool(0.002).then_some("HeadlessChrome")),
        };
        self.keep(event);
    }

    pub fn keep(&mut self, event: Event) {
        if event.at <= self.history.ends {
            self.history.events.push(event);
        }
    }
}
