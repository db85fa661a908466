"""Checks of the journal itself, of the entities and of the stock.

Pure functions over loaded rows. Must not read a table, and must not use any code of the functions.
"""
from __future__ import annotations

from collections import Counter
from datetime import datetime, timezone
from typing import Any
from uuid import UUID

import fold
import fold_checkout
from findings import Finding
from rows import Aggregate, Entity, Event, World


def _hours(event: Event) -> set[str]:
    """The hours that the row's bucket may name: of occurred_at, and of the time inside the event id."""
    inside = datetime.fromtimestamp((UUID(event.event_id).int >> 80) / 1000, timezone.utc)
    return {event.occurred_at[:13], inside.strftime("%Y-%m-%dT%H")}


def rows_readable(world: World) -> Finding:
    """Every stored row has the documented attributes, format 1, and fits its aggregate."""
    found = Finding("every row is readable and in format 1")
    for key, why in world.unreadable:
        found.true(key, False, "a readable row", why)
    for row in world.events:
        allowed = fold.EVENT_TYPES.get(row.aggregate.kind, set())
        found.true(row.key, row.event_type in allowed, f"one of {sorted(allowed)}", row.event_type)
        kind = "command" if row.event_type in fold_checkout.COMMANDS else "event"
        found.equal(row.key, (1, kind, 1), (row.format, row.kind, row.event_version))
        hour, _, shard = row.bucket.partition("#")
        found.true(row.key, hour in _hours(row) and shard in set("0123"), f"bucket {row.occurred_at[:13]}#0..3", row.bucket)
    for entity in world.entities:
        found.equal(entity.aggregate, 1, entity.format)
    return found


def seq_without_holes(world: World) -> Finding:
    """Seq is 1, 2, 3 … in each aggregate, and time does not run backwards within it."""
    found = Finding("seq of each aggregate is 1, 2, 3 … without a hole")
    for aggregate, rows in world.journal().items():
        found.equal(aggregate, list(range(1, len(rows) + 1)), [row.seq for row in rows])
        times = [row.occurred_at for row in rows]
        found.equal(f"{aggregate} times", sorted(times), times)
    return found


def event_ids_unique(world: World) -> Finding:
    """No event id is used twice in the whole journal."""
    found = Finding("every event id is unique and a UUIDv7")
    for event_id, times in Counter(row.event_id for row in world.events).items():
        found.equal(event_id, 1, times)
        found.equal(event_id, 7, UUID(event_id).version)
    return found


def prior_right(world: World) -> Finding:
    """prior names, for each type, the latest earlier row."""
    found = Finding("prior of each row names the latest earlier rows")
    for rows in world.journal().values():
        for at, row in enumerate(rows):
            found.equal(row.key, fold.last_of_each_type(rows[:at]), row.prior)
    return found


def one_era(world: World) -> Finding:
    """Nothing was restored, so each aggregate lives in one era."""
    found = Finding("each aggregate lives in one era")
    entity_era = {entity.aggregate: entity.era for entity in world.entities}
    for aggregate, rows in world.journal().items():
        eras = {row.era for row in rows} | {entity_era.get(aggregate, rows[0].era)}
        found.equal(aggregate, {rows[0].era}, eras)
    return found


def entities_are_the_fold(world: World) -> Finding:
    """Each entity says what its rows say, and no entity or aggregate stands alone."""
    found = Finding("entities: version, prior and state are the fold")
    journal = world.journal()
    found.same_keys("entity", {a for a in journal if a.kind in fold.STATE_STORED}, {entity.aggregate for entity in world.entities})
    for entity in world.entities:
        rows = journal.get(entity.aggregate)
        if rows:
            found.equal(f"{entity.aggregate} version", rows[-1].seq, entity.version)
            found.equal(f"{entity.aggregate} prior", fold.last_of_each_type(rows), entity.prior)
            if entity.aggregate.kind != "fulfilment":
                found.equal(f"{entity.aggregate} state", fold.fold_entity(rows), _but_lines_of_a_return(entity))
    return found


def _but_lines_of_a_return(entity: Entity) -> dict[str, Any] | None:
    """What came back is in no row of the return: the checkout says it."""
    state = entity.state
    return {name: of for name, of in state.items() if name != "lines"} if state and entity.aggregate.kind == "return" else state


def effects_name_their_cause(world: World) -> Finding:
    """Each stock row of an order or checkout names that order's event, or the saga's command, as its cause."""
    found = Finding("stock rows name their cause and correlation")
    by_id = {row.event_id: row for row in world.events}
    for row in world.events:
        if "order_id" not in row.data or row.aggregate.kind != "stock":
            continue
        cause = by_id.get(row.causation_id)
        commanded = cause is not None and cause.kind == "command"
        back, forth = ("stock.release", "stock.reserve") if commanded else (fold.CANCELLED, fold.PLACED)
        back = fold_checkout.REFUNDED if cause is not None and cause.aggregate.kind == "payment" else back
        wanted_type = back if row.event_type == fold.RELEASED else forth
        wanted = (row.aggregate.tenant, row.data["order_id"], wanted_type, row.correlation_id, row.hops - 1)
        got = cause and (cause.aggregate.tenant, cause.aggregate.id, cause.event_type, cause.correlation_id, cause.hops)
        found.equal(row.key, wanted, got)
    return found


