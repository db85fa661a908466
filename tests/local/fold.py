"""The plain rules of the shop: what the journal says the entities, summaries and timelines have to be.

Written from the documented formats alone. Must not read a table, and must not look at what the functions wrote as a result.
"""
from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import fold_checkout
from rows import Aggregate, Event

PLACED, CANCELLED = "order.placed", "order.cancelled"
RECEIVED, RESERVED, REJECTED, RELEASED = "stock.received", "stock.reserved", "stock.rejected", "stock.released"
SENT, REFUSED = "notification.sent", "notification.refused"
HANDLES: dict[str, frozenset[str]] = {
    consumer: frozenset({PLACED, CANCELLED}) for consumer in ("inventory", "order-summary", "crm-timeline", "integration-bus")}
HANDLES["inventory"] |= {"stock.inquire", "stock.release", "stock.reserve", fold_checkout.REFUNDED}
HANDLES["crm-timeline"] |= {fold_checkout.CLOSED}
STORAGE = {"inventory": "progress", "order-summary": "views", "crm-timeline": "progress", "notify-customer": "progress",
           "integration-bus": "progress"}
EVENT_TYPES = {"order": {PLACED, CANCELLED}, "stock": {RECEIVED, RESERVED, REJECTED, RELEASED}, "notification": {SENT, REFUSED},
               "invoice": {"invoice.issued", "invoice.line_added", "invoice.paid", "invoice.credited"},
               **fold_checkout.EVENT_TYPES}
STATE_STORED = frozenset({"order", "stock"}) | fold_checkout.STATE_STORED


@dataclass
class StockFold:
    """One sku, folded row by row; `low` is the smallest number ever on hand."""

    sku: str
    on_hand: int = 0
    low: int = 0
    received: int = 0
    reserved: int = 0
    released: int = 0
    reservations: dict[str, int] = field(default_factory=dict)

    def apply(self, event: Event) -> None:
        data = event.data
        if event.event_type == RECEIVED:
            self.on_hand += data["quantity"]
            self.received += data["quantity"]
        elif event.event_type == RESERVED:
            self.on_hand -= data["quantity"]
            self.reserved += data["quantity"]
            order = data["order_id"]
            self.reservations[order] = self.reservations.get(order, 0) + data["quantity"]
        elif event.event_type == RELEASED:
            self.on_hand += data["quantity"]
            self.released += data["quantity"]
            self.reservations.pop(data["order_id"], None)
        self.low = min(self.low, self.on_hand)

    def state(self) -> dict[str, Any]:
        return {"sku": self.sku, "on_hand": self.on_hand, "reservations": self.reservations}


def fold_stock(rows: list[Event]) -> StockFold:
    """Folds all rows of one sku."""
    stock = StockFold(rows[0].aggregate.id)
    for row in rows:
        stock.apply(row)
    return stock


def fold_order(rows: list[Event]) -> dict[str, Any]:
    """The state of the order entity."""
    state: dict[str, Any] = {}
    for row in rows:
        if row.event_type == PLACED:
            state = {**row.data, "status": "placed"}
        elif row.event_type == CANCELLED:
            state = {**state, "status": "cancelled"}
    return state


def fold_summary(rows: list[Event]) -> dict[str, Any]:
    """The state of the order's row in order-summary."""
    state = fold_order(rows)
    for row in rows:
        if row.event_type == PLACED:
            state["placed_at"] = row.occurred_at
        elif row.event_type == CANCELLED:
            state["cancelled_at"] = row.occurred_at
            if "reason" in row.data:
                state["reason"] = row.data["reason"]
    return state


def money(cents: int) -> str:
    return f"{cents // 100}.{cents % 100:02d}"


def timeline_entry(row: Event) -> dict[str, Any]:
    """The entry of one order event in its customer's timeline."""
    if row.event_type == PLACED:
        count = len(row.data["lines"])
        lines = "1 line" if count == 1 else f"{count} lines"
        text = f"placed an order of {lines} for {money(row.data['total_cents'])}"
    elif row.event_type == fold_checkout.CLOSED:
        text = f"got {money(row.data['total_cents'])} back for what was returned"
    else:
        text = f"cancelled the order: {row.data['reason']}" if "reason" in row.data else "cancelled the order"
    of = row.data["checkout_id" if row.event_type == fold_checkout.CLOSED else "order_id"]
    return {"at": row.occurred_at, "event_type": row.event_type, "order_id": of, "text": text}


def fold_entity(rows: list[Event]) -> dict[str, Any]:
    """The state of any entity of the shop but a saga's, of which check_checkouts.py tells."""
    if rows[0].aggregate.kind in fold_checkout.STATE_STORED:
        return fold_checkout.state(rows)
    return fold_order(rows) if rows[0].aggregate.kind == "order" else fold_stock(rows).state()


def last_of_each_type(rows: list[Event]) -> dict[str, int]:
    """For each type the seq of its latest row."""
    return {row.event_type: row.seq for row in sorted(rows, key=lambda r: r.seq)}


def stock_rows_by_order(journal: dict[Aggregate, list[Event]]) -> dict[tuple[str, str], list[Event]]:
    """(tenant, order id) → every stock row that was written for that order."""
    found: dict[tuple[str, str], list[Event]] = {}
    for aggregate, rows in journal.items():
        if aggregate.kind != "stock":
            continue
        for row in rows:
            if "order_id" in row.data:
                found.setdefault((aggregate.tenant, row.data["order_id"]), []).append(row)
    return found
