"""Sends requests to the HTTP API and keeps a log of every request and every answer.

Must not read a table: the log is the only thing that the driver knows.
"""
from __future__ import annotations

import http.client
import json
import threading
import time
import uuid
from collections import Counter
from datetime import datetime, timezone
from typing import Any
from urllib.parse import urlsplit

from cloud import Stack, Trouble, table_id
from rows import Answer
from tokens import Tokens

ATTEMPTS = 6
TIMEOUT_SECONDS = 30


class Driver:
    """One run of requests against one stack. Safe to use from several threads."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.run = uuid.uuid4().hex[:8]
        self.counts: Counter[tuple[str, int]] = Counter()
        self.answers: list[Answer] = []
        self._lock = threading.Lock()
        self.tokens = Tokens(stack.issuer)
        self._url = urlsplit(stack.api)
        self._log = open_log(stack, self.run)

    def receive(self, tenant: str, sku: str, quantity: int) -> Answer:
        """Stock comes in."""
        return self.post("receipt", tenant, f"/stock/{sku}/receipts", {"quantity": quantity}, f"receipt-{sku}")

    def place(self, tenant: str, number: int, body: dict[str, Any]) -> Answer:
        """Places one order. The same number is the same idempotency key."""
        return self.post("order", tenant, "/orders", body, f"order-{number}")

    def cancel(self, tenant: str, number: int, placed: Answer, reason: str) -> Answer:
        """Cancels one order, under the order's own correlation id."""
        path = f"/orders/{placed.answer['order_id']}/cancel"
        return self.post("cancel", tenant, path, {"reason": reason} if reason else {}, f"cancel-{number}",
                         correlation_id=placed.answer["correlation_id"])

    def check_out(self, tenant: str, number: int, body: dict[str, Any]) -> Answer:
        """Submits one checkout."""
        return self.post("checkout", tenant, "/checkouts", body, f"checkout-{number}", expect=(202,))

    def decide(self, tenant: str, number: int, submitted: Answer, decision: str) -> Answer:
        """Approves or refuses one checkout, under its own correlation id."""
        path = f"/checkouts/{submitted.answer['checkout_id']}/decision"
        return self.post("decision", tenant, path, {"decision": decision}, f"decision-{number}", expect=(200,),
                         correlation_id=submitted.answer["correlation_id"])

    def take_back(self, tenant: str, number: int, submitted: Answer) -> Answer:
        """Returns what one checkout was sent."""
        path = f"/checkouts/{submitted.answer['checkout_id']}/return"
        return self.post("return", tenant, path, {}, f"return-{number}", expect=(202,), correlation_id=submitted.answer["correlation_id"])

    def post(self, kind: str, tenant: str, path: str, body: Any, key: str | None, *,
             expect: tuple[int, ...] = (), correlation_id: str = "", headers: dict[str, str] | None = None) -> Answer:
        """One command; `headers` are put over the usual ones. A lost answer or a 503 is sent again under the same key, as any client should."""
        wanted = expect or ((200,) if kind == "cancel" else (201,))
        full_key = f"{self.run}-{key}" if key else ""
        correlation_id = correlation_id or uuid.uuid4().hex
        for attempt in range(ATTEMPTS):
            answer = self._send(kind, tenant, "POST", path, body, full_key, correlation_id, wanted, headers or {})
            if not (answer.unknown or answer.status == 429):
                return answer
            time.sleep(0.1 * 2 ** attempt)
        return answer

    def get(self, kind: str, tenant: str, path: str, expect: tuple[int, ...] = (200,)) -> Answer:
        """One read."""
        return self._send(kind, tenant, "GET", path, None, "", uuid.uuid4().hex, expect, {})

    def _send(self, kind: str, tenant: str, method: str, path: str, body: Any, key: str, correlation_id: str,
              expect: tuple[int, ...], more: dict[str, str]) -> Answer:
        headers = {"authorization": f"Bearer {self.tokens.of(tenant)}", "x-correlation-id": correlation_id} | more
        if key:
            headers["idempotency-key"] = key
        if body is not None:
            headers["content-type"] = "application/json"
        at, begun = datetime.now(timezone.utc), time.monotonic()
        status, found, replay = self._exchange(method, path, headers, body)
        if status in (0, 503):
            expect = (*expect, status)
        answer = Answer(kind, tenant, status, found, expect, path, key, body, replay, correlation_id,
                        at.isoformat(timespec="milliseconds"), round((time.monotonic() - begun) * 1000, 1))
        self._keep(answer)
        return answer

    def _exchange(self, method: str, path: str, headers: dict[str, str], body: Any) -> tuple[int, dict[str, Any], bool]:
        secure = self._url.scheme == "https"
        connect = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        wire = connect(self._url.hostname or "", self._url.port, timeout=TIMEOUT_SECONDS)
        try:
            wire.request(method, self._url.path.rstrip("/") + path, None if body is None else json.dumps(body), headers)
            response = wire.getresponse()
            text = response.read()
            replay = (response.getheader("idempotent-replay") or "").lower() == "true"
            return response.status, _parsed(text), replay
        except (OSError, http.client.HTTPException) as why:
            return 0, {"error": "lost", "message": f"{type(why).__name__}: {why}"}, False
        finally:
            wire.close()

    def _keep(self, answer: Answer) -> None:
        with self._lock:
            self.counts[(answer.kind, answer.status)] += 1
            self.answers.append(answer)
            self._log.write(json.dumps(answer.__dict__) + "\n")
            self._log.flush()

    def close(self) -> None:
        self._log.close()


def _parsed(text: bytes) -> dict[str, Any]:
    try:
        found = json.loads(text)
        return found if isinstance(found, dict) else {"error": "not an object", "message": repr(text[:200])}
    except ValueError:
        return {"error": "not JSON", "message": repr(text[:200])}


def open_log(stack: Stack, run: str) -> Any:
    """Opens answers.jsonl: goes on after an earlier run on the same stack, begins anew for a new stack."""
    path = stack.folder / "answers.jsonl"
    head = {"kind": "head", "stack": table_id(stack), "run": run, "at": datetime.now(timezone.utc).isoformat()}
    known = ""
    if path.exists():
        with path.open() as old:
            known = json.loads(old.readline() or "{}").get("stack", "")
    if known != head["stack"] and not outbox_is_empty(stack):
        raise Trouble(f"The outbox of {stack.stack_name} holds rows that {path.name} knows nothing of, so no check could agree. "
                      "Begin with an empty stack: make down, then make run.")
    log = path.open("a" if known == head["stack"] else "w")
    log.write(json.dumps(head) + "\n")
    log.flush()
    return log


def outbox_is_empty(stack: Stack) -> bool:
    found = stack.client("dynamodb").scan(TableName=stack.output("OutboxTable"), Limit=1)
    return not found["Items"]
