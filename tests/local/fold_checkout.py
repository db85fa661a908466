"""The plain rules of checkouts: what the journal says a checkout, its payment and its parcel have to be, and what a saga may order.

Written from the documented formats alone. Must not read a table, and must not look at what the functions wrote as a result.
"""
from __future__ import annotations

from typing import Any

from rows import Event

SUBMITTED, DECIDED = "checkout.submitted", "checkout.decided"
RETURNED, REFUNDED, CLOSED = "return.received", "payment.refunded", "return.closed"
COMPLETED, COMPENSATED = "fulfilment.completed", "fulfilment.compensated"
FORWARD = ("stock.reserve", "payment.authorise", "shipment.create", "payment.capture")
BACK = ("stock.release", "payment.void", "shipment.cancel")
ASK = ("stock.inquire", "payment.inquire", "shipment.inquire")
COMMANDS = frozenset({*FORWARD, *BACK, *ASK})
EVENT_TYPES = {
    "checkout": {SUBMITTED, DECIDED},
    "fulfilment": {COMPLETED, COMPENSATED, "fulfilment.noted", "fulfilment.timer_fired", *COMMANDS},
    "reservation": {"reservation.made", "reservation.refused", "reservation.released"},
    "payment": {"payment.authorised", "payment.declined", "payment.captured", "payment.voided", REFUNDED},
    "return": {RETURNED, CLOSED},
    "shipment": {"shipment.created", "shipment.refused", "shipment.cancelled"},
}
STATE_STORED = frozenset({"checkout", "fulfilment", "payment", "shipment", "return"})
CONSUMERS = frozenset({"fulfilment", "payments", "shipping"})
APPROVAL_FROM_CENTS = 100_000


def state(rows: list[Event]) -> dict[str, Any]:
    """The state of a checkout, a payment or a parcel. Of a return only what its rows say."""
    return {"checkout": _checkout, "payment": _payment, "shipment": _shipment, "return": _return}[rows[0].aggregate.kind](rows)


def _checkout(rows: list[Event]) -> dict[str, Any]:
    first = rows[0].data
    decided = [row.data["approved"] for row in rows if row.event_type == DECIDED]
    decision = {True: "approve", False: "refuse"}[decided[0]] if decided else None
    return {"checkout_id": first["checkout_id"], "customer_id": first["customer_id"], "lines": first["lines"], "decision": decision}


def _payment(rows: list[Event]) -> dict[str, Any]:
    found: dict[str, Any] = {"checkout_id": rows[0].aggregate.id, "authorisation": None}
    for row in rows:
        found["amount_cents"] = row.data.get("amount_cents", found.get("amount_cents"))
        found["authorisation"] = row.data.get("authorisation", found["authorisation"])
        found["status"] = row.event_type.split(".")[1]
        if found["status"] == "declined" and row.data["step"] == "capture":
            found["status"] = "capture_declined"
    return found


def _shipment(rows: list[Event]) -> dict[str, Any]:
    return {"checkout_id": rows[0].aggregate.id, "pieces": rows[-1].data["pieces"], "status": rows[-1].event_type.split(".")[1]}


def _return(rows: list[Event]) -> dict[str, Any]:
    first = rows[0].data
    return {"checkout_id": first["checkout_id"], "customer_id": first["customer_id"], "total_cents": first["total_cents"],
            "closed": rows[-1].event_type == CLOSED}


def status(rows: list[Event]) -> str:
    """Where it stands at the end; empty if there never was one."""
    return state(rows)["status"] if rows else ""
