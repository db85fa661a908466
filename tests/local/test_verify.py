"""Shows that the independent check sees each planted fault, and sees none in a sound world.

Works on a small world in memory. Must not need a stack. Run: python -m unittest tests/local/test_verify.py
"""
from __future__ import annotations

import io
import sys
import unittest
from dataclasses import replace
from pathlib import Path
from typing import Any, Callable

from rich.console import Console

sys.path.insert(0, str(Path(__file__).parent))

import check_bus as cb  # noqa: E402
import check_journal as cj  # noqa: E402
import check_views as cv  # noqa: E402
import fold  # noqa: E402
import rows  # noqa: E402
import verify  # noqa: E402
from findings import Finding  # noqa: E402
from rows import Aggregate, Answer, Cursor, Entity, Event, Registered, StoredAnswer, ViewRow, World  # noqa: E402

TIME = "2026-11-21T10:00:%02d.000Z"


class Builder:
    """Writes a sound journal, then derives every other table from it."""

    def __init__(self) -> None:
        self.world = World(queues={"inventory queue": (0, 0)})
        self.clock = 0

    def write(self, tenant: str, event_type: str, id_: str, data: dict[str, Any], cause: Event | None = None) -> Event:
        aggregate = Aggregate(tenant, event_type.split(".")[0], id_)
        before = self.world.journal().get(aggregate, [])
        self.clock += 1
        event_id = f"01932e8a-{self.clock:04x}-7000-8000-000000000000"
        at = TIME % self.clock
        event = Event(aggregate, len(before) + 1, event_id, event_type, 1, fold.last_of_each_type(before), 1, at,
                      cause.correlation_id if cause else f"c{self.clock}", cause.event_id if cause else f"r{self.clock}",
                      "test@0", None, cause.hops + 1 if cause else 0, data, f"{at[:13]}#0", 1, "event",
                      "public" if event_type in (fold.PLACED, fold.CANCELLED) else "internal")
        self.world.events.append(event)
        return event

    def tell(self, kind: str, event: Event, body: dict[str, Any], **answer: object) -> None:
        status = 200 if kind == "cancel" else 201
        told = {**answer, "version": event.seq, "correlation_id": event.correlation_id}
        key = f"k-{event.event_id}"
        self.world.answers.append(Answer(kind, event.aggregate.tenant, status, told, (status,), "/x", key, body))
        self.world.stored_answers.append(StoredAnswer(event.aggregate.tenant, key, status, told))

    def receive(self, tenant: str, sku: str, quantity: int) -> None:
        event = self.write(tenant, fold.RECEIVED, sku, {"sku": sku, "quantity": quantity})
        self.tell("receipt", event, {"quantity": quantity}, sku=sku, on_hand=quantity)

    def place(self, tenant: str, order: str, *lines: tuple[str, int]) -> Event:
        body = {"customer_id": "c-1", "lines": [{"sku": s, "quantity": q, "unit_price_cents": 450} for s, q in lines]}
        total = sum(q * 450 for _, q in lines)
        event = self.write(tenant, fold.PLACED, order, {**body, "order_id": order, "total_cents": total})
        self.tell("order", event, body, order_id=order, status="placed", total_cents=total)
        return event

    def reserve(self, cause: Event) -> None:
        for line in cause.data["lines"]:
            data = {"sku": line["sku"], "order_id": cause.aggregate.id, "quantity": line["quantity"]}
            self.write(cause.aggregate.tenant, fold.RESERVED, line["sku"], data, cause)

    def cancel(self, placed: Event) -> None:
        tenant, order = placed.aggregate.tenant, placed.aggregate.id
        data = {"order_id": order, "customer_id": "c-1", "reason": "no"}
        event = self.write(tenant, fold.CANCELLED, order, data)
        self.tell("cancel", event, {"reason": "no"}, order_id=order, status="cancelled")
        for line in placed.data["lines"]:
            back = {"sku": line["sku"], "order_id": order, "quantity": line["quantity"]}
            self.write(tenant, fold.RELEASED, line["sku"], back, event)

    def derive(self) -> World:
        world = self.world
        for name, handles in fold.HANDLES.items():
            world.registry.append(Registered(name, handles, fold.STORAGE[name]))
        for aggregate, events in world.journal().items():
            last = events[-1]
            world.entities.append(Entity(aggregate, last.seq, fold.last_of_each_type(events), 1, fold.fold_entity(events), 1))
            if aggregate.kind == "order":
                for name in fold.HANDLES:
                    state = fold.fold_summary(events) if name == "order-summary" else None
                    world.cursors.append(Cursor(name, aggregate, last.seq, last.event_id, 1, "ready", 0, state))
                for e in events:
                    key = f"{e.occurred_at}#{e.event_id}"
                    world.view_rows.append(ViewRow(aggregate.tenant, "crm-timeline", "c-1", key, fold.timeline_entry(e)))
        public = [event for event in world.events if event.visibility == "public"]
        world.received = [cb.cloud_event(event, {fold.PLACED, fold.CANCELLED}) for event in public]
        return world


