"""Breaks the calls of the deployed functions on their way to AWS, in one way after the other, and lets the independent
check of `make run` judge what came of it.

A fault counts only if the proxy says that it fired. Must not know what the functions do, nor what the check compares.
Run: python tests/local/chaos.py --cli target/release/towpath
"""
from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Iterator

from cloud import CONSUMERS, ROOT, Stack, Trouble, fail_on_trouble, load, mappings
from kills import function_name
from paper import console, table
from processes import of_function
from stack import HOST, answers, free_port, local_environment, wait_until

NAME = "chaos"
PROXY = ROOT / ".venv/faults/bin/microburst"
START_SECONDS = 30.0
# What failed comes back after this time: a day of AWS's 180 s is a few minutes here.
VISIBILITY_SECONDS = 5
ORDERS, TENANTS, REST_SECONDS = 40, 4, 420
Rule = dict[str, Any]


@dataclass(frozen=True)
class Fault:
    """One way in which calls go wrong, and how many of them must at least have done so."""

    name: str
    rules: tuple[Rule, ...]
    least: int
    kills: int = 0


def rule(service: str, operation: str, probability: float, times: int, **effect: Any) -> Rule:
    which = {} if operation == "*" else {"operation": operation}
    return {"service": service, **which, "probability": probability, "times": times, **effect}


def error(code: str, **fields: Any) -> Rule:
    return {"error": {"code": code, "fields": fields} if fields else {"code": code}}


LOST = {"response": {"abort_bytes": 1}}
WRITES = ("TransactWriteItems", "UpdateItem", "PutItem")
READS = ("BatchGetItem", "GetItem", "Query")
CONFLICT = error("TransactionCanceledException", CancellationReasons=[{"Code": "TransactionConflict"}])

FAULTS = (
    Fault("answers of writes are lost", tuple(rule("dynamodb", of, 0.25, 20, **LOST) for of in WRITES), 10),
    Fault("answers of reads are lost", tuple(rule("dynamodb", of, 0.25, 15, **LOST) for of in READS), 10),
    Fault("tables throttle", tuple(rule("dynamodb", of, 0.4, 40, **error("ProvisionedThroughputExceededException"))
                                   for of in WRITES + READS), 30),
    Fault("transactions are cancelled", (rule("dynamodb", "TransactWriteItems", 0.4, 40, **CONFLICT),), 10),
    Fault("connections are reset", tuple(rule(of, "*", 0.15, 25, reset=True) for of in ("dynamodb", "sns", "sqs", "events")), 15),
    Fault("the topic fails and loses answers", (rule("sns", "PublishBatch", 0.3, 10, **error("InternalErrorException")),
                                                rule("sns", "PublishBatch", 0.3, 10, **LOST)), 5),
    Fault("the integration bus fails and loses answers", (rule("events", "PutEvents", 0.3, 10, **error("InternalException")),
                                                          rule("events", "PutEvents", 0.3, 10, **LOST)), 5),
    Fault("every call takes its time", (rule("*", "*", 0.2, 60, latency={"min": 300, "max": 2500}),), 20),
    Fault("all at once, and processes are killed", (
        rule("dynamodb", "TransactWriteItems", 0.2, 15, **LOST), rule("dynamodb", "*", 0.1, 30, reset=True),
        rule("sns", "PublishBatch", 0.2, 6, **LOST), rule("sqs", "*", 0.2, 10, reset=True),
        rule("events", "PutEvents", 0.3, 6, **LOST)), 15, kills=3),
)


class Proxy:
    """The fault proxy, by its control interface."""

    def __init__(self, url: str) -> None:
        self.url = url

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}/_microburst/{path}", data, {"content-type": "application/json"}, method=method)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.loads(answer.read() or b"null")

    def break_calls(self, rules: tuple[Rule, ...]) -> None:
        self.ask("DELETE", "fired")
        self.ask("POST", "rules", list(rules))

    def fired(self) -> int:
        return len(self.ask("GET", "fired?limit=100000"))

    def calm(self) -> None:
        self.ask("POST", "rules", [])


