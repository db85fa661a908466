"""Asks an API for what it must refuse: a token that is none, a token while the issuer is away, another tenant's name, commands above a
limit; and for a command whose limit cannot be read. So that what the API counts then is in the log, and an alarm on a misspelt name of it
is found.

Must not know which alarms there are.
"""
from __future__ import annotations

import base64
import json
import subprocess
import urllib.error
import urllib.request
import uuid
from pathlib import Path
from typing import Callable

from cloud import Stack, Trouble
from tokens import Tokens, ask

TENANT = "rehearsed"
AWAY_SECONDS = 120
BODY = {"customer_id": "c-1", "lines": [{"sku": "tea", "quantity": 1, "unit_price_cents": 100}]}


def strain(stack: Stack, cli: Path, wait: Callable[[str, Callable[[], bool]], None]) -> None:
    """Each of them once, and everything as it was in the end."""
    wait("a token that is none is refused", lambda: place(stack, "nothing.of.this") == 401)
    ask(stack.issuer, "/away", {"seconds": AWAY_SECONDS})
    try:
        # Functions ask for keys at most every few seconds, so the first answers may still be 401.
        wait("nobody can say whose a token is while the issuer is away", lambda: place(stack, of_another_key()) == 503)
    finally:
        ask(stack.issuer, "/away", {"seconds": 0})
    order: list[str | Path] = [cli, "--stack-file", stack.file, "tenants", "limit", TENANT, "--who", "make", "--why", "a rehearsal", "--yes"]
    run([*order, "--rate", "0.01", "--burst", "1"])
    token = Tokens(stack.issuer).of(TENANT)
    wait("a tenant above its limit is refused", lambda: place(stack, token) == 429)
    run([*order, "--default"])
    wait("a request that names another tenant is refused", lambda: place(stack, token, {"x-tenant-id": "somebody-else"}) == 403)
    without_limit(stack, wait)


def without_limit(stack: Stack, wait: Callable[[str, Callable[[], bool]], None]) -> None:
    """A tenant whose limit is a row that no version of the code can read: its commands come in."""
    tenant = f"{TENANT}-unreadable"
    progress = stack.client("dynamodb")
    key = {"pk": {"S": f"{tenant}#~limit"}, "sk": {"S": "bucket"}}
    progress.put_item(TableName=stack.output("ProgressTable"), Item=key | {"format": {"N": "99"}})
    token = Tokens(stack.issuer).of(tenant)
    wait("a command comes in whose tenant's limit cannot be read", lambda: place(stack, token) == 201)
    progress.delete_item(TableName=stack.output("ProgressTable"), Key=key)


def run(command: list[str | Path]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Trouble(f"{' '.join(map(str, command))} ended with {done.returncode}: {done.stderr}{done.stdout}")


def of_another_key() -> str:
    """Formed as a token is, of a key that nobody knows."""
    def part(said: dict[str, str]) -> str:
        return base64.urlsafe_b64encode(json.dumps(said).encode()).rstrip(b"=").decode()

    return f"{part({'alg': 'RS256', 'kid': f'nobody-{uuid.uuid4()}'})}.{part({'tenant_id': TENANT})}.{part({})}"


def place(stack: Stack, token: str, more: dict[str, str] | None = None) -> int:
    """One order with this token, and these headers besides; the status of the answer."""
    headers = {"authorization": f"Bearer {token}", "content-type": "application/json", "idempotency-key": uuid.uuid4().hex} | (more or {})
    request = urllib.request.Request(f"{stack.api}/orders", json.dumps(BODY).encode(), headers)
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=30) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as no:
        return no.code
