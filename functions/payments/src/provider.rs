//! The port to a payment provider, and the provider behind an HTTP address. Must not know: events, who asks, why.
//!
//! Each request carries the effect's key, so asking twice moves money once. A payment has our own id, by which it is found
//! when nobody knows what came of a request.

use commerce::Cents;
use serde::{Deserialize, Serialize};
use towpath::{AggregateId, Effect, ProviderError};
use towpath_aws::HttpProvider;

/// What a provider says to a request that reached it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// It is done.
    Done(Payment),
    /// It will not do it, for a reason of the business: the provider's own word, such as `card_declined`. Not a failure.
    No(String),
}

/// A payment as the provider knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Payment {
    /// The provider's own name for it.
    pub receipt: String,
    /// How far it is.
    pub status: Status,
    /// How much.
    pub amount_cents: Cents,
}

/// How far a payment is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Set aside for us.
    Authorised,
    /// Ours.
    Captured,
    /// Let go.
    Voided,
    /// Given back.
    Refunded,
}

/// A payment provider.
pub trait PaymentProvider {
    /// Sets an amount aside.
    ///
    /// # Errors
    /// As [`ProviderError`]; a business no is an [`Answer::No`].
    fn authorise(
        &self,
        effect: &Effect,
        payment: &AggregateId,
        amount: Cents,
    ) -> impl Future<Output = Result<Answer, ProviderError>>;

    /// Takes what was set aside.
    ///
    /// # Errors
    /// As [`PaymentProvider::authorise`].
    fn capture(&self, effect: &Effect, payment: &AggregateId) -> impl Future<Output = Result<Answer, ProviderError>>;

    /// Gives back what was set aside.
    ///
    /// # Errors
    /// As [`PaymentProvider::authorise`].
    fn void(&self, effect: &Effect, payment: &AggregateId) -> impl Future<Output = Result<Answer, ProviderError>>;

    /// Gives back what was taken.
    ///
    /// # Errors
    /// As [`PaymentProvider::authorise`].
    fn refund(&self, effect: &Effect, payment: &AggregateId) -> impl Future<Output = Result<Answer, ProviderError>>;

    /// Looks a payment up; `None` if the provider has none of this id. Changes nothing: of the effect only the time counts.
    ///
    /// # Errors
    /// As [`ProviderError`].
    fn find(
        &self,
        effect: &Effect,
        payment: &AggregateId,
    ) -> impl Future<Output = Result<Option<Payment>, ProviderError>>;
}

#[derive(Serialize)]
struct Authorisation<'a> {
    payment_id: &'a AggregateId,
    amount_cents: Cents,
}

#[derive(Serialize)]
struct Nothing {}

/// `POST /payments`, `POST /payments/{id}/capture`, `POST /payments/{id}/void`, `POST /payments/{id}/refund`, `GET /payments/{id}`; a no is 402.
impl PaymentProvider for HttpProvider {
    async fn authorise(&self, effect: &Effect, payment: &AggregateId, amount: Cents) -> Result<Answer, ProviderError> {
        let asked = Authorisation { payment_id: payment, amount_cents: amount };
        answered(self.post(effect, "/payments", &asked).await)
    }

    async fn capture(&self, effect: &Effect, payment: &AggregateId) -> Result<Answer, ProviderError> {
        answered(self.post(effect, &format!("/payments/{payment}/capture"), &Nothing {}).await)
    }

    async fn void(&self, effect: &Effect, payment: &AggregateId) -> Result<Answer, ProviderError> {
        answered(self.post(effect, &format!("/payments/{payment}/void"), &Nothing {}).await)
    }

    async fn refund(&self, effect: &Effect, payment: &AggregateId) -> Result<Answer, ProviderError> {
        answered(self.post(effect, &format!("/payments/{payment}/refund"), &Nothing {}).await)
    }

    async fn find(&self, effect: &Effect, payment: &AggregateId) -> Result<Option<Payment>, ProviderError> {
        self.get(&format!("/payments/{payment}"), effect.within).await
    }
}

fn answered(answer: Result<Payment, ProviderError>) -> Result<Answer, ProviderError> {
    match answer {
        Ok(payment) => Ok(Answer::Done(payment)),
        Err(ProviderError::Refused { status: 402, word }) => Ok(Answer::No(word)),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_no_of_the_business_is_an_answer() {
        let refused = |status| Err(ProviderError::Refused { status, word: "card_declined".into() });
        assert_eq!(answered(refused(402)), Ok(Answer::No("card_declined".into())));
        assert!(answered(refused(401)).is_err(), "the provider does not know us: that is to be mended");
        assert!(answered(Err(ProviderError::Unknown("no answer".into()))).is_err());
    }
}
