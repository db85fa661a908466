//! What a handler may ask while it decides: entities, guarded by `get` or only looked at by `peek`; event-sourced
//! aggregates by `load`, guarded.
//! Must not know: how to write. A handler writes only by returning a `Tx`.

use std::cell::RefCell;

use crate::commit::{Read, Reads};
use crate::envelope::{EventId, place_of};
use crate::group::Overlay;
use crate::ports::{Host, Store, Stored, Unavailable};
use crate::sourced::{self, EventSourced, Snapshots};
use crate::{Aggregate, AggregateId, AggregateKey, AggregateType, Entity, Failure, Seq, Storage, TenantId};

/// One handler's view of one tenant's data.
pub struct Context<'a> {
    store: &'a dyn Store,
    host: &'a dyn Host,
    tenant: &'a TenantId,
    overlay: Option<&'a Overlay>,
    reads: RefCell<Reads>,
    snapshots: RefCell<Snapshots>,
}

impl<'a> Context<'a> {
    pub(crate) fn new(store: &'a dyn Store, host: &'a dyn Host, tenant: &'a TenantId) -> Self {
        Self { store, host, tenant, overlay: None, reads: RefCell::default(), snapshots: RefCell::default() }
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
        let key = self.key::<E>(id)?;
        let stored = self.stored(&key).await?;
        let entity = decode::<E>(stored.as_ref())?;
        self.guard(key, Read { storage: Storage::State, head: stored.map(|stored| stored.head) });
        Ok(entity)
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

    /// Whose data this is.
    pub fn tenant(&self) -> &TenantId {
        self.tenant
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
    let Some(state) = stored.and_then(|stored| stored.state.as_deref()) else { return Ok(None) };
    let unreadable = |error: serde_json::Error| {
        let why = format!("the stored {} does not fit this version of the code: {}", E::TYPE, place_of(&error));
        Failure::retry("entity unreadable", why)
    };
    serde_json::from_str(state).map(Some).map_err(unreadable)
}
