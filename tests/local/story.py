"""Tells the whole story of one order: every row with its correlation id, who wrote it, when, and where the consumers stand.

Reads only. Must not judge; that is the check's work.
"""
from __future__ import annotations

import time
from datetime import datetime

import hints
import rows
from cloud import Stack, scan
from driver import Driver
from paper import table
from plan import Plan
from rich.console import Console
from rows import Answer, Event, World


def load_rows(stack: Stack, correlation_id: str) -> World:
    """The journal rows of one correlation id, and all cursors."""
    world = World()
    for table, output in (("outbox", "OutboxTable"), ("progress", "ProgressTable"), ("views", "ViewsTable")):
        rows.fill(world, table, scan(stack, output))
    world.events = sorted((e for e in world.events if e.correlation_id == correlation_id), key=lambda e: e.occurred_at)
    return world


def tell(stack: Stack, order: Answer, seen_ms: dict[str, float], out: Console) -> None:
    """Prints the story as one table, in order of time."""
    correlation_id = order.answer["correlation_id"]
    world = load_rows(stack, correlation_id)
    if not world.events:
        out.print(f"No row carries the correlation id {correlation_id}.", style="red")
        return
    out.print("The story of one order", style="bold")
    out.print(f"  tenant {order.tenant}, order {order.answer['order_id']}, correlation id {correlation_id}", soft_wrap=True)
    lines = table("", ">after", "event", "row", "written by", "hop")
    begin = when(world.events[0].occurred_at)
    by_id = {event.event_id: event for event in world.events}
    for event in world.events:
        cause = by_id.get(event.causation_id)
        took = milliseconds(when(cause.occurred_at), when(event.occurred_at)) if cause else 0
        hop = f"{took:,.0f} ms after {cause.event_type}" if cause else "a request"
        lines.add_row(f"  {milliseconds(begin, when(event.occurred_at)):,.0f} ms", event.event_type, label(event),
                      event.producer.split("@")[0], hop)
    out.print(lines)
    for what, shown_ms in seen_ms.items():
        out.print(f"  {what} {shown_ms:,.0f} ms after the request")
    for cursor in world.cursors:
        if cursor.aggregate == world.events[0].aggregate:
            out.print(f"  {cursor.consumer}: {cursor.status}, stands at row {cursor.cursor}")


def label(event: Event) -> str:
    """The row in short: the order is known, a sku is not."""
    which = "order" if event.aggregate.kind == "order" else f"{event.aggregate.kind} {event.aggregate.id}"
    return f"{which} @{event.seq}"


def when(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def milliseconds(begin: datetime, end: datetime) -> float:
    return (end - begin).total_seconds() * 1000


def what_next(stack: Stack, plan: Plan, order: Answer) -> None:
    """What a person can type now: look at the order of the story, send commands, take it down."""
    suffix = "" if stack.name == "run" else f" NAME={stack.name}"
    get = f"curl -sS -H \"authorization: Bearer $(make token TENANT={order.tenant}{suffix})\" \"$API"
    looks = [f"{get}/orders/{order.answer['order_id']}\"", f"{get}/customers/{plan.story.body['customer_id']}/timeline\""]
    hints.show([f"API='{stack.api}'", *looks, *hints.next_lines(stack.name, ["status", "drill", "down"], hints.TRY.read_text())])


def first_seen(driver: Driver, tenant: str, order: Answer, customer: str) -> dict[str, float]:
    """Asks until the read sides show the order; how long that took, in ms. Reads that come too early are 404."""
    begun = time.monotonic() - order.ms / 1000
    seen: dict[str, float] = {}
    id_ = order.answer["order_id"]
    while len(seen) < 2 and time.monotonic() - begun < 30:
        took = (time.monotonic() - begun) * 1000
        if "order-summary showed it" not in seen:
            found = driver.get("watch", tenant, f"/orders/{id_}", (200, 404))
            if found.status == 200:
                seen["order-summary showed it"] = took
        if "crm-timeline showed it" not in seen:
            found = driver.get("watch", tenant, f"/customers/{customer}/timeline", (200, 404))
            if any(entry["order_id"] == id_ for entry in found.answer.get("entries", [])):
                seen["crm-timeline showed it"] = took
        time.sleep(0.02)
    return seen
