"""Checks of what the mail provider was asked for: its own ledger against the journal.

Pure functions over loaded rows. Must not read a table, and must not use any code of the functions.
"""
from __future__ import annotations

from collections import Counter
from hashlib import sha256
from typing import Any

import fold
from findings import Finding
from rows import Event, World

CONSUMER = "notify-customer"
ABOUT = {fold.PLACED: "order_placed", fold.CANCELLED: "order_cancelled"}


def key_of(event: Event) -> str:
    """The idempotency key, by the documented rule."""
    return sha256(f"{CONSUMER}\0{event.event_id}".encode()).hexdigest()


def _expected(world: World) -> dict[str, Event]:
    """Key → the event that a customer is to be told of."""
    return {key_of(event): event for event in world.events if event.event_type in ABOUT}


def _mail(event: Event) -> dict[str, Any]:
    return {"tenant": event.aggregate.tenant, "notification_id": event.event_id, "customer_id": event.data["customer_id"],
            "order_id": event.aggregate.id, "about": ABOUT[event.event_type]}


def _executed(world: World) -> list[dict[str, Any]]:
    return [done for done in (world.ledger or {}).get("executed", []) if done["path"] == "/mails"]


def mails_sent_once(world: World) -> Finding:
    """The provider has sent one mail for each order event, under the event's key, and no other, though it failed on purpose."""
    ledger = world.ledger or {}
    faults = ", ".join(f"{count} × {name}" for name, count in sorted(ledger.get("faults", {}).items()))
    found = Finding(f"each mail was sent once ({sum(ledger.get('attempts', {}).values())} attempts; {faults or 'no fault'})")
    expected, executed = _expected(world), _executed(world)
    times = Counter(done["key"] for done in executed)
    found.same_keys("mail", set(expected), set(times))
    for done in executed:
        found.equal(done["key"], 1, times[done["key"]])
        if done["key"] in expected:
            found.equal(done["key"], _mail(expected[done["key"]]), done["body"])
    return found


def mails_on_record(world: World) -> Finding:
    """Each mail is an event of its own, with the provider's receipt, caused by the order's event."""
    found = Finding("each mail's receipt is on record, once")
    by_id = {row.event_id: row for row in world.events}
    rows = [row for row in world.events if row.aggregate.kind == "notification"]
    receipts = {done["key"]: done["answer"]["receipt"] for done in _executed(world)}
    found.same_keys("notification", {event.event_id for event in _expected(world).values()}, {row.aggregate.id for row in rows})
    for row in rows:
        cause = by_id.get(row.causation_id)
        if cause:
            said = {"receipt": receipts.get(key_of(cause)), **_mail(cause)}
            said.pop("tenant")
            found.equal(row.key, (fold.SENT, said), (row.event_type, row.data))
            found.equal(row.key, (cause.aggregate.tenant, cause.correlation_id, cause.hops + 1),
                        (row.aggregate.tenant, row.correlation_id, row.hops))
    return found


CHECKS = (mails_sent_once, mails_on_record)
