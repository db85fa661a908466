//! Notifications: one for each thing that a customer is told, and what the mail provider said to it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use towpath::{Aggregate, AggregateId, Event, Redacted, Storage};

use crate::{CustomerId, OrderId};

/// A message to a customer. Nothing of it is stored but its event.
#[derive(Debug)]
pub struct Notification;

impl Aggregate for Notification {
    const TYPE: &'static str = "notification";
    const STORAGE: Storage = Storage::Events;
}

/// What a customer is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Occasion {
    /// The order was taken.
    OrderPlaced,
    /// The order was called off.
    OrderCancelled,
}

/// A customer was told, or rather: the provider has taken the message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NotificationSent {
    /// Which: the id of the event that it is about, so that there is one for each.
    pub notification_id: AggregateId,
    /// Who was told. Where they can be reached, only the provider knows.
    pub customer_id: Redacted<CustomerId>,
    /// About which order.
    pub order_id: OrderId,
    /// What.
    pub about: Occasion,
    /// The provider's own name for the message.
    pub receipt: String,
}

impl Event for NotificationSent {
    type Of = Notification;
    const TYPE: &'static str = "notification.sent";
    const VERSION: u32 = 1;
    fn aggregate_id(&self) -> AggregateId {
        self.notification_id.clone()
    }
}

/// The provider will not send it: it does not know the customer, or the customer wants no mail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NotificationRefused {
    /// Which: the id of the event that it is about.
    pub notification_id: AggregateId,
    /// Who was to be told.
    pub customer_id: Redacted<CustomerId>,
    /// About which order.
    pub order_id: OrderId,
    /// What.
    pub about: Occasion,
    /// The provider's word for it.
    pub reason: String,
}

impl Event for NotificationRefused {
    type Of = Notification;
    const TYPE: &'static str = "notification.refused";
    const VERSION: u32 = 1;
    fn aggregate_id(&self) -> AggregateId {
        self.notification_id.clone()
    }
}
