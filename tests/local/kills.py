"""Kills function processes with SIGKILL, each one proven to have had a batch in flight.

A kill counts only if the batch was handed to that process before, the emulator then took the invocation for failed,
and the batch is still unacknowledged.
Works on the embedded emulator on Linux. Must not know what the functions do with a batch.
Run beside traffic: python tests/local/kills.py --name run --kills 10
"""
from __future__ import annotations

import argparse
import json
import random
import signal
import sys
import threading
import time
import urllib.request
from dataclasses import dataclass
from typing import Any, Callable
from urllib.parse import urlencode, urlsplit

from cloud import CONSUMERS, Stack, Trouble, fail_on_trouble, load, mappings
from paper import console, table
from processes import Process, of_function
from rich.table import Table

DIRECTLY = urllib.request.build_opener(urllib.request.ProxyHandler({}))
VICTIMS = (*CONSUMERS, "relay")
WAIT_FOR_BATCH_SECONDS = 2.0
SETTLE_SECONDS = 3.0
LONGEST_RUN_MS = 12.0
IDLE_STATES = "S"


@dataclass(frozen=True)
class Kill:
    """One proven kill."""

    function: str
    pid: int
    batch: str
    moment: str
    proof: str


@dataclass
class Aim:
    """What is known of one function: its name on the end point, and how late in a run it may be stopped."""

    function: str
    mapping: str
    name: str
    latest_ms: float = LONGEST_RUN_MS
    kills: int = 0


