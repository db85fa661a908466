"""Gets tokens from the issuer of a local stack. Reads stack.json; must not know what a token is good for.

Run: python tests/local/tokens.py --name run --tenant acme
"""
from __future__ import annotations

import argparse
import json
import sys
import threading
import urllib.request
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


class Tokens:
    """One token for each tenant, until the keys are rotated. Safe to use from several threads."""

    def __init__(self, issuer: str) -> None:
        self.issuer = issuer
        self._lock = threading.Lock()
        self._known: dict[str, str] = {}

    def of(self, tenant: str) -> str:
        with self._lock:
            if tenant not in self._known:
                self._known[tenant] = ask(self.issuer, "/token", {"tenant": tenant})["access_token"]
            return self._known[tenant]

    def rotate(self) -> str:
        """Has the issuer sign with a new key; tokens are asked for anew from then on. Returns the key's id."""
        with self._lock:
            self._known.clear()
            return str(ask(self.issuer, "/rotate", {})["kid"])


def ask(issuer: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
    request = urllib.request.Request(issuer + path, json.dumps(body).encode(), {"content-type": "application/json"})
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=10) as answer:
        return dict(json.load(answer))


def main() -> int:
    parser = argparse.ArgumentParser(description="Get a token of a tenant, for one hour.")
    parser.add_argument("--name", default="run", help="folder under .local (default: run)")
    parser.add_argument("--tenant", default="acme")
    options = parser.parse_args()
    file = ROOT / ".local" / options.name / "stack.json"
    if not file.exists():
        print(f"error: no stack named {options.name} is up. Bring one up first: make up NAME={options.name}", file=sys.stderr)
        return 2
    print(Tokens(json.loads(file.read_text())["issuer"]).of(options.tenant))
    return 0


if __name__ == "__main__":
    sys.exit(main())