def sound() -> World:
    """Two tenants, three orders: one reserved, one cancelled, one rejected."""
    b = Builder()
    for tenant in ("acme", "birch"):
        b.receive(tenant, "tea", 10)
        b.receive(tenant, "mug", 10)
    b.reserve(b.place("acme", "o-1", ("tea", 2), ("mug", 1)))
    cancelled = b.place("birch", "o-2", ("tea", 3))
    b.reserve(cancelled)
    b.cancel(cancelled)
    rejected = b.place("acme", "o-3", ("tea", 99))
    data = {"sku": "tea", "order_id": "o-3", "wanted": 99, "available": 8}
    b.write("acme", fold.REJECTED, "tea", data, rejected)
    b.world.answers.append(replace(next(a for a in b.world.answers if a.kind == "order"), replay=True))
    world = b.derive()
    summary = next(c for c in world.cursors if c.state and c.aggregate.id == "o-1")
    read = {**(summary.state or {}), "version": summary.cursor}
    world.answers.append(Answer("read-order", "acme", 200, read, (200,), "/orders/o-1"))
    return world


def change(items: list[Any], pick: Callable[[Any], bool], **fields: object) -> None:
    """Replaces fields of the first item that pick selects."""
    at = next(i for i, item in enumerate(items) if pick(item))
    items[at] = replace(items[at], **fields)


def again(world: World, event_type: str, order: str) -> Event:
    """Writes the row of one effect once more at the end of its aggregate."""
    first = next(e for e in world.events if e.event_type == event_type and e.data.get("order_id") == order)
    before = world.journal()[first.aggregate]
    copy = replace(first, seq=len(before) + 1, event_id=first.event_id[:-1] + "f", prior=fold.last_of_each_type(before))
    world.events.append(copy)
    return copy


