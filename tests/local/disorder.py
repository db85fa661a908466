"""Does to the transport what a bad day does: copies of old messages, late ones, later ones before earlier ones.

Sends only copies of envelopes that the journal holds. Must not write to a table, and must not know what a consumer does.
"""
from __future__ import annotations

import json
import time
import uuid
from contextlib import contextmanager
from typing import Any, Iterable, Iterator

import rows
from boto3.dynamodb.types import TypeDeserializer
from cloud import CONSUMERS, Stack, Trouble, mappings
from rows import Aggregate, Event

SWITCH_SECONDS = 60

# Who handles the events of orders.
OF_ORDERS = ("inventory", "order-summary", "crm-timeline", "integration-bus", "notify-customer")

class Disorder:
    """Sends copies of published messages straight into the consumers' queues."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.sent = 0
        self._db = stack.client("dynamodb")
        self._sqs = stack.client("sqs")

    def rows_of(self, order: Aggregate) -> list[Event]:
        """The rows of one order, in the order of seq."""
        plain = TypeDeserializer().deserialize
        found = self._db.query(TableName=self.stack.output("OutboxTable"), ConsistentRead=True,
                               KeyConditionExpression="#a = :a", ExpressionAttributeNames={"#a": "aggregate"},
                               ExpressionAttributeValues={":a": {"S": str(order)}})
        return [rows.event({key: plain(value) for key, value in item.items()}) for item in found["Items"]]

    def copy(self, events: Iterable[Event], consumers: Iterable[str] = OF_ORDERS) -> None:
        """Sends each event once more to each consumer, under a deduplication id that nobody has seen."""
        events = list(events)
        for consumer in (each for each in consumers if each in CONSUMERS):
            for event in events:
                self._send(consumer, event)

    def _send(self, consumer: str, event: Event) -> None:
        self._sqs.send_message(
            QueueUrl=self.stack.queue(consumer), MessageBody=json.dumps(envelope(event)),
            MessageGroupId=f"{event.aggregate.tenant}#0", MessageDeduplicationId=uuid.uuid4().hex,
            MessageAttributes={"event_type": {"DataType": "String", "StringValue": event.event_type}})
        self.sent += 1


def envelope(event: Event) -> dict[str, Any]:
    """The message body that the relay made of this row."""
    body = {
        "format": event.format, "event_id": event.event_id, "event_type": event.event_type,
        "event_version": event.event_version, "tenant_id": event.aggregate.tenant,
        "aggregate_type": event.aggregate.kind, "aggregate_id": event.aggregate.id, "seq": event.seq,
        "prior": event.prior, "era": event.era, "occurred_at": event.occurred_at,
        "correlation_id": event.correlation_id, "causation_id": event.causation_id, "producer": event.producer,
        "traceparent": event.traceparent, "hops": event.hops, "data": event.data}
    return {key: value for key, value in body.items() if value is not None}


@contextmanager
def standing_still(stack: Stack, function: str) -> Iterator[None]:
    """Switches the mapping of the relay or of a consumer off for a while. What comes meanwhile waits in front of it."""
    mapping = mappings(stack)[function]["UUID"]
    _switch(stack, mapping, False)
    try:
        yield
    finally:
        _switch(stack, mapping, True)


def _switch(stack: Stack, mapping: str, on: bool) -> None:
    client = stack.client("lambda")
    client.update_event_source_mapping(UUID=mapping, Enabled=on)
    wanted, until = ("Enabled" if on else "Disabled"), time.monotonic() + SWITCH_SECONDS
    while client.get_event_source_mapping(UUID=mapping)["State"] != wanted:
        if time.monotonic() > until:
            raise Trouble(f"The mapping {mapping} did not become {wanted} within {SWITCH_SECONDS} s. Look at it: "
                          f"aws lambda get-event-source-mapping --uuid {mapping}")
        time.sleep(0.2)
