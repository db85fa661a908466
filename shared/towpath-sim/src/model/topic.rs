//! An SNS FIFO topic: what one request may hold, deduplication, and the order in which a subscription gets a group.
//! Must not know: who publishes, who is subscribed.

use std::collections::BTreeMap;

use towpath::limits;
use towpath::ports::{Publication, Unavailable};

use super::deduplication::Remembered;
use crate::dice::Millis;

/// The topic.
#[derive(Debug, Default)]
pub(crate) struct Topic {
    remembered: Remembered,
    /// When a subscription gets the last message of a group.
    last: BTreeMap<(usize, String), Millis>,
}

/// Ten entries and 256 KiB, attributes included, or the whole request is refused (9).
pub(crate) fn fits(batch: &[Publication]) -> Result<(), Unavailable> {
    let refused = |why: String| Err(Unavailable { call: "PublishBatch", why });
    if batch.len() > limits::PUBLISH_ENTRIES {
        return refused(format!("TooManyEntriesInBatchRequest: {}", batch.len()));
    }
    let bytes: usize = batch.iter().map(bytes_of).sum();
    if bytes > limits::PUBLISH_BYTES {
        return refused(format!("BatchRequestTooLong: {bytes} bytes"));
    }
    Ok(())
}

/// The body, and name, data type and value of each attribute.
fn bytes_of(message: &Publication) -> usize {
    let to = message.to.as_ref().map_or(0, |to| "consumerString".len() + to.as_str().len());
    message.body.len() + "event_typeString".len() + message.event_type.as_str().len() + to
}

impl Topic {
    /// Is it to be delivered, or was it published less than 5 minutes ago (10)? Either way it is answered with success.
    pub(crate) fn accept(&mut self, message: &Publication, now: Millis) -> bool {
        self.remembered.accept(&message.group, &message.event_id.to_string(), now)
    }

    /// When a subscription gets a message that takes `wait`: never before what was published to its group earlier.
    pub(crate) fn arrival(&mut self, subscription: usize, group: &str, now: Millis, wait: Millis) -> Millis {
        let last = self.last.entry((subscription, group.to_owned())).or_insert(0);
        *last = (*last + 1).max(now + wait);
        *last
    }
}
