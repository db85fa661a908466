"""Runs every command that asks AWS for something, on a stack that is up and has parked rows (make drill), and compares what was asked for
with what `towpath access` says: nothing that it does not say, and all together everything that it says but what only a stack with
change sets, or one that lacks events, is asked for. Must not know how a command asks. Run: python tests/local/access.py --name run --cli towpath
"""
from __future__ import annotations

import argparse
import json
import os
import subprocess
from collections import defaultdict
from pathlib import Path

from cloud import ROOT, Trouble, fail_on_trouble

SIGN = ["--why", "to see what it asks for", "--who", "a test", "--yes"]
# What no stack of an emulator is asked for: its change sets.
NOT_HERE = {"cloudformation:DescribeChangeSet", "cloudformation:ExecuteChangeSet", "cloudformation:ListChangeSets"}


class Program:
    """The program, and what it asked for under each command."""

    def __init__(self, cli: str, name: str) -> None:
        self.cli, self.folder = cli, ROOT / ".local" / name
        self.file = self.folder / "calls"
        self.file.unlink(missing_ok=True)
        self.environment = {**os.environ, "TOWPATH_STACK_FILE": str(self.folder / "stack.json")}

    def run(self, *words: str, codes: tuple[int, ...] = (0,)) -> str:
        done = subprocess.run([self.cli, "--calls", str(self.file), *words], env=self.environment, capture_output=True, text=True, check=False)
        if done.returncode not in codes:
            raise Trouble(f"towpath {' '.join(words)} ended with {done.returncode}: {done.stderr.strip()}")
        return done.stdout

    def asked(self) -> dict[str, set[str]]:
        found: defaultdict[str, set[str]] = defaultdict(set)
        for line in self.file.read_text().splitlines():
            typed, call = line.split("\t")
            found[typed].add(call)
        return dict(found)


def main() -> int:
    parser = argparse.ArgumentParser(description="Every command asks for what it says.")
    parser.add_argument("--name", default="run", help="folder under .local (default: run)")
    parser.add_argument("--cli", type=lambda path: str(Path(path).resolve()), required=True)
    options = parser.parse_args()
    program = Program(options.cli, options.name)
    said = {line["command"]: set(line["calls"]) for line in json.loads(program.run("access", "--json"))}
    walk(program)
    asked = program.asked()
    for typed, calls in sorted(asked.items()):
        if more := calls - said.get(typed, set()):
            raise Trouble(f"towpath {typed} asks for {', '.join(sorted(more))}, which cli/src/access.rs does not say")
    if silent := set(said) - set(asked) - {"changes", "changes --yes"}:
        raise Trouble(f"nothing was seen of towpath {', '.join(sorted(silent))}")
    if much := set().union(*said.values()) - set().union(*asked.values()) - NOT_HERE:
        raise Trouble(f"no command asked for {', '.join(sorted(much))}: take it out of cli/src/access.rs, infra/access.yaml and docs/access.md")
    print(f"{len(asked)} commands asked for {len(set().union(*asked.values()))} things, each of which the policies name")
    return 0


def walk(program: Program) -> None:
    """Each command with and without --yes; what it changes is put back."""
    run = program.run
    rows = json.loads(run("dlq", "list", "--json"))["rows"]
    if not rows:
        raise Trouble("no row is parked: make drill first")
    consumer, aggregate, tenant = rows[0]["consumer"], rows[0]["aggregate"], rows[0]["aggregate"].split("#")[0]
    one = ("--consumer", consumer, "--aggregate", aggregate)
    for words in (("status",), ("status", "--audit"), ("dlq", "list", "--status", "all"), ("dlq", "show", *one), ("dlq", "audit-log", "--tenant", tenant),
                  ("dlq", "retry", *one), ("dlq", "skip", *one), ("trace", aggregate), ("tenants", "limit", tenant), ("tenants", "usage"), ("doctor",)):
        run(*words, codes=(0, 3))
    run("status", "--audit", "--yes")
    run("dlq", "retry", *one, *SIGN, codes=(0, 1, 3))  # it fails again: what is wrong with it is not mended here
    found = json.loads(run("trace", aggregate, "--json"))
    run("trace", text_at(found, "correlation_id"))
    for verb in ("hold", "resume"):
        run(verb, consumer, "--tenant", tenant)
        run(verb, consumer, "--tenant", tenant, *SIGN)
    run("watch", "--tenant", tenant)
    run("watch", "--tenant", tenant, *SIGN)
    run("watch", "--tenant", tenant, "--end", *SIGN)
    run("tenants", "limit", tenant, "--rate", "77", "--burst", "99", *SIGN)
    run("tenants", "limit", tenant, "--default", *SIGN)
    run("dlq", "skip", *one, *SIGN, codes=(0, 3, 4))
    run("replay", "--consumer", "crm-timeline", "--since", "24h")
    run("replay", "--consumer", "crm-timeline", "--since", "24h", *SIGN)
    run("replay", "--rebuild", "order-summary")
    run("replay", "--rebuild", "order-summary", *SIGN)
    run("replay", "--swap", "order-summary", *SIGN)
    run("replay", "--drop", "order-summary@2", *SIGN)


def text_at(found: object, key: str) -> str:
    """The first text of this name, however deep."""
    inner = found.values() if isinstance(found, dict) else found if isinstance(found, list) else ()
    if isinstance(found, dict) and isinstance(found.get(key), str):
        return str(found[key])
    return next((text for text in (text_at(each, key) for each in inner) if text), "")


if __name__ == "__main__":
    raise SystemExit(fail_on_trouble(main))
