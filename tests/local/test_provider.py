"""Shows that the provider does what it says, and that the check of its ledger sees each planted fault.

Starts the provider on a free port of 127.0.0.1. Must not need a stack. Run: python -m unittest tests/local/test_provider.py
"""
from __future__ import annotations

import http.client
import json
import sys
import threading
import unittest
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any, Callable

sys.path.insert(0, str(Path(__file__).parent))

import check_mails  # noqa: E402
import fold  # noqa: E402
import provider  # noqa: E402
from rows import Aggregate, Event, World  # noqa: E402


class Provider(unittest.TestCase):
    def setUp(self) -> None:
        provider.Handler.ledger = provider.Ledger()
        self.server = ThreadingHTTPServer((provider.HOST, 0), provider.Handler)
        thread = threading.Thread(target=self.server.serve_forever)
        thread.start()
        self.addCleanup(thread.join)
        self.addCleanup(self.server.server_close)
        self.addCleanup(self.server.shutdown)

    def ask(self, path: str, body: Any = None, key: str = "", fault: str = "none") -> tuple[int, Any]:
        wire = http.client.HTTPConnection(provider.HOST, self.server.server_port, timeout=5)
        try:
            headers = {"idempotency-key": key, "x-fault": fault} if key else {}
            wire.request("GET" if body is None else "POST", path, None if body is None else json.dumps(body), headers)
            answer = wire.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            wire.close()

    def times(self) -> int:
        return len(self.ask("/ledger")[1]["executed"])

    def test_the_same_key_gets_the_same_answer_and_another_body_none(self) -> None:
        first = self.ask("/mails", {"customer_id": "c-1"}, "k")
        self.assertEqual((202, first), (first[0], self.ask("/mails", {"customer_id": "c-1"}, "k")))
        self.assertEqual(422, self.ask("/mails", {"customer_id": "c-2"}, "k")[0])
        self.assertEqual((422, {"code": "unknown_customer"}), self.ask("/mails", {"customer_id": "unknown-1"}, "l"))
        self.assertEqual(400, self.ask("/mails", {"customer_id": "c-1"})[0])
        self.assertEqual(1, self.times())

    def test_it_fails_before_and_loses_the_answer_after(self) -> None:
        self.assertEqual(503, self.ask("/mails", {"customer_id": "c-1"}, "k", "fail")[0])
        self.assertEqual(0, self.times())
        with self.assertRaises(http.client.RemoteDisconnected):
            self.ask("/mails", {"customer_id": "c-1"}, "k", "lost")
        self.assertEqual(1, self.times())
        self.ask("/mails", {"customer_id": "c-1"}, "k", "twice")
        self.assertEqual(2, self.times())

    def test_a_payment_is_authorised_then_captured_or_voided(self) -> None:
        self.assertEqual("authorised", self.ask("/payments", {"payment_id": "p", "amount_cents": 5}, "a")[1]["status"])
        self.assertEqual("captured", self.ask("/payments/p/capture", {}, "b")[1]["status"])
        self.assertEqual((402, {"code": "is_captured"}), self.ask("/payments/p/void", {}, "c"))
        self.assertEqual("captured", self.ask("/payments/p")[1]["status"])
        self.assertEqual((404, 402), (self.ask("/payments/q")[0], self.ask("/payments", {"payment_id": "z"}, "d")[0]))


class Mails(unittest.TestCase):
    def world(self) -> World:
        order = Aggregate("acme", "order", "o-1")
        base = (1, "2026-11-21T10:00:00.000Z", "c", "r", "test@0", None)
        placed = Event(order, 1, "e-1", fold.PLACED, 1, {}, *base, 0, {"customer_id": "c-1"}, "b", 1, "event", "public")
        key = check_mails.key_of(placed)
        mail = {"tenant": "acme", "notification_id": "e-1", "customer_id": "c-1", "order_id": "o-1", "about": "order_placed"}
        data = {name: value for name, value in mail.items() if name != "tenant"} | {"receipt": "mail-1"}
        sent = Event(Aggregate("acme", "notification", "e-1"), 1, "e-2", fold.SENT, 1, {}, 1, base[1], "c", "e-1", "test@0", None,
                     1, data, "b", 1, "event", "internal")
        ledger = {"executed": [{"key": key, "path": "/mails", "body": mail, "answer": {"receipt": "mail-1"}}],
                  "attempts": {key: 2}, "faults": {"lost": 1}}
        return World(events=[placed, sent], ledger=ledger)

    def fails(self, check: Callable[[World], Any], spoil: Callable[[World], object]) -> None:
        world = self.world()
        self.assertTrue(check(world).good, check(world).faults)
        spoil(world)
        self.assertFalse(check(world).good)

    def executed(self, world: World) -> list[dict[str, Any]]:
        assert world.ledger is not None
        found: list[dict[str, Any]] = world.ledger["executed"]
        return found

    def test_a_mail_too_many_too_few_or_to_somebody_else_is_seen(self) -> None:
        self.fails(check_mails.mails_sent_once, lambda w: self.executed(w).append(self.executed(w)[0]))
        self.fails(check_mails.mails_sent_once, lambda w: self.executed(w).clear())
        self.fails(check_mails.mails_sent_once, lambda w: self.executed(w)[0]["body"].update(tenant="birch"))

    def test_a_mail_that_is_not_on_record_or_with_another_receipt_is_seen(self) -> None:
        self.fails(check_mails.mails_on_record, lambda w: w.events.pop())
        self.fails(check_mails.mails_on_record, lambda w: self.executed(w)[0]["answer"].update(receipt="mail-9"))


if __name__ == "__main__":
    unittest.main()
