//! What a handler may ask while it decides: entities, guarded by `get` or only looked at by `peek`; event-sourced
//! aggregates by `load`, guarded.
//! Must not know: how to write. A handler writes only by returning a `Tx`.

use std::cell::{Cell, RefCell};

use crate::apply::step_of;
use crate::batch::MARGIN;
use crate::commit::{Read, Reads};
use crate::effect::{Effect, EffectKey, LEAST};
use crate::envelope::{EventId, place_of};
use crate::group::Overlay;
use crate::ports::{Host, Store, Stored, Unavailable};
use crate::sourced::{self, EventSourced, Snapshots};
use crate::{
    Aggregate, AggregateId, AggregateKey, AggregateType, Entity, Envelope, Failure, Seq, Storage, TenantId, Timestamp,
    Traceparent,
};

/// One handler's view of one tenant's data.
pub struct Context<'a> {
    store: &'a dyn Store,
    host: &'a dyn Host,
    tenant: &'a TenantId,
    overlay: Option<&'a Overlay>,
    reads: RefCell<Reads>,
    effect: Option<EffectKey>,
    /// Was the effect asked for, so that something outside may happen?
    reached_out: Cell<bool>,
    snapshots: RefCell<Snapshots>,
}

impl<'a> Context<'a> {
    pub(crate) fn new(store: &'a dyn Store, host: &'a dyn Host, tenant: &'a TenantId) -> Self {
        let reads = RefCell::default();
        Self {
            store,
            host,
            tenant,
            overlay: None,
            reads,
            snapshots: RefCell::default(),
            effect: None,
            reached_out: Cell::new(false),
        }
    }

    /// A view from which one effect outside may be had.
    pub(crate) fn with_effect(self, key: EffectKey) -> Self {
        Self { effect: Some(key), ..self }
    }

    /// A view that sees what is about to be committed as if it were.
    pub(crate) fn on(self, overlay: &'a Overlay) -> Self {
        Self { overlay: Some(overlay), ..self }
    }

    async fn stored(&self, key: &AggregateKey) -> Result<Option<Stored>, Unavailable> {
        match self.overlay.and_then(|overlay| overlay.entity(key)) {
            Some(stored) => Ok(Some(stored.clone())),
            None => self.store.entity(key).await,
        }
    }

    /// Reads an entity under guard: what the handler returns is committed only if the entity, or its absence, is
    /// still as it was read.
    pub async fn get<E: Entity>(&self, id: &AggregateId) -> Result<Option<E>, Failure> {
        decode::<E>(self.stored_under_guard::<E>(id).await?.as_ref())
    }

    /// The same, as it is stored.
    pub(crate) async fn stored_under_guard<E: Entity>(&self, id: &AggregateId) -> Result<Option<Stored>, Failure> {
        self.key_under_guard(self.key::<E>(id)?).await
    }

    pub(crate) async fn key_under_guard(&self, key: AggregateKey) -> Result<Option<Stored>, Failure> {
        let stored = self.stored(&key).await?;
        self.guard(key, Read { storage: Storage::State, head: stored.as_ref().map(|stored| stored.head.clone()) });
        Ok(stored)
    }

    /// Folds an event-sourced aggregate under guard: what the handler returns is committed only if nobody has added a row
    /// to it since, or begun it, whether the handler records something of it or not. Otherwise the handler decides again.
    pub async fn load<A: EventSourced>(&self, id: &AggregateId) -> Result<Option<A>, Failure> {
        let key = self.key::<A>(id)?;
        let mut past = sourced::past::<A>(self.store, &key, None).await?;
        // Only of what is committed: what the overlay adds may never be.
        self.snapshots.borrow_mut().extend(past.snapshot()?.map(|snapshot| (key.clone(), snapshot)));
        for row in self.overlay.map_or(&[][..], |overlay| overlay.rows(&key)) {
            past.follow(row)?;
        }
        self.guard(key, Read { storage: Storage::Events, head: past.head });
        Ok(past.state)
    }

