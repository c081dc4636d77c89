//! JSON of `POST /api/events`.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use uuid::Uuid;

/// `{"events": [...]}`. Each event is kept as raw text, so that one broken event does not fail the others.
#[derive(Deserialize)]
pub struct Batch<'a> {
    #[serde(borrow)]
    pub events: Option<Vec<&'a RawValue>>,
}

/// When the sender says that it sent the batch, by its own clock. What cannot be read is as good as none.
pub fn sent_at(text: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Sending {
        sent_at: Option<String>,
    }
    serde_json::from_str::<Sending>(text).ok()?.sent_at
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BatchAnswer {
    pub success: bool,
    pub results: Vec<EventResult>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SingleAnswer {
    pub success: bool,
    pub event_id: Uuid,
}

/// The verdict on one event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EventResult {
    /// The id the browser sent, or the one given here; `None` when the event was too broken to have one.
    pub event_id: Option<Uuid>,
    pub status: Verdict,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    Stored,
    Duplicate,
    /// The queue has it; what becomes of it is not known yet.
    Accepted,
    Rejected,
}

impl EventResult {
    pub fn accepted(event_id: Uuid) -> Self {
        Self {
            event_id: Some(event_id),
            status: Verdict::Accepted,
            reason: None,
        }
    }

    pub fn rejected(event_id: Option<Uuid>, reason: impl Into<String>) -> Self {
        Self {
            event_id,
            status: Verdict::Rejected,
            reason: Some(reason.into()),
        }
    }
}
