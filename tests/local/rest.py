"""Tells whether the pipeline is at rest: every cursor at the journal's end, every queue empty.

Reads only. Must not send anything, and must not judge whether the contents are right.
"""
from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Callable

import rows
from cloud import CONSUMERS, Stack, mappings, queue_depth, scan
from rows import Aggregate, World

LOOK_SECONDS = 0.5


@dataclass(frozen=True)
class Rest:
    """How far the pipeline is from rest."""

    behind: dict[str, int]
    in_queues: int
    registered: int

    @property
    def reached(self) -> bool:
        return self.registered >= len(CONSUMERS) and not any(self.behind.values()) and self.in_queues == 0

    def __str__(self) -> str:
        late = ", ".join(f"{name} {count}" for name, count in self.behind.items() if count) or "none"
        return f"aggregates behind: {late}; messages in queues: {self.in_queues}"


def look(stack: Stack, only: set[Aggregate] | None = None) -> Rest:
    """One look. Queues first: what leaves a queue before the journal is read shows there."""
    in_queues = messages(stack)
    world = World()
    for table, output in (("outbox", "OutboxTable"), ("progress", "ProgressTable"), ("views", "ViewsTable")):
        rows.fill(world, table, scan(stack, output))
    at = {(c.consumer, c.aggregate): c.cursor for c in world.cursors}
    behind = dict.fromkeys(CONSUMERS, 0)
    for registered in world.registry:
        last = {e.aggregate: e.seq for e in sorted(world.events, key=lambda e: e.seq)
                if e.event_type in registered.handles and (only is None or e.aggregate in only)}
        behind[registered.consumer] = sum(at.get((registered.consumer, a), 0) < seq for a, seq in last.items())
    return Rest(behind, in_queues, len(world.registry))


def messages(stack: Stack) -> int:
    """How many messages wait or are in flight in the consumers' queues."""
    sqs = stack.client("sqs")
    return sum(sum(queue_depth(sqs, stack.queue(consumer))) for consumer in CONSUMERS)


def wait(stack: Stack, seconds: float, tell: Callable[[str], None], only: set[Aggregate] | None = None) -> Rest:
    """Looks until the pipeline is at rest or the time is over, and hands back the last look.

    The tables are read only when the queues are empty, or when `only` names a few aggregates that matter.
    """
    until = time.monotonic() + seconds
    while True:
        in_queues = messages(stack) if only is None else 0
        if not in_queues or time.monotonic() > until:
            rest = look(stack, only)
            tell(str(rest))
            done = rest.reached if only is None else rest.registered >= len(CONSUMERS) and not any(rest.behind.values())
            if done or time.monotonic() > until:
                return rest
        else:
            tell(f"{in_queues} messages in queues")
        time.sleep(LOOK_SECONDS)


def failing(stack: Stack) -> list[str]:
    """The functions whose last batch failed, as their mappings tell."""
    return [name for name, mapping in mappings(stack).items() if mapping.get("LastProcessingResult") == "FAILED"]