    /// Looks at an entity without guard, for what may be a moment old.
    pub async fn peek<E: Entity>(&self, id: &AggregateId) -> Result<Option<E>, Failure> {
        let key = self.key::<E>(id)?;
        decode::<E>(self.stored(&key).await?.as_ref())
    }

    /// The version of an aggregate that was got or loaded before: its last row; `Seq::ZERO` when there was none.
    pub fn version_of<A: Aggregate>(&self, id: &AggregateId) -> Seq {
        let reads = self.reads.borrow();
        let head = self.key::<A>(id).ok().and_then(|key| reads.get(&key)?.head.as_ref());
        head.map_or(Seq::ZERO, |head| head.seq)
    }

    /// A new id that nobody else has, sorted by time.
    pub fn new_id(&self) -> AggregateId {
        let id = EventId::new(self.host.now(), self.host.random()).to_string();
        AggregateId::parse(id).expect("a UUID is hex digits and hyphens, at most 36 of them")
    }

    /// What a call outside needs: the key, and how long it may take. Ask for it right before the call, and read all that you
    /// need from the tables before: from here on a failure counts as one after which nobody knows whether the effect
    /// happened, unless it is a [`ProviderError`](crate::ProviderError) that says that nothing did.
    ///
    /// # Errors
    /// A rejection in a consumer that is not declared with [`Consumer::effects`](crate::Consumer::effects), and in a request
    /// to an API, which has no event: record an event, and let such a consumer do it. A retry when the time is too short.
    pub fn effect(&self) -> Result<Effect, Failure> {
        let Some(key) = &self.effect else {
            let why = "only a consumer that is declared with .effects(…) may call a provider: see docs/guides/external-effect.md";
            return Err(Failure::reject("no effects declared", why));
        };
        let left = self.host.remaining().saturating_sub(MARGIN);
        if left < LEAST {
            return Err(Failure::retry("deadline", "too little of the invocation is left for a call outside"));
        }
        self.reached_out.set(true);
        Ok(Effect::new(key.clone(), left))
    }

    /// Was there a call outside, perhaps?
    pub(crate) fn has_reached_out(&self) -> bool {
        self.reached_out.get()
    }

    /// Whose data this is.
    pub fn tenant(&self) -> &TenantId {
        self.tenant
    }

    /// The time of this attempt; never for decisions that must come out the same again.
    pub(crate) fn now(&self) -> Timestamp {
        self.host.now()
    }

    /// Where in a trace the handling of this event is.
    pub(crate) fn step_of(&self, event: &Envelope) -> Option<Traceparent> {
        step_of(self.host, event)
    }

    /// What was read under guard, and snapshots that are due.
    pub(crate) fn into_parts(self) -> (Reads, Snapshots) {
        (self.reads.into_inner(), self.snapshots.into_inner())
    }

    /// The first look counts: who decides on two looks, between which somebody wrote, decides again.
    fn guard(&self, key: AggregateKey, read: Read) {
        self.reads.borrow_mut().entry(key).or_insert(read);
    }

    fn key<A: Aggregate>(&self, id: &AggregateId) -> Result<AggregateKey, Failure> {
        let kind = AggregateType::parse(A::TYPE)?;
        Ok(AggregateKey { tenant: self.tenant.clone(), kind, id: id.clone() })
    }
}

fn decode<E: Entity>(stored: Option<&Stored>) -> Result<Option<E>, Failure> {
    stored.and_then(|stored| stored.state.as_deref()).map(decode_state::<E>).transpose()
}

pub(crate) fn decode_state<E: Entity>(state: &str) -> Result<E, Failure> {
    serde_json::from_str(state).map_err(|error| {
        let why = format!("the stored {} does not fit this version of the code: {}", E::TYPE, place_of(&error));
        Failure::retry("entity unreadable", why)
    })
}
