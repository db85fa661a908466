"""Where the stack under test is, and what talks to it: clients, and the towpath binary.

Reads `.local/<name>/stack.json`. Must not know what the pipeline does: no event, order or consumer rule lives here.
"""
from __future__ import annotations

import json
import re
import sys
import threading
import urllib.request
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Iterator
from urllib.parse import urlsplit

import boto3
from boto3.dynamodb.types import TypeDeserializer
from botocore.config import Config

ROOT = Path(__file__).resolve().parents[2]
CONSUMERS: dict[str, str] = {"inventory": "Inventory", "order-summary": "OrderSummary", "crm-timeline": "CrmTimeline",
                             "notify-customer": "NotifyCustomer", "fulfilment": "Fulfilment", "payments": "Payments",
                             "shipping": "Shipping", "integration-bus": "IntegrationBus"}


class Trouble(Exception):
    """Something that a person has to put right; the text says what to do."""


@dataclass(frozen=True)
class Stack:
    """One deployed stack: its end point, region and CloudFormation outputs."""

    name: str
    endpoint: str | None
    region: str
    stack_name: str
    outputs: dict[str, str]
    provider: str = ""
    issuer: str = ""

    @property
    def folder(self) -> Path:
        return ROOT / ".local" / self.name

    @property
    def file(self) -> Path:
        return self.folder / "stack.json"

    def output(self, key: str) -> str:
        if key not in self.outputs:
            raise Trouble(f"The stack {self.stack_name} has no output {key}. Deploy it again: make run.")
        return self.outputs[key]

    def queue(self, consumer: str) -> str:
        return self.output(f"{CONSUMERS[consumer]}QueueUrl")

    def dead_letters(self, consumer: str) -> str:
        return self.output(f"{CONSUMERS[consumer]}DeadLetterQueueUrl")

    def client(self, service: str) -> Any:
        """A client of one service; made once, and safe to share between threads."""
        return _client(service, self.endpoint, self.region)

    @property
    def api(self) -> str:
        """The base URL of the HTTP API, in the form that this end point answers."""
        url = self.output("ApiUrl").rstrip("/")
        host = urlsplit(url).hostname or ""
        if self.endpoint is None or ".execute-api." not in host:
            return url
        stage = urlsplit(url).path.strip("/") or "$default"
        return f"{self.endpoint.rstrip('/')}/_aws/execute-api/{host.split('.')[0]}/{stage}"


_making = threading.Lock()  # making clients is not safe between threads, using them is


def _client(service: str, endpoint: str | None, region: str) -> Any:
    with _making:
        return _made(service, endpoint, region)


@lru_cache(maxsize=None)
def _made(service: str, endpoint: str | None, region: str) -> Any:
    emulated = {"aws_access_key_id": "test", "aws_secret_access_key": "test"} if endpoint else {}
    proxies: dict[str, Any] = {"proxies": {}} if endpoint else {}  # an emulator is never behind a proxy
    config = Config(retries={"max_attempts": 5, "mode": "standard"}, max_pool_connections=32, **proxies)
    return boto3.client(service, endpoint_url=endpoint, region_name=region, config=config, **emulated)


def load(name: str) -> Stack:
    """Reads stack.json of one local run."""
    if not re.fullmatch(r"[A-Za-z0-9._-]+", name):
        raise Trouble(f"--name {name!r} is not a plain name. Use letters, digits, dot, dash and underscore.")
    path = ROOT / ".local" / name / "stack.json"
    if not path.exists():
        raise Trouble(f"There is no {path.relative_to(ROOT)}. Bring a stack up first: make up NAME={name}")
    found = json.loads(path.read_text())
    stack = Stack(name, found.get("endpoint") or None, found["region"], found["stack_name"], found["outputs"], found.get("provider", ""),
                  found["issuer"])
    if not stack.provider:
        for name in ("notify-customer", "payments"):
            CONSUMERS.pop(name, None)  # what is theirs waits until the stack has a provider
    return stack


def ledger(stack: Stack) -> dict[str, Any] | None:
    """What the provider of mails and payments was asked for and has done; nothing if the stack has none."""
    if not stack.provider:
        return None
    with urllib.request.urlopen(f"{stack.provider}/ledger", timeout=10) as answer:
        return dict(json.load(answer))


def scan(stack: Stack, table_output: str) -> Iterator[dict[str, Any]]:
    """Every item of one table, as plain Python values, read consistently."""
    plain = TypeDeserializer().deserialize
    pages = stack.client("dynamodb").get_paginator("scan")
    for page in pages.paginate(TableName=stack.output(table_output), ConsistentRead=True):
        for item in page["Items"]:
            yield {key: plain(value) for key, value in item.items()}


def table_id(stack: Stack) -> str:
    """Tells one life of the stack from the next one of the same name."""
    table = stack.client("dynamodb").describe_table(TableName=stack.output("OutboxTable"))["Table"]
    return str(table.get("TableId") or table["CreationDateTime"])


def mappings(stack: Stack) -> dict[str, dict[str, Any]]:
    """The event source mapping of the relay and of each consumer, by function."""
    table = f":table/{stack.output('OutboxTable')}/stream/"
    queues = {stack.queue(consumer).rsplit("/", 1)[1]: consumer for consumer in CONSUMERS}
    found: dict[str, dict[str, Any]] = {}
    for page in stack.client("lambda").get_paginator("list_event_source_mappings").paginate():
        for mapping in page["EventSourceMappings"]:
            source = mapping["EventSourceArn"]
            if table in source:
                found["relay"] = mapping
            elif source.rsplit(":", 1)[1] in queues:
                found[queues[source.rsplit(":", 1)[1]]] = mapping
    missing = {"relay", *CONSUMERS} - set(found)
    if missing:
        raise Trouble(f"No event source mapping feeds {', '.join(sorted(missing))}. Look at template.yaml and deploy again.")
    return found


def queue_depth(client: Any, url: str) -> tuple[int, int]:
    """(waiting, in flight) of one queue."""
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    got = client.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
    return int(got[names[0]]), int(got[names[1]])


def fail_on_trouble(run: Any) -> int:
    """Runs a main function; prints trouble as a sentence instead of a stack trace."""
    try:
        return int(run())
    except Trouble as trouble:
        print(f"error: {trouble}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nStopped. The stack is still up; make down takes it away.", file=sys.stderr)
        return 130
