"""Checks of what has left over the integration bus.

Pure functions over loaded rows and over what the example receiver got. Must not use any code of the functions.
"""
from __future__ import annotations

from typing import Any

from findings import Finding
from rows import Event, World


def cloud_event(row: Event, public: set[str]) -> dict[str, Any]:
    """What docs/integration-bus.md says of a row."""
    aggregate = row.aggregate
    prior = ",".join(f"{kind}={seq}" for kind, seq in sorted(row.prior.items()) if kind in public)
    optional = {"prior": prior, "traceparent": row.traceparent}
    return {
        "specversion": "1.0", "id": row.event_id, "source": f"/{aggregate.tenant}/{aggregate.kind}/{aggregate.id}",
        "type": f"{row.event_type}.v{row.event_version}", "subject": f"{aggregate.kind}/{aggregate.id}",
        "time": row.occurred_at, "datacontenttype": "application/json",
        "dataschema": f"towpath:schemas/{row.event_type}/v{row.event_version}.json", "tenantid": aggregate.tenant,
        "correlationid": row.correlation_id, "causationid": row.causation_id, "sequence": f"{row.seq:020}",
        "era": row.era, "producer": row.producer, "hops": row.hops, "data": row.data,
        **{name: value for name, value in optional.items() if value}}


def public_events_left(world: World) -> Finding:
    """Every public row of the journal has reached the receiver as a CloudEvent, and nothing else has."""
    found = Finding("every public event left over the bus, nothing else did")
    public = {row.event_id: row for row in world.events if row.visibility == "public"}
    types = {row.event_type for row in public.values()}
    found.same_keys("event on the bus", set(public), {event["id"] for event in world.received})
    for event in world.received:
        if event["id"] in public:
            found.equal(event["id"], cloud_event(public[event["id"]], types), event)
    return found


CHECKS = (public_events_left,)