class TheCheck(unittest.TestCase):
    def fails(self, check: Callable[[World], Finding], plant: Callable[[World], object]) -> None:
        world = sound()
        self.assertEqual([], check(world).faults, "the sound world must pass")
        plant(world)
        self.assertTrue(check(world).faults, f"{check.__name__} did not see the planted fault")

    def test_a_sound_world_passes_every_check(self) -> None:
        for finding in verify.run_checks(sound()):
            self.assertEqual([], finding.faults, finding.promise)

    def test_a_check_that_had_nothing_to_look_at_fails(self) -> None:
        for finding in verify.run_checks(World()):
            self.assertFalse(finding.good, finding.promise)

    def test_each_check_is_exercised_by_a_planted_fault(self) -> None:
        source = Path(__file__).read_text()
        for check in verify.CHECKS:
            module = "cj" if check in cj.CHECKS else "cb" if check in cb.CHECKS else "cv"
            self.assertIn(f"self.fails({module}.{check.__name__},", source)

    def test_an_unreadable_row(self) -> None:
        self.fails(cj.rows_readable, lambda w: rows.fill(w, "outbox", [{"aggregate": "acme#order#o-9", "seq": 1}]))

    def test_an_event_of_another_aggregate_type(self) -> None:
        self.fails(cj.rows_readable, lambda w: change(w.events, lambda e: e.aggregate.kind == "order", event_type="stock.reserved"))

    def test_a_hole_in_seq(self) -> None:
        self.fails(cj.seq_without_holes, lambda w: w.events.remove(next(e for e in w.events if e.seq == 2)))

    def test_a_seq_used_twice(self) -> None:
        self.fails(cj.seq_without_holes, lambda w: w.events.append(w.events[0]))

    def test_an_event_id_used_twice(self) -> None:
        self.fails(cj.event_ids_unique, lambda w: change(w.events, lambda e: e.seq == 2, event_id=w.events[0].event_id))

    def test_a_wrong_prior(self) -> None:
        self.fails(cj.prior_right, lambda w: change(w.events, lambda e: e.event_type == fold.CANCELLED, prior={}))

    def test_an_entity_of_another_era(self) -> None:
        self.fails(cj.one_era, lambda w: change(w.entities, lambda e: True, era=2))

    def test_an_entity_behind_its_rows(self) -> None:
        self.fails(cj.entities_are_the_fold, lambda w: change(w.entities, lambda e: e.aggregate.id == "o-2", version=1))

    def test_an_entity_without_rows(self) -> None:
        ghost = Entity(Aggregate("acme", "order", "o-9"), 1, {}, 1, {}, 1)
        self.fails(cj.entities_are_the_fold, lambda w: w.entities.append(ghost))

    def test_an_effect_without_its_cause(self) -> None:
        self.fails(cj.effects_name_their_cause, lambda w: change(w.events, lambda e: e.event_type == fold.RESERVED, causation_id="x"))

    def test_a_double_reservation(self) -> None:
        self.fails(cj.orders_decided_once, lambda w: again(w, fold.RESERVED, "o-1"))

    def test_a_double_reservation_shows_in_the_sums_too(self) -> None:
        self.fails(cj.stock_adds_up, lambda w: again(w, fold.RESERVED, "o-1"))

    def test_a_missing_reservation(self) -> None:
        self.fails(cj.orders_decided_once, lambda w: w.events.remove(next(e for e in w.events if e.event_type == fold.RESERVED)))

    def test_a_reservation_after_a_rejection(self) -> None:
        def plant(w: World) -> None:
            rejected = next(e for e in w.events if e.event_type == fold.REJECTED)
            w.events.append(replace(rejected, event_type=fold.RESERVED, data={"sku": "tea", "order_id": "o-3", "quantity": 99}))
        self.fails(cj.orders_decided_once, plant)

    def test_a_double_release(self) -> None:
        self.fails(cj.cancelled_orders_released_once, lambda w: again(w, fold.RELEASED, "o-2"))

    def test_a_release_without_a_cancellation(self) -> None:
        self.fails(cj.cancelled_orders_released_once,
                   lambda w: w.events.remove(next(e for e in w.events if e.event_type == fold.CANCELLED)))

    def test_stock_below_zero(self) -> None:
        self.fails(cj.stock_never_negative,
                   lambda w: change(w.events, lambda e: e.event_type == fold.RECEIVED, data={"sku": "tea", "quantity": 1}))

    def test_a_rejection_although_there_was_enough(self) -> None:
        data = {"sku": "tea", "order_id": "o-3", "wanted": 99, "available": 100}
        self.fails(cj.stock_never_negative, lambda w: change(w.events, lambda e: e.event_type == fold.REJECTED, data=data))

    def test_stock_that_does_not_add_up(self) -> None:
        self.fails(cj.stock_adds_up, lambda w: change(w.entities, lambda e: e.aggregate.id == "tea",
                                                      state={"sku": "tea", "on_hand": 9, "reservations": {"o-1": 2}}))

    def test_a_receipt_that_was_counted_twice(self) -> None:
        self.fails(cj.stock_adds_up, lambda w: change(w.answers, lambda a: a.kind == "receipt", body={"quantity": 20}))

    def test_an_order_under_another_tenant(self) -> None:
        self.fails(cj.tenants_apart,
                   lambda w: change(w.events, lambda e: e.aggregate.id == "o-1", aggregate=Aggregate("birch", "order", "o-1")))

    def test_a_timeline_entry_under_another_tenant(self) -> None:
        self.fails(cj.tenants_apart, lambda w: change(w.view_rows, lambda v: v.tenant == "acme", tenant="birch"))

    def test_a_cursor_that_stands_behind(self) -> None:
        self.fails(cv.cursors_at_the_end, lambda w: change(w.cursors, lambda c: c.cursor == 2, cursor=1))

    def test_a_parked_aggregate(self) -> None:
        self.fails(cv.cursors_at_the_end, lambda w: change(w.cursors, lambda c: True, status="parked"))

    def test_a_missing_cursor(self) -> None:
        self.fails(cv.cursors_at_the_end, lambda w: w.cursors.pop())

    def test_an_event_that_did_not_leave(self) -> None:
        self.fails(cb.public_events_left, lambda w: w.received.pop())

    def test_an_event_that_left_though_it_is_not_public(self) -> None:
        def plant(w: World) -> None:
            internal = next(e for e in w.events if e.visibility == "internal")
            w.received.append(cb.cloud_event(internal, set()))
        self.fails(cb.public_events_left, plant)

    def test_an_event_that_left_with_other_data(self) -> None:
        self.fails(cb.public_events_left, lambda w: w.received.append({**w.received[0], "data": {}}))

    def test_an_unregistered_consumer(self) -> None:
        self.fails(cv.cursors_at_the_end, lambda w: w.registry.pop())

    def test_a_missing_summary(self) -> None:
        self.fails(cv.summaries_are_the_fold, lambda w: w.cursors.remove(next(c for c in w.cursors if c.state)))

    def test_a_summary_that_an_old_event_wrote_over(self) -> None:
        def plant(w: World) -> None:
            placed = [e for e in w.events if e.aggregate.id == "o-2"][:1]
            change(w.cursors, lambda c: bool(c.state) and c.aggregate.id == "o-2", state=fold.fold_summary(placed))
        self.fails(cv.summaries_are_the_fold, plant)

    def test_a_missing_timeline_entry(self) -> None:
        self.fails(cv.timelines_are_the_fold, lambda w: w.view_rows.pop())

    def test_an_extra_timeline_entry(self) -> None:
        self.fails(cv.timelines_are_the_fold, lambda w: w.view_rows.append(replace(w.view_rows[0], row="x")))

    def test_what_nobody_here_can_judge_is_named_as_not_checked(self) -> None:
        world = sound()
        self.assertEqual([], cv.not_checked(world))
        world.registry.append(Registered("shortages", frozenset({fold.REJECTED}), "progress"))
        world.view_rows.append(replace(world.view_rows[0], view="other"))
        self.assertEqual(["other", "shortages"], cv.not_checked(world))
        said = io.StringIO()
        verify.show([], world, Console(file=said, width=200))
        self.assertIn("not checked: shortages (", said.getvalue())

    def test_an_unexpected_status(self) -> None:
        self.fails(cv.answers_as_expected, lambda w: w.answers.append(Answer("order", "acme", 500, {}, (201,))))

    def test_an_answer_without_its_order(self) -> None:
        self.fails(cv.answers_are_in_the_journal,
                   lambda w: w.events.remove(next(e for e in w.events if e.aggregate.id == "o-1")))

    def test_an_order_without_an_answer(self) -> None:
        self.fails(cv.answers_are_in_the_journal, lambda w: w.answers.remove(next(a for a in w.answers if a.kind == "cancel")))

    def test_an_order_whose_answer_was_lost_is_excused(self) -> None:
        world = sound()
        at = next(i for i, a in enumerate(world.answers) if a.kind == "order" and a.tenant == "birch")
        told = world.answers[at]
        world.answers[at] = replace(told, status=0, answer={}, correlation_id=told.answer["correlation_id"])
        self.assertEqual([], cv.answers_are_in_the_journal(world).faults)

    def test_an_order_stored_with_other_lines(self) -> None:
        self.fails(cv.answers_are_in_the_journal,
                   lambda w: change(w.answers, lambda a: a.kind == "order", body={"customer_id": "c-2", "lines": []}))

    def test_a_repeat_that_was_run_again(self) -> None:
        def plant(w: World) -> None:
            first = next(a for a in w.answers if a.kind == "order")
            w.answers.append(replace(first, answer={**first.answer, "order_id": "o-8"}, replay=True))
        self.fails(cv.repeats_get_the_same_answer, plant)

    def test_a_repeat_that_is_not_marked(self) -> None:
        self.fails(cv.repeats_get_the_same_answer, lambda w: w.answers.append(w.answers[0]))

    def test_a_missing_idempotency_row(self) -> None:
        self.fails(cv.stored_answers_are_the_log, lambda w: w.stored_answers.pop())

    def test_an_idempotency_row_of_another_tenant(self) -> None:
        self.fails(cv.stored_answers_are_the_log, lambda w: change(w.stored_answers, lambda s: True, tenant="zed"))

    def test_a_read_that_is_not_the_fold(self) -> None:
        stale = Answer("read-order", "acme", 200, {"status": "cancelled"}, (200,), "/orders/o-1")
        self.fails(cv.reads_are_the_fold, lambda w: w.answers.append(stale))

    def test_a_message_left_in_a_queue(self) -> None:
        self.fails(cv.queues_empty, lambda w: w.queues.update({"inventory queue": (0, 1)}))


if __name__ == "__main__":
    unittest.main()
