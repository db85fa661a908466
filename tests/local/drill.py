"""Breaks something on purpose at a stack of the shop that is up, so that a person can practise what
docs/when-something-fails.md says: a clean-up job deletes cancelled orders before `inventory` has seen the cancellation.

Goes through the API except for the deletion itself. Must not use the CLI, nor mend anything unless it is told to.
Run: python tests/local/drill.py --name run [--mend]
"""
from __future__ import annotations

import argparse
import json
import sys
from typing import Any

import rest
from cloud import Stack, Trouble, fail_on_trouble, load
from disorder import standing_still
from driver import Driver
from paper import console
from rows import Aggregate

TENANT, SKU, QUANTITY = "acme", "tea", 2
ORDERS = 5
DELETED = 3
REST_SECONDS = 120
BODY = {"customer_id": "c-1", "lines": [{"sku": SKU, "quantity": QUANTITY, "unit_price_cents": 450}]}


def break_it(stack: Stack) -> list[str]:
    """Cancels some orders and deletes most of them. Gives back the keys of the deleted ones."""
    driver = Driver(stack)
    _good(driver.receive(TENANT, SKU, ORDERS * QUANTITY))
    placed = [_good(driver.place(TENANT, number, BODY)) for number in range(ORDERS)]
    orders = {Aggregate(TENANT, "order", answer.answer["order_id"]) for answer in placed}
    if any(rest.wait(stack, REST_SECONDS, lambda _: None, orders).behind.values()):
        raise Trouble("The new orders did not reach every consumer. Look at the stack first: make status")
    with standing_still(stack, "inventory"):
        for number, answer in enumerate(placed):
            _good(driver.cancel(TENANT, number, answer, "a drill"))
        return [_delete(stack, f"{TENANT}#order#{answer.answer['order_id']}") for answer in placed[:DELETED]]


def _good(answer: Any) -> Any:
    if answer.status not in answer.expect:
        raise Trouble(f"{answer.path} was answered with {answer.status}: {answer.answer}")
    return answer


def _delete(stack: Stack, aggregate: str) -> str:
    table = {"TableName": stack.output("EntitiesTable")}
    gone = stack.client("dynamodb").delete_item(**table, Key={"aggregate": {"S": aggregate}}, ReturnValues="ALL_OLD")
    with _file(stack).open("a", encoding="utf-8") as file:
        file.write(json.dumps(gone["Attributes"]) + "\n")
    return aggregate


def mend(stack: Stack) -> list[str]:
    """Puts the deleted orders back, as from a backup."""
    if not _file(stack).exists():
        raise Trouble(f"Nothing was broken here by a drill: there is no {_file(stack).name}.")
    mended = []
    for line in _file(stack).read_text(encoding="utf-8").splitlines():
        item = json.loads(line)
        stack.client("dynamodb").put_item(TableName=stack.output("EntitiesTable"), Item=item)
        mended.append(item["aggregate"]["S"])
    _file(stack).unlink()
    return mended


def _file(stack: Stack) -> Any:
    return stack.folder / "drill.jsonl"


def main() -> int:
    parser = argparse.ArgumentParser(description="Break something on purpose, to practise.")
    parser.add_argument("--name", default="run", help="folder under .local (default: run)")
    parser.add_argument("--mend", action="store_true", help="put the deleted orders back")
    arguments = parser.parse_args()
    stack, out = load(arguments.name), console()
    if arguments.mend:
        out.print(f"{len(mend(stack))} orders are back in the entities table.", markup=False)
        return 0
    deleted = break_it(stack)
    out.print(f"{ORDERS} orders of {TENANT} were placed and cancelled, and a clean-up job deleted {len(deleted)} of them "
              "before inventory had seen the cancellations:", markup=False, soft_wrap=True)
    for aggregate in deleted:
        out.print(f"  {aggregate}", markup=False, soft_wrap=True)
    return 0


if __name__ == "__main__":
    sys.exit(fail_on_trouble(main))
