//! The port to a mail provider, and the provider behind an HTTP address. It is told who and what, and finds the address and
//! the words itself: neither is in an event, a log or a queue.
//! Must not know: events, when a mail is sent.

use commerce::notification::Occasion;
use commerce::{CustomerId, OrderId};
use serde::{Deserialize, Serialize};
use towpath::{AggregateId, Effect, ProviderError, TenantId};
use towpath_aws::HttpProvider;

/// A mail to be sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Mail {
    /// Whose customer.
    pub tenant: TenantId,
    /// Which mail.
    pub notification_id: AggregateId,
    /// To whom.
    pub customer_id: CustomerId,
    /// About which order.
    pub order_id: OrderId,
    /// What.
    pub about: Occasion,
}

/// What a provider says to a request that reached it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// It has taken the mail.
    Sent {
        /// Its own name for it.
        receipt: String,
    },
    /// It will not send it: its own word, such as `unknown_customer`. Not a failure.
    No(String),
}

/// A mail provider.
pub trait Mailer {
    /// Sends one mail; with the key of an earlier attempt, none, and the earlier answer.
    ///
    /// # Errors
    /// As [`ProviderError`]; a no to this customer is an [`Answer::No`].
    fn send(&self, effect: &Effect, mail: &Mail) -> impl Future<Output = Result<Answer, ProviderError>>;
}

#[derive(Deserialize)]
struct Taken {
    receipt: String,
}

/// `POST /mails`; a no to this customer is 422.
impl Mailer for HttpProvider {
    async fn send(&self, effect: &Effect, mail: &Mail) -> Result<Answer, ProviderError> {
        match self.post(effect, "/mails", mail).await {
            Ok(Taken { receipt }) => Ok(Answer::Sent { receipt }),
            Err(ProviderError::Refused { status: 422, word }) => Ok(Answer::No(word)),
            Err(error) => Err(error),
        }
    }
}
