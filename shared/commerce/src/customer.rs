//! What the CRM shows of a customer: a timeline, one entry per thing that happened.

use serde::{Deserialize, Serialize};
use towpath::{Envelope, EventType, Timestamp, View};

use crate::{CustomerId, OrderId};

/// One line of a customer's timeline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimelineEntry {
    /// When it happened.
    pub at: Timestamp,
    /// What happened, for programs.
    pub event_type: EventType,
    /// To which order or checkout.
    pub order_id: OrderId,
    /// What happened, for people.
    pub text: String,
    #[serde(skip)]
    place: (String, String),
}

impl TimelineEntry {
    /// The entry for one event of a customer. Its place is the event's own, so writing it twice changes nothing.
    pub fn new(customer_id: &CustomerId, order_id: &OrderId, of: &Envelope, text: String) -> Self {
        Self {
            at: of.occurred_at,
            event_type: of.event_type.clone(),
            order_id: order_id.clone(),
            text,
            place: (customer_id.to_string(), format!("{}#{}", of.occurred_at, of.event_id)),
        }
    }
}

impl View for TimelineEntry {
    const NAME: &'static str = "crm-timeline";
    fn partition(&self) -> String {
        self.place.0.clone()
    }
    fn sort(&self) -> String {
        self.place.1.clone()
    }
}