class Killer:
    """Kills until `wanted` kills are proven, or until told to stop. `meals` counts how often it began to wait for a batch."""

    def __init__(self, stack: Stack, wanted: int, seed: int, tell: Callable[[Kill], None] = lambda kill: None) -> None:
        host = urlsplit(stack.endpoint or "").hostname
        if host not in ("127.0.0.1", "localhost") or not sys.platform.startswith("linux"):
            raise Trouble("Kills need function processes on this machine, so the embedded emulator on Linux. Leave --kills out.")
        self.stack, self.wanted, self.tell = stack, wanted, tell
        self.done: list[Kill] = []
        self.missed = 0
        self.meals = 0
        self.stop = threading.Event()
        self._share = -(-wanted // len(VICTIMS))
        self._dice = random.Random(seed)
        self._lambda = stack.client("lambda")
        self._aims = {name: Aim(name, m["UUID"], function_name(m["FunctionArn"])) for name, m in mappings(stack).items()}

    def run(self) -> None:
        """Goes round the functions, the one with the fewest kills first."""
        while len(self.done) < self.wanted and not self.stop.is_set():
            tried = sorted(self._aims.values(), key=lambda aim: (aim.kills, self._dice.random()))
            if not any(self._try(aim) for aim in tried if not self.stop.is_set()):
                self.stop.wait(0.2)

    def _try(self, aim: Aim) -> bool:
        """Waits for a batch at one function and kills it; False if there was none, or the proof failed."""
        if aim.kills >= self._share or self._result(aim) == "FAILED":
            return False  # enough of this one, or an earlier kill has not been followed by a good run yet
        before = self._seen(aim)
        idle = [p for p in of_function(aim.name, self.stack.endpoint or "") if p.state in IDLE_STATES]
        if not idle:
            return False
        try:
            for process in idle:
                process.send(signal.SIGSTOP)
            victim = self._wait_for_batch(aim, idle)
            kill = self._kill(aim, victim, before) if victim else None
        except ProcessLookupError:
            return False
        finally:
            for process in idle:
                _wake(process)
        if kill:
            aim.kills += 1
            self.done.append(kill)
            self.tell(kill)
        return kill is not None

    def _wait_for_batch(self, aim: Aim, idle: list[Process]) -> Process | None:
        """The stopped process that an invocation was handed to, if there was one in time."""
        until = time.monotonic() + WAIT_FOR_BATCH_SECONDS
        self.meals += 1
        while time.monotonic() < until and not self.stop.is_set():
            for process in idle:
                if process.unread_bytes():
                    return process
            time.sleep(0.005)
        return None

    def _kill(self, aim: Aim, victim: Process, before: dict[str, int]) -> Kill | None:
        """Lets the process run for a moment, kills it, and looks whether its batch is still unacknowledged."""
        unread = victim.unread_bytes()
        batch = taken(before, self._seen(aim))
        if aim.function in CONSUMERS and not batch:
            return None
        ran_ms = self._dice.choice((0.0, self._dice.uniform(0.5, aim.latest_ms)))
        if ran_ms:
            victim.send(signal.SIGCONT)
            time.sleep(ran_ms / 1000)
        victim.send(signal.SIGKILL)
        proof = self._proof(aim, victim, batch)
        if proof is None:
            self.missed += 1
            aim.latest_ms = max(1.0, aim.latest_ms / 2)
            return None
        aim.latest_ms *= 1.5 if ran_ms else 1
        size = f"{len(batch)} message{'s' if len(batch) != 1 else ''}" if batch else f"{unread:,} bytes of stream"
        moment = f"{ran_ms:.1f} ms into the run" if ran_ms else "before its first step"
        return Kill(aim.function, victim.pid, size, moment, proof)

    def _proof(self, aim: Aim, victim: Process, batch: dict[str, int]) -> str | None:
        """A sentence that shows that the batch was in flight and stayed so; None if it had been acknowledged."""
        until = time.monotonic() + SETTLE_SECONDS
        while time.monotonic() < until:
            if not victim.alive and self._result(aim) == "FAILED":
                if aim.function not in CONSUMERS:
                    return "the stream did not move on"
                still = unacknowledged(batch, self._messages(aim))
                return f"{len(still)} of {len(batch)} unacknowledged" if len(still) == len(batch) else None
            time.sleep(0.02)
        return None

    def _seen(self, aim: Aim) -> dict[str, int]:
        """Message id → times received, of what is in flight."""
        if aim.function not in CONSUMERS:
            return {}
        return {m["MessageId"]: m["ReceiveCount"] for m in self._messages(aim) if not m["IsVisible"]}

    def _result(self, aim: Aim) -> str:
        return str(self._lambda.get_event_source_mapping(UUID=aim.mapping).get("LastProcessingResult", ""))

    def _messages(self, aim: Aim) -> list[dict[str, Any]]:
        """Every message of the consumer's queue, as the emulator shows it."""
        ask = urlencode({"QueueUrl": self.stack.queue(aim.function)})
        with DIRECTLY.open(f"{self.stack.endpoint}/_ministack/sqs/messages?{ask}", timeout=10) as answer:
            accounts = json.load(answer)["messages"]
        return [m for regions in accounts.values() for queues in regions.values() for some in queues.values() for m in some]


def function_name(arn: str) -> str:
    """arn:aws:lambda:region:account:function:NAME[:alias] → NAME"""
    return arn.split(":")[6]


def taken(before: dict[str, int], after: dict[str, int]) -> dict[str, int]:
    """The messages that were received between two looks."""
    return {id_: count for id_, count in after.items() if count > before.get(id_, 0)}


def unacknowledged(batch: dict[str, int], messages: list[dict[str, Any]]) -> set[str]:
    """Those of the batch that are there, invisible, and were not received since."""
    return {m["MessageId"] for m in messages if not m["IsVisible"] and batch.get(m["MessageId"]) == m["ReceiveCount"]}


def _wake(process: Process) -> None:
    try:
        process.send(signal.SIGCONT)
    except ProcessLookupError:
        pass


def table_of(killer: Killer) -> Table:
    """All proven kills."""
    title = f"Kills with a batch in flight: {len(killer.done)} of {killer.wanted} proven"
    lines = table(title, ">#", "function", ">pid", "in flight", "killed", "afterwards")
    for number, kill in enumerate(killer.done, 1):
        lines.add_row(str(number), kill.function, str(kill.pid), kill.batch, kill.moment, kill.proof)
    return lines


def main() -> int:
    parser = argparse.ArgumentParser(description="Kill function processes while batches are in flight.")
    parser.add_argument("--name", default="run", help="folder under .local (default: run)")
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--timeout", type=float, default=600, help="seconds to wait for batches (default: 600)")
    given = parser.parse_args()
    killer = Killer(load(given.name), given.kills, given.seed)
    alarm = threading.Timer(given.timeout, killer.stop.set)
    alarm.daemon = True
    alarm.start()
    killer.run()
    console().print(table_of(killer))
    return 0 if len(killer.done) >= given.kills else 1


if __name__ == "__main__":
    sys.exit(fail_on_trouble(main))
