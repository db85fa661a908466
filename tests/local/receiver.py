"""The example receiver: takes what its rule put into its queue, and keeps it.

Delivery is at least once, so the same event may be there twice. Must not read the journal, and must not judge.
"""
from __future__ import annotations

import json
from typing import Any

from cloud import Stack, table_id


def take(stack: Stack) -> list[dict[str, Any]]:
    """Every CloudEvent that ever came, duplicates included. What is taken now is written down before it is deleted."""
    file = stack.folder / f"received-{table_id(stack)}.jsonl"
    sqs, url = stack.client("sqs"), stack.output("ExampleReceiverQueueUrl")
    with file.open("a") as book:
        while messages := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=1).get("Messages"):
            book.writelines(json.dumps(json.loads(message["Body"])) + "\n" for message in messages)
            book.flush()
            for message in messages:
                sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    return [json.loads(line) for line in file.read_text().splitlines()]