def tenants_apart(world: World) -> Finding:
    """An order of one tenant never shows under a key of another one, and what was refused has left nothing behind."""
    found = Finding("nothing of one tenant is under a key of another")
    refused = {answer.correlation_id for answer in world.answers if answer.kind == "refused"}
    for row in world.events:
        found.true(row.key, row.correlation_id not in refused, "nothing of a request that was refused", row.event_type)
    owner = {a.answer["order_id"]: a.tenant for a in world.answers if a.kind == "order" and a.status == 201}
    owner |= {a.answer["checkout_id"]: a.tenant for a in world.answers if a.kind == "checkout" and a.status == 202}

    def look(key: object, tenant: str, order_id: str) -> None:
        if order_id in owner:
            found.equal(key, owner[order_id], tenant)
    for row in world.events:
        for name in ("order_id", "checkout_id"):
            if name in row.data:
                look(row.key, row.aggregate.tenant, row.data[name])
    for entity in world.entities:
        for order_id in (entity.state or {}).get("reservations", {}):
            look(entity.aggregate, entity.aggregate.tenant, order_id)
    for cursor in world.cursors:
        if cursor.aggregate.kind == "order":
            look(f"cursor {cursor.consumer} {cursor.aggregate}", cursor.aggregate.tenant, cursor.aggregate.id)
    for view in world.view_rows:
        look(f"{view.tenant} {view.view} {view.partition}", view.tenant, view.state.get("order_id", ""))
    return found


def _orders(world: World) -> list[tuple[Aggregate, list[Event], list[Event]]]:
    """Each order with its own rows and the stock rows that were written for it."""
    journal = world.journal()
    stock = fold.stock_rows_by_order(journal)
    return [(a, rows, stock.get((a.tenant, a.id), [])) for a, rows in journal.items() if a.kind == "order"]


def _lines(rows: list[Event]) -> Counter[tuple[str, int]]:
    return Counter((line["sku"], line["quantity"]) for line in rows[0].data.get("lines", []))


def orders_decided_once(world: World) -> Finding:
    """Each placed order has every line reserved once, or one rejection and nothing reserved."""
    found = Finding("each order is reserved once per line, or rejected once")
    for order, rows, stock in _orders(world):
        reserved = Counter((s.aggregate.id, s.data["quantity"]) for s in stock if s.event_type == fold.RESERVED)
        rejected = [s for s in stock if s.event_type == fold.REJECTED]
        if not rejected:
            found.equal(f"{order} reserved", _pairs(_lines(rows)), _pairs(reserved))
            continue
        found.equal(f"{order} rejected", (1, 0), (len(rejected), sum(reserved.values())))
        first = rejected[0]
        wanted = (first.aggregate.id, first.data["wanted"])
        found.true(f"{order} rejected", wanted in _lines(rows), "a line of the order", wanted)
    known = {(each.tenant, each.id) for each in world.journal() if each.kind in ("order", "checkout")}
    found.same_keys("stock rows", set(), set(fold.stock_rows_by_order(world.journal())) - known)
    return found


def cancelled_orders_released_once(world: World) -> Finding:
    """What was reserved for a cancelled order came back once; nothing else came back."""
    found = Finding("a cancelled order releases each reserved line once")
    for order, rows, stock in _orders(world):
        cancelled = any(row.event_type == fold.CANCELLED for row in rows)
        reserved = Counter((s.aggregate.id, s.data["quantity"]) for s in stock if s.event_type == fold.RESERVED)
        released = Counter((s.aggregate.id, s.data["quantity"]) for s in stock if s.event_type == fold.RELEASED)
        found.equal(order, _pairs(reserved if cancelled else Counter()), _pairs(released))
    return found


def _pairs(lines: Counter[tuple[str, int]]) -> list[tuple[str, int]]:
    return sorted(lines.elements())


def stock_never_negative(world: World) -> Finding:
    """No row takes more than there is, and a rejection tells the truth about what there was."""
    found = Finding("stock never goes below zero; rejections are true")
    for aggregate, rows in world.journal().items():
        if aggregate.kind != "stock":
            continue
        stock = fold.StockFold(aggregate.id)
        for row in rows:
            if row.event_type == fold.REJECTED:
                found.equal(row.key, stock.on_hand, row.data["available"])
                found.true(row.key, row.data["wanted"] > row.data["available"], "wanted above available", row.data)
            stock.apply(row)
            found.true(row.key, stock.on_hand >= 0, "on hand ≥ 0", stock.on_hand)
    return found


def stock_adds_up(world: World) -> Finding:
    """On hand = received by the driver's own log − reserved + released; reservations = reserved − released."""
    found = Finding("on hand = received − reserved + released")
    received: Counter[Aggregate] = Counter()
    lost = {a.path for a in world.answers if a.kind == "receipt" and a.unknown}
    # Once per key. Even a first answer may be a replay: when the answer of the write was lost on its way to the function.
    for answer in {(a.tenant, a.key): a for a in world.answers if a.kind == "receipt" and a.status == 201}.values():
        received[Aggregate(answer.tenant, "stock", answer.answer["sku"])] += answer.body["quantity"]
    folds = {a: fold.fold_stock(rows) for a, rows in world.journal().items() if a.kind == "stock"}
    for entity in world.entities:
        stock = folds.get(entity.aggregate)
        if entity.aggregate.kind != "stock" or stock is None or entity.state is None:
            continue
        by_log = stock.received if f"/stock/{stock.sku}/receipts" in lost else received[entity.aggregate]
        found.equal(f"{entity.aggregate} on hand", by_log - stock.reserved + stock.released, entity.state["on_hand"])
        held = sum(entity.state["reservations"].values())
        found.equal(f"{entity.aggregate} held", stock.reserved - stock.released, held)
    return found


CHECKS = (rows_readable, seq_without_holes, event_ids_unique, prior_right, one_era, entities_are_the_fold,
          effects_name_their_cause, orders_decided_once, cancelled_orders_released_once, stock_never_negative,
          stock_adds_up, tenants_apart)
