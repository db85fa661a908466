"""Shows that the plan of a run covers what it has to, and that a kill is only proven by its own batch.

Must not need a stack. Run: python -m unittest tests/local/test_traffic.py
"""
from __future__ import annotations

import sys
import unittest
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import disorder  # noqa: E402
import kills  # noqa: E402
import plan  # noqa: E402
import rows  # noqa: E402
import witness  # noqa: E402

ROW = {"aggregate": "acme#order#o-1", "seq": 2, "event_id": "e", "event_type": "order.cancelled", "event_version": 1,
       "prior": {"order.placed": 1}, "era": 1, "occurred_at": "t", "correlation_id": "c", "causation_id": "r",
       "producer": "p@1", "hops": 0, "data": "{\"order_id\": \"o-1\"}", "bucket": "b", "format": 1, "kind": "event",
       "visibility": "public"}


class ThePlan(unittest.TestCase):
    def test_the_same_seed_gives_the_same_run(self) -> None:
        self.assertEqual(plan.make(100, 6, 7), plan.make(100, 6, 7))
        self.assertNotEqual(plan.make(100, 6, 7), plan.make(100, 6, 8))

    def test_it_has_as_many_orders_as_asked_for_and_every_number_once(self) -> None:
        for orders in (1, 2, 7, 300):
            made = plan.make(orders, 6, 1)
            numbers = [order.number for order in (made.story, *made.reordered, *made.orders)]
            self.assertEqual(list(range(orders)), sorted(numbers))

    def test_the_default_run_has_every_fate(self) -> None:
        orders = plan.make(300, 6, 1).orders
        for field in ("repeat", "cancel", "probe"):
            seen = Counter(getattr(order, field) for order in orders)
            self.assertGreaterEqual(len(seen), 3, f"{field}: {seen}")
        skus = Counter(line["sku"] for order in orders for line in order.body["lines"])
        self.assertEqual(set(plan.PRICES), set(skus))
        self.assertTrue(any(len(order.body["lines"]) > 1 for order in orders))

    def test_no_order_names_a_sku_twice(self) -> None:
        for order in plan.make(300, 6, 1).orders:
            skus = [line["sku"] for line in order.body["lines"]]
            self.assertEqual(len(set(skus)), len(skus))

    def test_bursts_keep_every_order(self) -> None:
        orders = plan.make(300, 6, 1).orders
        burst = plan.in_bursts(orders, 6)
        self.assertEqual(set(o.number for o in orders), set(o.number for o in burst))
        self.assertEqual(1, len({order.tenant for order in burst[:6]}))


class AKill(unittest.TestCase):
    def test_a_message_that_was_in_flight_before_is_not_its_batch(self) -> None:
        self.assertEqual({"new": 1, "again": 2}, witness.taken({"old": 1, "again": 1}, {"old": 1, "again": 2, "new": 1}))

    def test_a_deleted_visible_or_redelivered_message_is_no_proof(self) -> None:
        batch = {"kept": 1, "deleted": 1, "visible": 1, "redelivered": 1}
        queue = [{"MessageId": "kept", "IsVisible": False, "ReceiveCount": 1},
                 {"MessageId": "visible", "IsVisible": True, "ReceiveCount": 1},
                 {"MessageId": "redelivered", "IsVisible": False, "ReceiveCount": 2}]
        self.assertEqual({"kept"}, witness.unacknowledged(batch, queue))

    def test_the_function_name_is_found_with_and_without_an_alias(self) -> None:
        for arn in ("arn:aws:lambda:r:1:function:relay", "arn:aws:lambda:r:1:function:relay:live"):
            self.assertEqual("relay", kills.function_name(arn))


class ACopy(unittest.TestCase):
    def test_an_envelope_is_made_of_its_row(self) -> None:
        body = disorder.envelope(rows.event(ROW))
        self.assertEqual(("acme", "order", "o-1", 2), tuple(body[k] for k in ("tenant_id", "aggregate_type", "aggregate_id", "seq")))
        self.assertEqual({"order_id": "o-1"}, body["data"])
        self.assertNotIn("traceparent", body)


if __name__ == "__main__":
    unittest.main()
