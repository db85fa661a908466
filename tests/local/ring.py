"""Waits until the alarms that a drill causes are as they must be, each by what was measured: `rings` after make drill, `ends` after the
park is ended. Parked rows and tickets alone: the condition of every other alarm is made up by rehearse.py.

Must not put a value of its own into an alarm. Run: python tests/local/ring.py rings --name run
"""
from __future__ import annotations

import argparse
import sys
import time
from typing import Any

from alarms import deployed, measured, metric_lines, original, points, put, series_of
from cloud import Stack, Trouble, fail_on_trouble, load, queue_depth

CONSUMER = "inventory"
SECONDS = 180.0  # a tick of the auditor, and the minute that an alarm looks back over


def caused(stack: Stack) -> dict[str, dict[str, Any]]:
    """The alarms that parked rows of the drill's consumer ring, as they were deployed, by what they watch."""
    queue = stack.dead_letters(CONSUMER).rsplit("/", 1)[1]
    found: dict[str, dict[str, Any]] = {}
    for alarm in map(original, deployed(stack)):
        series = series_of(alarm)
        if series.name == "ParkedRows" and ("consumer", CONSUMER) in series.dimensions:
            found["parked rows"] = alarm
        elif series.name == "ApproximateNumberOfMessagesVisible" and ("QueueName", queue) in series.dimensions:
            found["tickets"] = alarm
    if len(found) != 2:
        raise Trouble(f"not two alarms watch {CONSUMER}'s parked rows and tickets: {sorted(found)}")
    return found


def states(stack: Stack) -> dict[str, str]:
    """In which state each of them is now, by what the functions said and what lies in the queue."""
    alarms, now = caused(stack), time.time()
    said = put(stack, alarms.values(), measured(stack, list(alarms.values()), now), f"{now:.3f}")
    found = {what: said[alarm["AlarmName"]] for what, alarm in alarms.items()}
    parked = alarms["parked rows"]  # it is OK for want of data, too: here somebody has to have looked
    looked = any(series == series_of(parked) for line in metric_lines(stack, now - parked["Period"]) for series, _, _ in points(line))
    return found if looked else found | {"parked rows": "not looked at"}


def empty(stack: Stack) -> None:
    """Empties the queue of tickets, as dead-letters.md says."""
    stack.client("sqs").purge_queue(QueueUrl=stack.dead_letters(CONSUMER))


def main() -> int:
    parser = argparse.ArgumentParser(description="The drill's alarms ring by their own cause, and end.")
    parser.add_argument("wanted", choices=["rings", "ends"])
    parser.add_argument("--name", default="run", help="folder under .local (default: run)")
    options = parser.parse_args()
    stack, begun = load(options.name), time.monotonic()
    wanted = "ALARM" if options.wanted == "rings" else "OK"
    if wanted == "OK" and queue_depth(stack.client("sqs"), stack.dead_letters(CONSUMER))[0]:
        empty(stack)
    while set((found := states(stack)).values()) != {wanted}:
        if time.monotonic() - begun > SECONDS:
            raise Trouble(f"the alarms of {CONSUMER} are not {wanted}, though nothing was made up: {found}")
        time.sleep(1)
    print(f"the alarms on {CONSUMER}'s parked rows and tickets are {wanted} by what was measured, after {time.monotonic() - begun:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(fail_on_trouble(main))
