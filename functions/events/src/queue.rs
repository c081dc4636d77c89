//! The platform's queue: handing messages in, and taking delivered ones out. Messages are JSON text.

use chrono::{DateTime, Utc};
use shared::edge;
use worker::wasm_bindgen::JsValue;
use worker::{MessageBatch, MessageExt, QueueContentType, QueueRetryOptionsBuilder, RawMessage, RawMessageBuilder};

use crate::consumer::{Delivery, Fate};

/// The binding `EVENTS_QUEUE`.
pub struct Queue(pub worker::Queue);

impl Queue {
    /// Returns once the queue has the message for certain.
    pub async fn send(&self, message: &str) -> Result<(), String> {
        let message = RawMessageBuilder::new(JsValue::from_str(message)).build_with_content_type(QueueContentType::Text);
        self.0.send_raw(message).await.map_err(|error| error.to_string())
    }
}

/// What was delivered together, and what it takes to say what becomes of each.
pub struct Batch(Vec<RawMessage>);

impl Batch {
    pub fn of<T>(batch: &MessageBatch<T>) -> Self {
        Self(batch.raw_iter().collect())
    }

    pub fn deliveries(&self) -> Vec<Delivery> {
        let read = |message: &RawMessage| Delivery {
            id: message.id(),
            // Not ours if it is no text.
            body: message.body().as_string(),
            sent_at: DateTime::<Utc>::from_timestamp_millis(message.timestamp().as_millis() as i64).unwrap_or_else(edge::now),
        };
        self.0.iter().map(read).collect()
    }

    /// All of them are delivered again in a minute. Messages that nothing is said about would count as done.
    pub fn put_back(&self) {
        self.settle(&vec![Fate::Again { after_s: 60 }; self.0.len()]);
    }

    pub fn settle(&self, fates: &[Fate]) {
        for (message, fate) in self.0.iter().zip(fates) {
            match fate {
                Fate::Done => message.ack(),
                Fate::Again { after_s } => {
                    message.retry_with_options(&QueueRetryOptionsBuilder::new().with_delay_seconds(*after_s).build());
                }
            }
        }
    }
}