@contextmanager
def stack_behind_proxy() -> Iterator[tuple[Stack, Proxy]]:
    """A stack on an emulator of its own, whose functions see AWS only through the proxy."""
    if not PROXY.exists():
        raise Trouble(f"{PROXY.relative_to(ROOT)} is missing. Run it by: make chaos")
    port = free_port()
    script("stack.py", "down", "--name", NAME)
    script("stack.py", "up", "--name", NAME, "--stage", NAME, "--through", f"http://{HOST}:{port}")
    proxy: subprocess.Popen[bytes] | None = None
    try:
        stack = load(NAME)
        with (stack.folder / "proxy.log").open("wb") as log:
            proxy = subprocess.Popen([PROXY, "--host", HOST, "--port", str(port), "--upstream", str(stack.endpoint), "--no-resign"],
                                     env=local_environment(str(stack.endpoint)), stdin=subprocess.DEVNULL, stdout=log,
                                     stderr=subprocess.STDOUT, process_group=0)
        if not wait_until(lambda: answers(f"http://{HOST}:{port}/_microburst/health"), START_SECONDS):
            raise Trouble(f"the proxy does not answer. Its words are in .local/{NAME}/proxy.log")
        for consumer in CONSUMERS:
            for queue in (stack.queue(consumer), stack.output(f"{CONSUMERS[consumer]}WakeQueueUrl")):
                stack.client("sqs").set_queue_attributes(QueueUrl=queue, Attributes={"VisibilityTimeout": str(VISIBILITY_SECONDS)})
        warm_up(Stack(NAME, f"http://{HOST}:{port}", stack.region, stack.stack_name, stack.outputs))
        yield stack, Proxy(f"http://{HOST}:{port}")
    finally:
        if proxy:
            os.killpg(proxy.pid, signal.SIGTERM)
            proxy.wait()
        script("stack.py", "down", "--name", NAME)


def warm_up(stack: Stack) -> None:
    """The proxy reads each service's model at its first call, which takes seconds."""
    stack.client("dynamodb").describe_table(TableName=stack.output("OutboxTable"))
    stack.client("sns").get_topic_attributes(TopicArn=stack.output("EventsTopicArn"))
    stack.client("sqs").get_queue_attributes(QueueUrl=stack.queue("inventory"))
    stack.client("events").describe_event_bus(Name=stack.output("BusName"))


def script(name: str, *arguments: str) -> None:
    done = subprocess.run([sys.executable, str(ROOT / "tests/local" / name), *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Trouble(f"{name} failed:\n{done.stdout}{done.stderr}")


class Killer(threading.Thread):
    """Kills functions at any moment, so many times, with a pause in between."""

    def __init__(self, stack: Stack, wanted: int, seed: int) -> None:
        super().__init__(daemon=True)
        self.stack, self.wanted, self.done, self.over = stack, wanted, 0, threading.Event()
        self._dice = random.Random(seed)

    def run(self) -> None:
        names = [function_name(mapping["FunctionArn"]) for mapping in mappings(self.stack).values()]
        while self.done < self.wanted and not self.over.wait(self._dice.uniform(0.5, 1.5)):
            living = [process for name in names for process in of_function(name, str(self.stack.endpoint))]
            if living:
                try:
                    self._dice.choice(living).send(signal.SIGKILL)
                    self.done += 1
                except ProcessLookupError:
                    pass  # it ended by itself; there will be another one


def try_fault(fault: Fault, stack: Stack, proxy: Proxy, seed: int, cli: Path) -> tuple[int, int, str]:
    """Traffic while calls go wrong; then nothing does any more, and the check looks. (fired, exit code, output)."""
    proxy.break_calls(fault.rules)
    killer = Killer(stack, fault.kills, seed)
    killer.start()
    traffic = [sys.executable, str(ROOT / "tests/local/traffic.py"), "--name", NAME, "--orders", str(ORDERS), "--tenants", str(TENANTS),
               "--seed", str(seed), "--rest", str(REST_SECONDS), "--cli", str(cli)]
    run = subprocess.run(traffic, cwd=ROOT, capture_output=True, text=True, check=False)
    fired = proxy.fired() if killer.done >= fault.kills else 0
    killer.over.set()
    killer.join()
    proxy.calm()
    return fired, run.returncode, run.stdout + run.stderr


def main() -> int:
    parser = argparse.ArgumentParser(description="Break the deployed functions' calls, and check what came of it.")
    parser.add_argument("--cli", type=Path, required=True, help="the towpath binary")
    parser.add_argument("--only", default="", help="only faults whose name has this in it")
    given, out = parser.parse_args(), console()
    if not any(given.only in fault.name for fault in FAULTS):
        sys.exit(f"error: no fault has {given.only!r} in its name")
    result = table("", "", "what went wrong", ">times", "what the check says", ">seconds")
    failed = []
    with stack_behind_proxy() as (stack, proxy):
        for seed, fault in enumerate(FAULTS, start=101):
            if given.only not in fault.name:
                continue
            begun = time.monotonic()
            fired, code, text = try_fault(fault, stack, proxy, seed, given.cli)
            well = code == 0 and fired >= fault.least
            verdict = "every row agrees" if code == 0 else "SOMETHING IS WRONG"
            if fired < fault.least:
                verdict += f"; it had to strike {fault.least} times"
            result.add_row("✓" if well else "✗", fault.name, str(fired), verdict, f"{time.monotonic() - begun:.0f}")
            out.print(f"{'✓' if well else '✗'}  {fault.name}: {fired} times, {verdict}", markup=False)
            if not well:
                failed.append(f"\n— {fault.name} —\n{text}")
    out.print()
    out.print(result)
    for text in failed:
        out.print(text, markup=False, soft_wrap=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(fail_on_trouble(main))
