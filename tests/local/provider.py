"""A provider of mails and payments on this machine, with idempotency keys, that keeps a ledger and goes wrong on purpose.

Must not know the pipeline: it sees HTTP requests only. Speaks to 127.0.0.1. Run: python provider.py --say provider.json

POST /mails · POST /payments · POST /payments/{id}/capture · POST /payments/{id}/void · POST /payments/{id}/refund · GET /payments/{id} · GET /ledger
The header Idempotency-Key names what is asked for: the same key and body get the same answer, another body 422. The header
x-fault says what goes wrong with this request (see FAULTS); without it, a share of the keys is hit at the first attempt.
"""
from __future__ import annotations

import argparse
import hashlib
import json
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

HOST = "127.0.0.1"
LATE_SECONDS = 12.0  # longer than anybody waits
BODY_BYTES = 64 * 1024
# Of a thousand keys, at the first attempt. `twice` does it a second time although the key is known: nobody's keys are perfect.
FAULTS = {"fail": 50, "lost": 40, "late": 5, "twice": 0}
# Amounts that end so are declined at once, or held and then not given.
DECLINED_CENTS, EXPIRED_CENTS = 13, 17
NEXT = {"capture": ("authorised", "captured"), "void": ("authorised", "voided"), "refund": ("captured", "refunded")}


class Ledger:
    """What was asked for and what was carried out."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.attempts: Counter[str] = Counter()
        self.faults: Counter[str] = Counter()
        self.answers: dict[str, tuple[str, int, dict[str, Any]]] = {}
        self.executed: list[dict[str, Any]] = []
        self.payments: dict[str, dict[str, Any]] = {}

    def fault(self, key: str, told: str) -> str:
        """What goes wrong with this attempt."""
        with self.lock:
            self.attempts[key] += 1
            fault = told or (share(key) if self.attempts[key] == 1 else "")
            if fault in FAULTS:
                self.faults[fault] += 1
            return fault

    def carry_out(self, key: str, path: str, body: dict[str, Any], twice: bool) -> tuple[int, dict[str, Any]]:
        """Once for each key."""
        asked = json.dumps([path, body], sort_keys=True)
        with self.lock:
            known = self.answers.get(key)
            if known and known[0] != asked:
                return 422, {"code": "key_of_another_request"}
            if known and not twice:
                return known[1], known[2]
            status, answer = self.mail(body) if path == "/mails" else self.pay(path, body)
            if status < 300:
                self.executed.append({"key": key, "path": path, "body": body, "answer": answer})
            self.answers[key] = (asked, status, answer)
            return status, answer

    def mail(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        if str(body.get("customer_id", "")).startswith("unknown"):
            return 422, {"code": "unknown_customer"}
        return 202, {"receipt": f"mail-{len(self.executed) + 1}"}

    def pay(self, path: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        _, _, id_, verb = [*path.split("/"), "", ""][:4]
        if not id_:
            id_, amount = str(body.get("payment_id")), body.get("amount_cents")
            if not isinstance(amount, int) or amount <= 0:
                return 402, {"code": "amount_declined"}
            if amount % 100 == DECLINED_CENTS:
                return 402, {"code": "card_declined"}
            made = self.payments.setdefault(id_, {"receipt": f"pay-{len(self.payments) + 1}", "status": "authorised", "amount_cents": amount})
            return (200, dict(made)) if made["amount_cents"] == amount else (402, {"code": "another_amount"})
        payment = self.payments.get(id_)
        if not payment or verb not in NEXT:
            return 404, {"code": "unknown_payment"}
        before, after = NEXT[verb]
        if verb == "capture" and payment["amount_cents"] % 100 == EXPIRED_CENTS:
            return 402, {"code": "authorisation_expired"}
        if payment["status"] not in (before, after):
            return 402, {"code": f"is_{payment['status']}"}
        payment["status"] = after
        return 200, dict(payment)

    def told(self) -> dict[str, Any]:
        with self.lock:
            return {"executed": self.executed, "attempts": dict(self.attempts), "faults": dict(self.faults), "payments": self.payments}


def share(key: str) -> str:
    """Which keys are hit: always the same ones."""
    place = int.from_bytes(hashlib.sha256(key.encode()).digest()[:4], "big") % 1000
    for fault, of_thousand in FAULTS.items():
        if place < of_thousand:
            return fault
        place -= of_thousand
    return ""


class Handler(BaseHTTPRequestHandler):
    """One request."""

    protocol_version = "HTTP/1.1"
    ledger: Ledger

    def do_GET(self) -> None:
        if self.path == "/ledger":
            return self.say(200, self.ledger.told())
        with self.ledger.lock:
            payment = self.ledger.payments.get(self.path.removeprefix("/payments/"))
        self.say(200, payment) if payment else self.say(404, {"code": "unknown"})

    def do_POST(self) -> None:
        size = int(self.headers.get("content-length") or 0)
        if size > BODY_BYTES:
            self.close_connection = True
            return self.say(413, {"code": "too_large"})
        try:
            body = json.loads(self.rfile.read(size) or b"{}")
        except ValueError:
            return self.say(400, {"code": "not_json"})
        key = self.headers.get("idempotency-key", "")
        if not key or self.path.split("/")[1] not in ("mails", "payments") or not isinstance(body, dict):
            return self.say(400, {"code": "key_or_path_or_body_missing"})
        fault = self.ledger.fault(key, self.headers.get("x-fault", ""))
        if fault == "fail":
            return self.say(503, {"code": "away"})
        status, answer = self.ledger.carry_out(key, self.path, body, twice=fault == "twice")
        if fault == "lost":
            self.close_connection = True
            return None
        if fault == "late":
            time.sleep(LATE_SECONDS)
        return self.say(status, answer)

    def say(self, status: int, answer: Any) -> None:
        text = json.dumps(answer).encode()
        try:
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)
        except OSError:
            self.close_connection = True  # whoever asked has given up

    def log_message(self, *_: Any) -> None:
        """Says nothing: the ledger tells all."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one (default)")
    parser.add_argument("--say", type=Path, required=True, help="file for its address, written when it answers")
    options = parser.parse_args()
    Handler.ledger = Ledger()
    server = ThreadingHTTPServer((HOST, options.port), Handler)
    ready = options.say.with_suffix(".new")
    ready.write_text(json.dumps({"url": f"http://{HOST}:{server.server_port}"}) + "\n")
    ready.rename(options.say)
    server.serve_forever()


if __name__ == "__main__":
    main()
