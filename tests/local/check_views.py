"""Checks of the views, of the cursors, and of what the driver was told.

Pure functions over loaded rows. Must not read a table, and must not use any code of the functions.
"""
from __future__ import annotations

from typing import Any

import fold
import fold_checkout
from findings import Finding
from rows import Aggregate, Answer, Event, World

ORDER_VIEW, TIMELINE_VIEW = "order-summary", "crm-timeline"


def cursors_at_the_end(world: World) -> Finding:
    """Each consumer has handled the last row of each aggregate that it handles; nothing is parked.

    A consumer that fold.py does not know is judged by what it registered.
    """
    found = Finding("each cursor stands at the last handled row, ready")
    found.same_keys("registered consumer", set(fold.HANDLES), {r.consumer for r in world.registry} & set(fold.HANDLES))
    for registered in (r for r in world.registry if r.consumer in fold.HANDLES):
        name = f"{registered.consumer} in the registry (what it should be: tests/local/fold.py)"
        wanted = (sorted(fold.HANDLES[registered.consumer]), fold.STORAGE[registered.consumer])
        found.equal(name, wanted, (sorted(registered.handles), registered.storage))
    last = _last_handled(world)
    found.same_keys("cursor", set(last), {(c.consumer, c.aggregate) for c in world.cursors})
    for cursor in world.cursors:
        row = last.get((cursor.consumer, cursor.aggregate))
        if row:
            key = f"{cursor.consumer} {cursor.aggregate}"
            found.equal(key, _standing(row.seq, row.event_id, row.era, "ready"),
                        _standing(cursor.cursor, cursor.event_id, cursor.era, cursor.status))
    return found


def _standing(cursor: int, event_id: str | None, era: int, status: str) -> dict[str, Any]:
    return {"cursor": cursor, "event_id": event_id, "era": era, "status": status}


def _last_handled(world: World) -> dict[tuple[str, Aggregate], Event]:
    """(consumer, aggregate) → the last row of a type that the consumer handles."""
    found: dict[tuple[str, Aggregate], Event] = {}
    for registered in world.registry:
        for aggregate, rows in world.journal().items():
            for row in rows:
                if row.event_type in registered.handles:
                    found[(registered.consumer, aggregate)] = row
    return found


def summaries_are_the_fold(world: World) -> Finding:
    """Each order has one summary, and it says what the order's rows say."""
    found = Finding("order-summary: each row is the fold, none missing")
    orders = {a: rows for a, rows in world.journal().items() if a.kind == "order"}
    views = {c.aggregate: c for c in world.cursors if c.consumer == ORDER_VIEW}
    found.same_keys("summary", set(orders), set(views))
    for aggregate, rows in orders.items():
        if aggregate in views:
            found.equal(aggregate, fold.fold_summary(rows), views[aggregate].state)
    return found


def _timeline(world: World) -> dict[tuple[str, str, str], dict[str, Any]]:
    """(tenant, customer, sort key) → entry, from the journal."""
    return {(row.aggregate.tenant, row.data["customer_id"], f"{row.occurred_at}#{row.event_id}"): fold.timeline_entry(row)
            for row in world.events if row.aggregate.kind == "order" or row.event_type == fold_checkout.CLOSED}


def timelines_are_the_fold(world: World) -> Finding:
    """Each customer's timeline has exactly one entry for each order event."""
    found = Finding("crm-timeline: exactly one entry per order event")
    expected = _timeline(world)
    rows = {(v.tenant, v.partition, v.row): v.state for v in world.view_rows if v.view == TIMELINE_VIEW}
    found.same_keys("entry", set(expected), set(rows))
    for key in expected.keys() & rows.keys():
        found.equal(" · ".join(key), expected[key], rows[key])
    return found


def not_checked(world: World) -> list[str]:
    """Consumers and read models that fold.py does not know: nobody here can tell what their rows have to be."""
    known = set(fold.HANDLES) | (set(fold_checkout.CONSUMERS) | {"notify-customer"} if world.ledger else set())
    return sorted(({r.consumer for r in world.registry} | {v.view for v in world.view_rows}) - known)


def answers_as_expected(world: World) -> Finding:
    """Every request of the driver was answered with a status that its intent allows."""
    found = Finding("every request got a status that was expected")
    for at, answer in enumerate(world.answers, 1):
        if answer.status:
            said = f"{answer.status} {answer.answer.get('error', '')}".strip()
            found.true(f"line {at} {answer.kind} {answer.tenant} {answer.path}", answer.status in answer.expect,
                       " or ".join(map(str, answer.expect)), said)
    return found


