"""What can be seen of one function's batch from outside: its messages, its mapping's last result, the cursors it moves.

Works on the embedded emulator, which shows its queues. Must not touch a process or a message.
"""
from __future__ import annotations

import json
import urllib.request
from typing import Any
from urllib.parse import urlencode

from cloud import CONSUMERS, Stack
from fold import STORAGE

DIRECTLY = urllib.request.build_opener(urllib.request.ProxyHandler({}))
Batch = dict[str, int]  # message id → times received
Message = dict[str, Any]


class Witness:
    """Looks at one function: a consumer, or the relay, which has a stream instead of a queue."""

    def __init__(self, stack: Stack, function: str, mapping: str) -> None:
        self._stack, self._function, self._mapping = stack, function, mapping
        self._lambda = stack.client("lambda")
        self._db = stack.client("dynamodb")

    @property
    def has_queue(self) -> bool:
        return self._function in CONSUMERS

    def last_run_failed(self) -> bool:
        """What the mapping says of the last batch."""
        return bool(self._lambda.get_event_source_mapping(UUID=self._mapping).get("LastProcessingResult") == "FAILED")

    def in_flight(self) -> Batch:
        """What is invisible in the queue now."""
        return {m["MessageId"]: m["ReceiveCount"] for m in self._messages() if not m["IsVisible"]}

    def unacknowledged(self, batch: Batch) -> set[str]:
        """Those of the batch that are still in flight from the same delivery."""
        return unacknowledged(batch, self._messages()) if batch else set()

    def aggregates(self, batch: Batch) -> set[str]:
        """Which aggregates the batch is about."""
        bodies = [json.loads(m["Body"]) for m in self._messages() if m["MessageId"] in batch] if batch else []
        return {f"{body['tenant_id']}#{body['aggregate_type']}#{body['aggregate_id']}" for body in bodies}

    def cursors(self, aggregates: set[str]) -> dict[str, str]:
        """Where the consumer stands with each aggregate: tells a death before the commit from one after it."""
        return {aggregate: self._cursor(aggregate) for aggregate in aggregates}

    def _cursor(self, aggregate: str) -> str:
        if STORAGE[self._function] == "views":
            table, key = self._stack.output("ViewsTable"), {"view": {"S": aggregate}, "row": {"S": self._function}}
        else:
            table, key = self._stack.output("ProgressTable"), {"pk": {"S": aggregate}, "sk": {"S": self._function}}
        found = self._db.get_item(TableName=table, Key=key, ConsistentRead=True)
        return str(found.get("Item", {}).get("cursor", {}).get("N", ""))

    def _messages(self) -> list[Message]:
        """Every message of the consumer's queue, as the emulator shows it."""
        ask = urlencode({"QueueUrl": self._stack.queue(self._function)})
        with DIRECTLY.open(f"{self._stack.endpoint}/_ministack/sqs/messages?{ask}", timeout=10) as answer:
            accounts = json.load(answer)["messages"]
        return [m for regions in accounts.values() for queues in regions.values() for some in queues.values() for m in some]


def taken(before: Batch, after: Batch) -> Batch:
    """The messages that were received between two looks."""
    return {id_: count for id_, count in after.items() if count > before.get(id_, 0)}


def unacknowledged(batch: Batch, messages: list[Message]) -> set[str]:
    """Those of the batch that are there, invisible, and were not received since."""
    return {m["MessageId"] for m in messages if not m["IsVisible"] and batch.get(m["MessageId"]) == m["ReceiveCount"]}
