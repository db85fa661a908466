"""The stored rows and the driver's log as plain values, parsed once.

Knows the row formats only. Must not know any rule about what the rows should say, and shares no code with the functions.
"""
from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Callable, Iterable

Item = dict[str, Any]


@dataclass(frozen=True)
class Aggregate:
    """The key `tenant#type#id`, taken apart."""

    tenant: str
    kind: str
    id: str

    @staticmethod
    def parse(key: str) -> "Aggregate":
        tenant, kind, id_ = key.split("#")
        return Aggregate(tenant, kind, id_)

    def __str__(self) -> str:
        return f"{self.tenant}#{self.kind}#{self.id}"


@dataclass(frozen=True)
class Event:
    """One row of the outbox."""

    aggregate: Aggregate
    seq: int
    event_id: str
    event_type: str
    event_version: int
    prior: dict[str, int]
    era: int
    occurred_at: str
    correlation_id: str
    causation_id: str
    producer: str
    traceparent: str | None
    hops: int
    data: dict[str, Any]
    bucket: str
    format: int
    kind: str
    visibility: str

    @property
    def key(self) -> str:
        return f"{self.aggregate}@{self.seq}"


@dataclass(frozen=True)
class Entity:
    """One row of entities; state None is a tombstone."""

    aggregate: Aggregate
    version: int
    prior: dict[str, int]
    era: int
    state: dict[str, Any] | None
    format: int


@dataclass(frozen=True)
class Cursor:
    """What one consumer remembers of one aggregate; state is there where the cursor is embedded."""

    consumer: str
    aggregate: Aggregate
    cursor: int
    event_id: str | None
    era: int
    status: str
    attempt: int
    state: dict[str, Any] | None = None


@dataclass(frozen=True)
class Registered:
    """One consumer as it registered itself."""

    consumer: str
    handles: frozenset[str]
    storage: str


@dataclass(frozen=True)
class ViewRow:
    """One row of a read model `tenant#~name#partition`."""

    tenant: str
    view: str
    partition: str
    row: str
    state: dict[str, Any]


@dataclass(frozen=True)
class StoredAnswer:
    """The idempotency row of one command."""

    tenant: str
    key: str
    status: int
    answer: dict[str, Any]


@dataclass(frozen=True)
class Answer:
    """One request of the driver and what came back; status 0 means that the answer was lost."""

    kind: str
    tenant: str
    status: int
    answer: dict[str, Any]
    expect: tuple[int, ...]
    path: str = ""
    key: str = ""
    body: Any = None
    replay: bool = False
    correlation_id: str = ""
    at: str = ""
    ms: float = 0.0

    @property
    def unknown(self) -> bool:
        """Nobody can tell from this answer whether the command was run."""
        return self.status == 0 or self.status >= 500


@dataclass
class World:
    """Everything that the check looks at."""

    events: list[Event] = field(default_factory=list)
    entities: list[Entity] = field(default_factory=list)
    cursors: list[Cursor] = field(default_factory=list)
    registry: list[Registered] = field(default_factory=list)
    view_rows: list[ViewRow] = field(default_factory=list)
    stored_answers: list[StoredAnswer] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)
    ledger: dict[str, Any] | None = None
    received: list[dict[str, Any]] = field(default_factory=list)
    queues: dict[str, tuple[int, int]] = field(default_factory=dict)
    unreadable: list[tuple[str, str]] = field(default_factory=list)

    def journal(self) -> dict[Aggregate, list[Event]]:
        """The rows of each aggregate in the order of seq."""
        found: dict[Aggregate, list[Event]] = {}
        for event in sorted(self.events, key=lambda e: e.seq):
            found.setdefault(event.aggregate, []).append(event)
        return found


def _numbers(found: Item) -> dict[str, int]:
    return {key: int(value) for key, value in found.items()}


def event(item: Item) -> Event:
    """Reads one outbox row."""
    return Event(
        aggregate=Aggregate.parse(item["aggregate"]), seq=int(item["seq"]), event_id=item["event_id"],
        event_type=item["event_type"], event_version=int(item["event_version"]), prior=_numbers(item["prior"]),
        era=int(item["era"]), occurred_at=item["occurred_at"], correlation_id=item["correlation_id"],
        causation_id=item["causation_id"], producer=item["producer"], traceparent=item.get("traceparent"),
        hops=int(item["hops"]), data=json.loads(item["data"]), bucket=item["bucket"], format=int(item["format"]),
        kind=item["kind"], visibility=item["visibility"])


def entity(item: Item) -> Entity:
    """Reads one entities row."""
    state = json.loads(item["state"]) if "state" in item else None
    return Entity(Aggregate.parse(item["aggregate"]), int(item["version"]), _numbers(item["prior"]),
                  int(item["era"]), state, int(item["format"]))


def add_entity(world: World, item: Item) -> None:
    """Files one row of entities. A snapshot is only a cache: it says nothing that its journal does not say."""
    if not item["aggregate"].endswith("#~snapshot"):
        world.entities.append(entity(item))


def _cursor(consumer: str, key: str, item: Item) -> Cursor:
    state = json.loads(item["state"]) if "state" in item else None
    return Cursor(consumer, Aggregate.parse(key), int(item["cursor"]), item.get("event_id"), int(item["era"]),
                  item["status"], int(item["attempt"]), state)


def add_view(world: World, item: Item) -> None:
    """Files one row of views under embedded cursors or under read models."""
    parts = item["view"].split("#", 2)
    if parts[1].startswith("~"):
        world.view_rows.append(ViewRow(parts[0], parts[1][1:], parts[2], item["row"], json.loads(item["state"])))
    else:
        world.cursors.append(_cursor(item["row"], item["view"], item))


def add_progress(world: World, item: Item) -> None:
    """Files one row of progress under registry, idempotency or cursors. Other rows whose key has a `~` are an operator's
    or the auditor's: they say nothing of what was applied."""
    pk, sk = item["pk"], item["sk"]
    if pk == "~registry":
        world.registry.append(Registered(sk, frozenset(item["handles"]), item["storage"]))
    elif "#~command#" in pk:
        tenant, key = pk.split("#~command#", 1)
        world.stored_answers.append(StoredAnswer(tenant, key, int(item["status"]), json.loads(item["answer"])))
    elif "~" not in pk and not sk.startswith("~"):
        world.cursors.append(_cursor(sk, pk, item))


def fill(world: World, table: str, items: Iterable[Item]) -> None:
    """Adds the items of one table; a row that cannot be read is kept as a fault, not thrown."""
    adders: dict[str, Callable[[Item], None]] = {
        "outbox": lambda i: world.events.append(event(i)),
        "entities": lambda i: add_entity(world, i),
        "views": lambda i: add_view(world, i),
        "progress": lambda i: add_progress(world, i)}
    add = adders[table]
    for item in items:
        try:
            add(item)
        except (KeyError, ValueError, TypeError, IndexError) as why:
            key = "/".join(str(item.get(k)) for k in ("aggregate", "seq", "view", "row", "pk", "sk") if k in item)
            world.unreadable.append((f"{table} {key}", f"{type(why).__name__}: {why}"))


def answers(lines: Iterable[str]) -> list[Answer]:
    """Reads the driver's log. A head line begins another run on the same stack: reads of before it no longer hold."""
    found: list[Answer] = []
    for line in lines:
        row = json.loads(line)
        if row["kind"] == "head":
            found = [answer for answer in found if not answer.kind.startswith("read-")]
            continue
        row["expect"] = tuple(row["expect"])
        found.append(Answer(**row))
    return found