def answers_are_in_the_journal(world: World) -> Finding:
    """Each 2xx answer has its row, and each order, cancellation and receipt has its answer."""
    found = Finding("each answer is in the journal, each order has an answer")
    rows = {(row.event_type, row.aggregate.tenant, row.aggregate.id, row.correlation_id): row for row in world.events
            if row.event_type in {event_type for event_type, _ in COMMANDS.values()}}
    answered = set()
    for answer in world.answers:
        if answer.kind in COMMANDS and 200 <= answer.status < 300:
            event_type, id_field = COMMANDS[answer.kind]
            key = (event_type, answer.tenant, answer.answer[id_field], answer.answer["correlation_id"])
            answered.add(key)
            if key in rows:
                _compare(found, key, answer, rows[key])
    lost = {(COMMANDS[a.kind][0], a.tenant, a.correlation_id) for a in world.answers if a.kind in COMMANDS and a.unknown}
    excused = {key for key in rows if (key[0], key[1], key[3]) in lost}
    found.same_keys("row and answer", answered, set(rows) - (excused - answered))
    return found


COMMANDS = {"order": (fold.PLACED, "order_id"), "cancel": (fold.CANCELLED, "order_id"), "receipt": (fold.RECEIVED, "sku"),
            "return": (fold_checkout.RETURNED, "checkout_id"),
            "checkout": (fold_checkout.SUBMITTED, "checkout_id"), "decision": (fold_checkout.DECIDED, "checkout_id")}


def _compare(found: Finding, key: tuple[str, ...], answer: Answer, row: Event) -> None:
    """One answer against the row that it speaks of."""
    name = " ".join(key[:3])
    found.equal(f"{name} version", row.seq, answer.answer["version"])
    if answer.kind == "order":
        body = answer.body
        total = sum(line["quantity"] * line["unit_price_cents"] for line in body["lines"])
        found.equal(name, {"order_id": key[2], "total_cents": total, **body}, row.data)
        found.equal(name, ("placed", total), (answer.answer["status"], answer.answer["total_cents"]))
    elif answer.kind == "checkout":
        total = sum(line["quantity"] * line["unit_price_cents"] for line in answer.body["lines"])
        found.equal(name, {"checkout_id": key[2], "total_cents": total, **answer.body}, row.data)
    elif answer.kind == "return":
        found.equal(name, answer.answer["total_cents"], row.data["total_cents"])
    elif answer.kind == "decision":
        found.equal(name, answer.body["decision"] == "approve", row.data["approved"])
    elif answer.kind == "cancel":
        found.equal(name, (answer.body.get("reason"), "cancelled"), (row.data.get("reason"), answer.answer["status"]))
    else:
        found.equal(name, answer.body["quantity"], row.data["quantity"])


def repeats_get_the_same_answer(world: World) -> Finding:
    """Same key and same body: the same status and answer, executed once. Same key, other body: 422."""
    found = Finding("same key, same body: same answer, run once")
    first: dict[tuple[str, str], Answer] = {}
    for answer in world.answers:
        if not answer.key or not 200 <= answer.status < 300:
            continue
        known = first.get((answer.tenant, answer.key))
        first.setdefault((answer.tenant, answer.key), answer)
        if known:
            key = f"{answer.tenant} {answer.key}"
            found.equal(key, (known.status, known.answer, known.body), (answer.status, answer.answer, answer.body))
            found.true(key, known.replay or answer.replay, "one of the two marked as a replay", "neither")
    return found


def stored_answers_are_the_log(world: World) -> Finding:
    """The idempotency rows say what the driver was told, key by key."""
    found = Finding("idempotency rows say what the driver was told")
    stored = {(s.tenant, s.key): s for s in world.stored_answers}
    told = {(a.tenant, a.key): a for a in world.answers if a.key and 200 <= a.status < 300}
    sent = {(a.tenant, a.key) for a in world.answers if a.key}
    found.same_keys("idempotency row", set(told), set(told) & set(stored))
    found.same_keys("idempotency row", set(), set(stored) - sent)
    for key in told.keys() & stored.keys():
        found.equal(" ".join(key), (told[key].status, told[key].answer), (stored[key].status, stored[key].answer))
    return found


def reads_are_the_fold(world: World) -> Finding:
    """What GET answered at the end is what the journal says."""
    found = Finding("GET answers at the end are the fold")
    journal = world.journal()
    entries = _timeline(world)
    for answer in world.answers:
        if not answer.kind.startswith("read-") or answer.status != 200:
            continue
        id_ = answer.path.split("/")[2]
        if answer.kind == "read-order":
            rows = journal.get(Aggregate(answer.tenant, "order", id_), [])
            expected = {**fold.fold_summary(rows), "version": rows[-1].seq} if rows else {}
            found.equal(answer.path, expected, answer.answer)
        else:
            mine = [entries[key] for key in sorted(entries) if key[:2] == (answer.tenant, id_)]
            found.equal(answer.path, {"customer_id": id_, "entries": mine}, answer.answer)
    return found


def queues_empty(world: World) -> Finding:
    """At rest nothing waits, is in flight, or lies in a dead-letter queue."""
    found = Finding("queues and dead-letter queues are empty")
    for name, depth in world.queues.items():
        found.equal(name, (0, 0), depth)
    return found


CHECKS = (cursors_at_the_end, summaries_are_the_fold, timelines_are_the_fold, answers_as_expected,
          answers_are_in_the_journal, repeats_get_the_same_answer, stored_answers_are_the_log, reads_are_the_fold,
          queues_empty)
