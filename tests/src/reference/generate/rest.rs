//! What is not a visit or an order: ad spend, addresses that have unsubscribed, measurements.

use chrono::Duration;
use rand::Rng;
use rust_decimal::Decimal;

use super::super::model::{Channel, Lead, Sample, Spend};
use super::{CHANNELS, Maker};

/// Nobody ever comes by this one.
const IN_VAIN: Channel = (Some("linkedin"), Some("b2b"));

impl Maker {
    pub fn rest(&mut self) {
        self.ad_spend();
        self.leads();
        self.samples();
    }

    fn ad_spend(&mut self) {
        for day in self.history.begins.iter_days().take(426) {
            let bought = [
                CHANNELS[1],
                CHANNELS[2],
                CHANNELS[3],
                CHANNELS[4],
                CHANNELS[7],
                CHANNELS[0],
                IN_VAIN,
            ];
            for (index, channel) in bought.into_iter().enumerate() {
                for creative in [None, Some("video")] {
                    let share = if index < 4 { 0.5 } else { 0.05 };
                    if self.rng.random_bool(share) {
                        let most = self.size.orders as i64 / 12;
                        let amount = Decimal::new(self.rng.random_range(0..=most * 100), 2);
                        self.history.spend.push(Spend {
                            day,
                            channel,
                            creative,
                            amount,
                        });
                    }
                }
            }
        }
    }

    /// A tenth of the addresses have unsubscribed, another has left an address and nothing more.
    fn leads(&mut self) {
        let mut emails: Vec<String> = self.history.orders.iter().map(|order| order.email.clone()).collect();
        emails.sort();
        emails.dedup();
        for email in emails {
            let unsubscribed = match self.rng.random_range(0..10) {
                0 => Some(self.history.begins.and_time(chrono::NaiveTime::MIN).and_utc() + Duration::days(self.rng.random_range(0..400))),
                1 => None,
                _ => continue,
            };
            self.history.leads.push(Lead { email, unsubscribed });
        }
        self.history.leads.push(Lead {
            email: "nobody@example.com".to_owned(),
            unsubscribed: Some(self.size.ends),
        });
    }

    /// Two days of measurements up to the end; the mails' stop three hours before it.
    fn samples(&mut self) {
        for _ in 0..300 {
            let at = self.size.ends - Duration::milliseconds(self.rng.random_range(0..172_800_000));
            self.history.samples.push(Sample {
                kind: "webhook_latency",
                value: Decimal::from(self.rng.random_range(50..2500)),
                at,
            });
            self.history.samples.push(Sample {
                kind: "email_send_time",
                value: Decimal::from(self.rng.random_range(900..9000)),
                at: at - Duration::hours(3),
            });
        }
    }
}
