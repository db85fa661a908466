"""Says what a person can type at a stack of the shop that is up: a token, three commands by curl, the status, the way down.

Reads stack.json only. Must not send anything. Run: python tests/local/hints.py --name run
"""
from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path

from rich.console import Console

from cloud import ROOT, fail_on_trouble, load, newest_cli
from paper import console

TENANT = "acme"
RULES = ("A command needs content-type: application/json, a body (at least {}) and an idempotency-key. Once it is accepted, "
         "the key stands for it: method, path and body. The same again gets the same answer, another one under that key 422.")


def curls(name: str) -> list[str]:
    """Receive stock, place an order, cancel it: each under a key of its own, so that typing it twice does it once."""
    place = '{"customer_id":"c-1","lines":[{"sku":"tea","quantity":2,"unit_price_cents":450}]}'
    suffix = "" if name == "run" else f" NAME={name}"
    return [f"TOKEN=$(make token TENANT={TENANT}{suffix})  # for an hour", _post("/stock/tea/receipts", "receive-1", '{"quantity":10}'), _post("/orders", "place-1", place),
            "ORDER=…  # the order_id in the answer", _post("/orders/$ORDER/cancel", "cancel-1", '{"reason":"too late"}')]


def _post(path: str, key: str, body: str) -> str:
    return (f"curl -sS \"$API{path}\" -H \"authorization: Bearer $TOKEN\" -H 'content-type: application/json' "
            f"-H 'idempotency-key: {key}' -d '{body}'")


def verbs(name: str) -> list[str]:
    """What make and the command line can do now with this stack."""
    suffix = "" if name == "run" else f" NAME={name}"
    return [f"make status{suffix}", f'eval "$(make env{suffix})"  # then: towpath dlq list', f"make drill{suffix}",
            f"make down{suffix}"]


def environment(name: str, endpoint: str | None, region: str, cli: Path) -> list[str]:
    """What makes `towpath` and `aws` of a shell mean this stack. Without an end point it is AWS's, for which the shell has credentials."""
    bin_ = shlex.quote(str(cli.resolve().parent))
    file = shlex.quote(str(ROOT / ".local" / name / "stack.json"))
    lines = [f"export PATH={bin_}:$PATH TOWPATH_STACK_FILE={file} AWS_DEFAULT_REGION={region}"]
    if not endpoint:
        return lines
    return [*lines, f"export AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test AWS_ENDPOINT_URL={endpoint}",
            # Version 1 of aws asks SQS of AWS whatever AWS_ENDPOINT_URL says.
            f'aws() {{ command aws --endpoint-url {endpoint} "$@"; }}']


def show(lines: list[str], out: Console) -> None:
    """Prints the lines as they are to be typed, and the rules that they keep."""
    out.print("\nWhat to type next", style="bold")
    for line in lines:
        out.print(f"  {line}", markup=False, soft_wrap=True)
    out.print(RULES, markup=False, soft_wrap=True)


def main() -> int:
    parser = argparse.ArgumentParser(description="Say what can be typed at a stack that is up.")
    parser.add_argument("--name", default="run", help="folder under .local (default: run)")
    parser.add_argument("--env", action="store_true", help="print only what a shell evaluates to reach the stack")
    args = parser.parse_args()
    stack = load(args.name)
    if args.env:
        print("\n".join(environment(stack.name, stack.endpoint, stack.region, newest_cli())))
    else:
        show([*curls(stack.name), *verbs(stack.name)], console())  # stack.py has said what API is
    return 0


if __name__ == "__main__":
    sys.exit(fail_on_trouble(main))
