"""Kills function processes with SIGKILL, each one proven to have had a batch in flight.

A kill counts only if the batch was handed to that process before, the emulator then took the invocation for failed,
and the batch is still unacknowledged. Works on the embedded emulator on Linux.
Must not know what the functions do with a batch. Run beside traffic: python tests/local/kills.py --name run --kills 10
"""
from __future__ import annotations

import argparse
import random
import signal
import sys
import threading
import time
from dataclasses import dataclass
from typing import Callable
from urllib.parse import urlsplit

from cloud import Stack, Trouble, fail_on_trouble, load, mappings
from paper import console, table
from processes import Process, of_function
from rich.table import Table
from witness import Batch, Witness, taken

WAIT_FOR_BATCH_SECONDS = 2.0
SETTLE_SECONDS = 3.0
FIRST_LATEST_MS = 20.0
SLICE_SECONDS, SLICES = 0.001, 500
UNREAD, PART_WAY, COMMITTED = "before it read the batch", "part way", "once a cursor moved"


@dataclass(frozen=True)
class Kill:
    """One proven kill."""

    function: str
    pid: int
    batch: str
    moment: str
    afterwards: str
    cursors_moved: str


@dataclass
class Aim:
    """What is known of one function: its name on the end point, and how late in a run it may be stopped."""

    function: str
    name: str
    witness: Witness
    latest_ms: float = FIRST_LATEST_MS
    kills: int = 0

    def moment(self) -> str:
        """Each moment in its turn; a relay moves no cursor."""
        moments = (COMMITTED, UNREAD, PART_WAY) if self.witness.has_queue else (UNREAD, PART_WAY)
        return moments[self.kills % len(moments)]


class Killer:
    """Kills until `wanted` kills are proven, or until told to stop. `meals` counts how often it began to wait for a batch."""

    def __init__(self, stack: Stack, wanted: int, seed: int, tell: Callable[[Kill], None] = lambda kill: None) -> None:
        host = urlsplit(stack.endpoint or "").hostname
        if host not in ("127.0.0.1", "localhost") or not sys.platform.startswith("linux"):
            raise Trouble("Kills need function processes on this machine, so the embedded emulator on Linux. Leave --kills out.")
        self.wanted, self.tell = wanted, tell
        self.done: list[Kill] = []
        self.meals = 0
        self.stop = threading.Event()
        self._endpoint = stack.endpoint or ""
        self._dice = random.Random(seed)
        self._aims = [Aim(function, function_name(mapping["FunctionArn"]), Witness(stack, function, mapping["UUID"]))
                      for function, mapping in mappings(stack).items()]
        self._share = -(-wanted // len(self._aims))

    def run(self) -> None:
        """Goes round the functions, the one with the fewest kills first."""
        while len(self.done) < self.wanted and not self.stop.is_set():
            tried = sorted(self._aims, key=lambda aim: (aim.kills, self._dice.random()))
            if not any(self._try(aim) for aim in tried if not self.stop.is_set()):
                self.stop.wait(0.2)

    def _try(self, aim: Aim) -> bool:
        """Waits for a batch at one function and kills it; False if there was none, or the proof failed."""
        if aim.kills >= self._share or aim.witness.last_run_failed():
            return False  # enough of this one, or an earlier kill has not been followed by a good run yet
        before = aim.witness.in_flight() if aim.witness.has_queue else {}
        idle = [process for process in of_function(aim.name, self._endpoint) if process.state == "S"]
        if not idle:
            return False
        try:
            for process in idle:
                process.send(signal.SIGSTOP)
            victim = self._wait_for_batch(idle)
            kill = self._kill(aim, victim, before) if victim else None
        except ProcessLookupError:
            return False
        finally:
            for process in idle:
                go_on(process)
        if kill:
            aim.kills += 1
            self.done.append(kill)
            self.tell(kill)
        return kill is not None

    def _wait_for_batch(self, idle: list[Process]) -> Process | None:
        """The stopped process that an invocation was handed to, if there was one in time."""
        until = time.monotonic() + WAIT_FOR_BATCH_SECONDS
        self.meals += 1
        while time.monotonic() < until and not self.stop.is_set():
            for process in idle:
                if process.unread_bytes():
                    return process
            time.sleep(0.005)
        return None

    def _kill(self, aim: Aim, victim: Process, before: Batch) -> Kill | None:
        """Lets the process come to the wanted moment, kills it, and asks for the proof."""
        unread = victim.unread_bytes()
        batch = taken(before, aim.witness.in_flight()) if aim.witness.has_queue else {}
        if aim.witness.has_queue and not batch:
            return None
        stood = aim.witness.cursors(aim.witness.aggregates(batch))
        moment = aim.moment()
        if moment == COMMITTED and not run_until_commit(aim.witness, victim, batch, stood):
            return None
        if moment == PART_WAY:
            moment = f"after {run_for_a_while(victim, self._dice.uniform(0.5, aim.latest_ms)):.1f} ms"
        victim.send(signal.SIGKILL)
        if not proven(aim.witness, victim, batch):
            aim.latest_ms = max(1.0, aim.latest_ms / 2)
            return None
        moved = sum(cursor != stood[aggregate] for aggregate, cursor in aim.witness.cursors(set(stood)).items())
        size = f"{len(batch)} message{'s' if len(batch) > 1 else ''}" if batch else f"{unread:,} bytes"
        return Kill(aim.function, victim.pid, size, moment,
                    f"{len(batch)} of {len(batch)} unacknowledged" if batch else "stream not advanced",
                    f"{moved} of {len(stood)}" if stood else "")


def run_for_a_while(victim: Process, milliseconds: float) -> float:
    """Lets a stopped process run for so long."""
    victim.send(signal.SIGCONT)
    time.sleep(milliseconds / 1000)
    return milliseconds


def run_until_commit(witness: Witness, victim: Process, batch: Batch, stood: dict[str, str]) -> bool:
    """Lets the process run in thin slices until a commit of its shows; then it stands still, and has not answered.

    False if it came to its end first, as it does with a batch of nothing but duplicates.
    """
    for _ in range(SLICES):
        victim.send(signal.SIGCONT)
        time.sleep(SLICE_SECONDS)
        victim.send(signal.SIGSTOP)
        if witness.unacknowledged(batch) != set(batch):
            return False
        if witness.cursors(set(stood)) != stood:
            return True
    return False


def proven(witness: Witness, victim: Process, batch: Batch) -> bool:
    """The process is dead, its invocation has failed, and nothing of its batch was acknowledged."""
    until = time.monotonic() + SETTLE_SECONDS
    while time.monotonic() < until:
        if not victim.alive and witness.last_run_failed():
            return witness.unacknowledged(batch) == set(batch)
        time.sleep(0.02)
    return False


def go_on(process: Process) -> None:
    """Wakes a stopped process, if it still lives."""
    try:
        process.send(signal.SIGCONT)
    except ProcessLookupError:
        pass


def function_name(arn: str) -> str:
    """arn:aws:lambda:region:account:function:NAME[:alias] → NAME"""
    return arn.split(":")[6]


def table_of(killer: Killer) -> Table:
    """All proven kills."""
    title = f"Kills with a batch in flight: {len(killer.done)} of {killer.wanted} proven"
    lines = table(title, ">#", "function", ">pid", ">in flight", "killed", "afterwards", ">cursors moved")
    for number, kill in enumerate(killer.done, 1):
        lines.add_row(str(number), kill.function, str(kill.pid), kill.batch, kill.moment, kill.afterwards, kill.cursors_moved)
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
