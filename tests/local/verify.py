"""The independent check: scans the tables, folds the journal by plain rules, compares with the driver's log and every view.

Shares no code with the functions, and must not: it is here to catch them. Run: python tests/local/verify.py --name run
"""
from __future__ import annotations

import argparse
import sys
from typing import Callable

from rich.console import Console
from rich.text import Text

import check_bus
import check_checkouts
import check_journal
import check_mails
import check_views
import receiver
import rows
from cloud import CONSUMERS, Stack, Trouble, fail_on_trouble, ledger, load, queue_depth, scan
from findings import Fault, Finding
from paper import console, table
from rows import World

CHECKS = check_journal.CHECKS + check_views.CHECKS + check_bus.CHECKS
WITH_PROVIDER = CHECKS + check_mails.CHECKS + check_checkouts.CHECKS
SHOWN_FAULTS = 3
TABLES = {"outbox": "OutboxTable", "entities": "EntitiesTable", "views": "ViewsTable", "progress": "ProgressTable"}


def load_world(stack: Stack) -> World:
    """Reads all tables, all queues, the driver's log, and what has left."""
    log = stack.folder / "answers.jsonl"
    if not log.exists():
        raise Trouble(f"There is no {log.name} for {stack.name!r}. Send traffic first: tests/local/traffic.py --name {stack.name}.")
    world = World(answers=rows.answers(log.read_text().splitlines()))
    for table, output in TABLES.items():
        rows.fill(world, table, scan(stack, output))
    world.received = receiver.take(stack)
    sqs = stack.client("sqs")
    for consumer in CONSUMERS:
        world.queues[f"{consumer} queue"] = queue_depth(sqs, stack.queue(consumer))
        world.queues[f"{consumer} dead letters"] = queue_depth(sqs, stack.dead_letters(consumer))
    world.queues["relay failures"] = queue_depth(sqs, stack.output("RelayFailuresQueueUrl"))
    world.ledger = ledger(stack)
    return world


def run_checks(world: World) -> list[Finding]:
    """All checks, in the order in which they are printed. A check that cannot run, or had nothing to look at, has failed."""
    findings = [_run(check, world) for check in (WITH_PROVIDER if world.ledger else CHECKS)]
    for finding in findings:
        if not finding.looked_at:
            finding.faults.append(Fault("all of it", "something to compare", "nothing: no such row or answer"))
    return findings


def _run(check: Callable[[World], Finding], world: World) -> Finding:
    try:
        return check(world)
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as why:
        broken = Finding(str(check.__doc__).split("\n")[0])
        broken.true("a row has another shape than documented", False, "a comparison", f"{type(why).__name__}: {why}")
        return broken


def show(findings: list[Finding], world: World, out: Console) -> bool:
    """Prints one line per check; True when all agree."""
    lines = table("", "", "", ">", "")
    lines.show_header = False
    for finding in findings:
        mark = Text("✓", "green") if finding.good else Text("✗", "bold red")
        wrong = Text("" if finding.good else f"{len(finding.faults)} wrong", "red")
        lines.add_row(mark, Text(finding.promise), f"{finding.looked_at:,}", wrong)
    out.print(lines)
    for finding in findings:
        show_faults(finding, out)
    for consumer in check_views.not_checked(world):
        out.print(f"not checked: {consumer} (tests/local/fold.py says nothing of it: its cursors were looked at, its rows and "
                  "queues were not)", style="yellow", soft_wrap=True)
    good = all(finding.good for finding in findings)
    compared = sum(finding.looked_at for finding in findings)
    verdict = "agrees" if good else "does NOT agree"
    out.print(f"The check {verdict}: {len(world.events):,} rows of the journal, {len(world.answers):,} requests, "
              f"{compared:,} comparisons.", style="bold green" if good else "bold red", soft_wrap=True)
    return good


def show_faults(finding: Finding, out: Console) -> None:
    """The first few things that are wrong, expected against found."""
    if finding.good:
        return
    out.print(Text(f"\n✗ {finding.promise}", "bold red"))
    for fault in finding.faults[:SHOWN_FAULTS]:
        out.print(Text(f"  {fault.key}\n    expected  {fault.expected}\n    found     {fault.found}"), soft_wrap=True)
    more = len(finding.faults) - SHOWN_FAULTS
    if more > 0:
        out.print(f"  and {more:,} more")


def main() -> int:
    parser = argparse.ArgumentParser(description="Check the tables of a stack against its journal and the driver's log.")
    parser.add_argument("--name", default="run", help="folder under .local (default: run)")
    world = load_world(load(parser.parse_args().name))
    return 0 if show(run_checks(world), world, console()) else 1


if __name__ == "__main__":
    sys.exit(fail_on_trouble(main))
