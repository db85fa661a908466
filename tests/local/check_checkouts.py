"""Checks of checkouts: what each saga ordered and came to, and whether money, stock and parcels add up at the end.

Pure functions over loaded rows. Must not read a table, and must not use any code of the functions.
"""
from __future__ import annotations

from collections import Counter
from typing import Any

import fold
import fold_checkout as by
from findings import Finding
from rows import Aggregate, Event, World


def sagas(world: World) -> dict[Aggregate, list[Event]]:
    """Checkout → the rows of its saga."""
    journal = world.journal()
    checkouts = [aggregate for aggregate in journal if aggregate.kind == "checkout"]
    return {each: journal.get(Aggregate(each.tenant, "fulfilment", each.id), []) for each in checkouts}


def end_of(rows: list[Event]) -> str:
    """`completed`, `compensated`, or `waiting` for what has not ended."""
    ends = [row.event_type for row in rows if row.event_type in (by.COMPLETED, by.COMPENSATED)]
    return ends[-1].split(".")[1] if ends else "waiting"


def counts(world: World) -> Counter[str]:
    """How many sagas came to what."""
    return Counter(end_of(rows) for rows in sagas(world).values())


def each_checkout_has_one_end(world: World) -> Finding:
    """A checkout is completed or compensated, once; only one that waits for a person has no end yet."""
    found = Finding("each checkout is fulfilled or undone, or waits for a person")
    journal = world.journal()
    for checkout, rows in sagas(world).items():
        ends = sum(row.event_type in (by.COMPLETED, by.COMPENSATED) for row in rows)
        submitted = journal[checkout][0]
        decided = any(row.event_type == by.DECIDED for row in journal[checkout])
        asks = submitted.data["total_cents"] >= by.APPROVAL_FROM_CENTS and not decided
        found.equal(checkout, 0 if asks else 1, ends)
        if rows:
            found.true(checkout, ends == 0 or rows[-1].event_type in (by.COMPLETED, by.COMPENSATED), "nothing after the end", rows[-1].event_type)
    return found


def ordered_forward_and_back_in_reverse(world: World) -> Finding:
    """Each step is ordered once and in its order; what was done is undone once, from the last step on."""
    found = Finding("steps go forward once, compensations are their reverse")
    journal = world.journal()
    for checkout, rows in sagas(world).items():
        ordered = [row.event_type for row in rows if row.kind == "command" and row.event_type not in by.ASK]
        forward = [each for each in ordered if each in by.FORWARD]
        found.equal(f"{checkout} forward", list(by.FORWARD[:len(forward)]), ordered[:len(forward)])
        done = _done(journal, checkout)
        undone = [back for step, back in zip(by.FORWARD, by.BACK) if step in done]
        wanted = list(reversed(undone)) if end_of(rows) == "compensated" else []
        found.equal(f"{checkout} back", wanted, ordered[len(forward):])
    return found


def _done(journal: dict[Aggregate, list[Event]], checkout: Aggregate) -> set[str]:
    """The steps that were ever done, by what their doers said."""
    said = {row.event_type for kind in ("reservation", "payment", "shipment")
            for row in journal.get(Aggregate(checkout.tenant, kind, checkout.id), [])}
    answers = {"reservation.made": "stock.reserve", "payment.authorised": "payment.authorise",
               "shipment.created": "shipment.create", "payment.captured": "payment.capture"}
    return {step for answer, step in answers.items() if answer in said}


def nothing_is_left_of_what_was_undone(world: World) -> Finding:
    """Completed: paid, sent, and the goods set aside. Compensated: none of it."""
    found = Finding("completed: paid, sent, reserved; compensated: nothing left")
    journal = world.journal()
    held = {(aggregate.tenant, order) for aggregate, rows in journal.items() if aggregate.kind == "stock"
            for order, pieces in fold.fold_stock(rows).reservations.items() if pieces}
    for checkout, rows in sagas(world).items():
        end = end_of(rows)
        if end == "waiting":
            continue
        payment = by.status(journal.get(Aggregate(checkout.tenant, "payment", checkout.id), []))
        parcel = by.status(journal.get(Aggregate(checkout.tenant, "shipment", checkout.id), []))
        all_of_it = (payment == "captured", parcel == "created", (checkout.tenant, checkout.id) in held)
        came_back = Aggregate(checkout.tenant, "return", checkout.id) in journal
        wanted = (False, True, False) if came_back else (end == "completed",) * 3
        found.equal(f"{checkout} paid, sent, set aside", wanted, all_of_it)
        if end == "compensated":
            found.true(f"{checkout} payment", payment in ("", "declined", "voided"), "no money held", payment)
    return found


def returns_are_paid_back(world: World) -> Finding:
    """What came back is refunded once, taken in again, and closed: each hears the event of the one before, and nobody directs."""
    found = Finding("each return is refunded once, restocked and closed")
    journal = world.journal()
    for each, rows in journal.items():
        if each.kind == "return":
            found.equal(each, [by.RETURNED, by.CLOSED], [row.event_type for row in rows])
            payment = journal.get(Aggregate(each.tenant, "payment", each.id), [])
            refunded = [row.data["amount_cents"] for row in payment if row.event_type == by.REFUNDED]
            found.equal(f"{each} refunded, in cents", [rows[0].data["total_cents"]], refunded)
    return found


def money_adds_up(world: World) -> Finding:
    """What was captured is what completed checkouts cost; what was held was captured or let go; the provider says the same."""
    found = Finding("money: captured = completed; held = captured + let go; as the provider says")
    journal = world.journal()
    sums: Counter[str] = Counter()
    for row in world.events:
        if row.event_type in ("payment.captured", "payment.voided", by.COMPLETED):
            sums[row.event_type] += row.data.get("amount_cents", row.data.get("total_cents", 0))
        elif row.event_type == "payment.authorised" and row.seq == 1:
            sums[row.event_type] += row.data["amount_cents"]
    found.equal("captured, in cents", sums[by.COMPLETED], sums["payment.captured"])
    found.equal("held, in cents", sums["payment.captured"] + sums["payment.voided"], sums["payment.authorised"])
    at_provider: dict[str, Any] = (world.ledger or {}).get("payments", {})
    ours = {checkout.id: rows for checkout in sagas(world) if (rows := journal.get(Aggregate(checkout.tenant, "payment", checkout.id)))}
    held = {id_: rows for id_, rows in ours.items() if by.status(rows) != "declined"}
    found.same_keys("payment at the provider", set(held), set(at_provider))
    for id_ in held.keys() & at_provider.keys():
        wanted = by.state(held[id_])
        found.equal(id_, (wanted["status"], wanted["amount_cents"]), (at_provider[id_]["status"], at_provider[id_]["amount_cents"]))
    return found


def payments_carried_out_once(world: World) -> Finding:
    """However often it was asked, and whatever went wrong, the provider did each thing once."""
    found = Finding("the provider did each thing once")
    done = [each for each in (world.ledger or {}).get("executed", []) if each["path"].startswith("/payments")]
    for key, times in Counter((each["path"], each["body"].get("payment_id", "")) for each in done).items():
        found.equal(key, 1, times)
    return found


CHECKS = (each_checkout_has_one_end, ordered_forward_and_back_in_reverse, nothing_is_left_of_what_was_undone, returns_are_paid_back,
          money_adds_up, payments_carried_out_once)
