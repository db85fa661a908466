"""Types every line of docs/runbooks at a stack that is up and has parked rows (make drill), as a person would who was paged: the words in
capitals are looked up where broker.md says, examples are what the stack has. Each line must end with 0. Then the way out of a park, for real.

Orders that would end the park are dry runs until then. Must not know how a command works. Run: python tests/local/walk.py --name run --cli towpath
"""
from __future__ import annotations

import argparse
import json
import os
import shlex
import subprocess
import sys
import time
from functools import cached_property
from pathlib import Path
from typing import Any

import runbook
import typed_aws
from alarms import deployed, original
from botocore.exceptions import ClientError
from cloud import ROOT, Stack, Trouble, fail_on_trouble, load
from runbook import Line

# What the embedded emulator has not, and so nobody has seen: a line of these that works does not belong here any more.
NOT_HERE = {
    "aws sqs start-message-move-task": "SQS here moves no messages back",
    "aws sqs list-message-move-tasks": "nor does it list who does",
}
EXAMPLES = {"aggregate": "acme#order#01a1fef4-5eab-76eb-a7f5-b0f6d254c49c", "fingerprint": "7cfa540d"}
DRY = ("towpath dlq retry", "towpath dlq skip", "towpath replay")  # what ends a park, or takes long
BEFORE = ("make up", "make drill")  # how the stack came here: their recipes are read, not carried out
GONE = "gone"  # a consumer that nobody deployed
WATCHED_SECONDS = 20.0


class Walk:
    """The stack, and what is put in for the words and examples of a page."""

    def __init__(self, stack: Stack, cli: Path, alarms: list[dict[str, Any]]) -> None:
        self.stack, self.rows, self.seen, self.alarms = stack, runbook.found_by(), dict[str, str](), alarms
        keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": stack.region, "USER": "tester"}
        self.environment = {**os.environ, **keys, "TOWPATH_STACK_FILE": str(stack.file), "PATH": f"{cli.resolve().parent}:{os.environ['PATH']}"}

    def type(self, line: Line) -> str:
        """Carries one line out, once; what it printed."""
        text = self.filled(line)
        if text.startswith(DRY):
            text = text.replace(" --yes", "")
        if text not in self.seen:
            self.seen[text] = self.carry_out(text)
        return self.seen[text]

    def carry_out(self, text: str) -> str:
        lacking = next((reason for start, reason in NOT_HERE.items() if text.startswith(start)), "")
        try:
            printed = self.aws(text) if text.startswith("aws ") else self.program(text)
        except ClientError as error:
            if lacking and error.response["Error"]["Code"] in ("InvalidAction", "UnknownOperationException", "501"):
                return lacking
            raise Trouble(f"{text}\n{error}") from error
        if lacking:
            raise Trouble(f"{text} works here: take it out of NOT_HERE in tests/local/walk.py")
        return printed

    def aws(self, text: str) -> str:
        shell = subprocess.run(["bash", "-c", f"printf '%s\\0' {text}"], capture_output=True, text=True, check=True)
        return typed_aws.carry_out(self.stack.client, shell.stdout.split("\0")[:-1])

    def program(self, text: str) -> str:
        words = shlex.split(text)
        if "--watch" in words:
            return self.watched(words)
        if words[0] == "make":
            words += [f"NAME={self.stack.name}", "--no-print-directory", *(["--dry-run"] if text in BEFORE else [])]
        done = subprocess.run(words, env=self.environment, cwd=ROOT, capture_output=True, text=True, check=False)
        if done.returncode:
            raise Trouble(f"{text} ended with {done.returncode}: {done.stderr.strip()}{done.stdout.strip()}")
        return done.stdout

    def watched(self, words: list[str]) -> str:
        """What a command that goes on and on shows first."""
        with subprocess.Popen(words, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as going:
            first = going.stdout.readline() if going.stdout else ""
            ended = going.poll()
            going.terminate()
        if not first or ended is not None:
            raise Trouble(f"{' '.join(words)} did not go on: {first or 'it shows nothing'}")
        return first

    def filled(self, line: Line) -> str:
        """The line as a person types it here."""
        text = line.text
        for word in line.words:
            text = runbook.WORD.sub(lambda found: self.value(line.page, word) if found[0] == word else found[0], text)
        for name, example in EXAMPLES.items():
            text = text.replace(example, self.parked[name])
        return text

    def value(self, page: str, word: str) -> str:
        """What stands for a word on this page, found as broker.md says."""
        if command := self.rows.get(word):
            return self.type(Line(page, command)).splitlines()[-1].split("\t")[0]
        outputs = [self.stack.outputs[name] for name in runbook.output_names(word) if name in self.stack.outputs]
        known = {"STACK_NAME": self.stack.stack_name, "YOU": "tester", "ALARM_NAME": str(self.of(page)[0]["AlarmName"])}
        if word == "REMOVED_CONSUMER":
            return self.removed
        if word in known:
            return known[word]
        said = [each["Value"] for alarm in self.of(page) for each in alarm["Dimensions"] if each["Name"] == runbook.camel(word)]
        if not outputs + said:
            raise Trouble(f"{page}: {word} is no output, and no dimension of the alarms that lead here")
        return str([*outputs, *said][0])

    def of(self, page: str) -> list[dict[str, Any]]:
        """The alarms that lead to this page; any for a page that all of them may lead to."""
        return [alarm for alarm in self.alarms if alarm["AlarmDescription"].endswith(f"/{page}")] or self.alarms

    @cached_property
    def parked(self) -> dict[str, str]:
        """A row that the drill parked."""
        found = json.loads(self.program("towpath dlq list --consumer inventory --tenant acme --json"))["rows"]
        if not found:
            raise Trouble("no row is parked: make drill first")
        return {name: str(found[0][name]) for name in EXAMPLES}

    @cached_property
    def removed(self) -> str:
        """Makes an entry of the registry that is no consumer's."""
        client, table = self.stack.client("dynamodb"), self.stack.output("ProgressTable")
        row = client.get_item(TableName=table, Key={"pk": {"S": "~registry"}, "sk": {"S": runbook.EXAMPLE}})["Item"]
        client.put_item(TableName=table, Item=row | {"sk": {"S": GONE}})
        return GONE


def way_out(walk: Walk) -> None:
    """Mends what the drill broke, and ends the park as parked.md says."""
    lines = [line.text for line in runbook.block_lines("parked.md", runbook.pages()["parked.md"])]
    retry = next(line for line in lines if line.startswith("towpath dlq retry") and "--yes" in line)
    need(any(line.text == "make drill ARGS=--mend" for line in runbook.inline("make ")), "parked.md does not say how a drill is mended")
    walk.program("make drill ARGS=--mend")
    walk.program(walk.filled(Line("parked.md", retry)))
    said = walk.program("towpath dlq list")
    need("no row is parked" in said, f"after the retry: {said}")


def need(holds: bool, why: str) -> None:
    if not holds:
        raise Trouble(why)


def main() -> int:
    parser = argparse.ArgumentParser(description="Type what the runbooks say.")
    parser.add_argument("--name", default="run", help="folder under .local (default: run)")
    parser.add_argument("--cli", type=Path, required=True, help="the towpath binary")
    options = parser.parse_args()
    stack, begun = load(options.name), time.monotonic()
    walk = Walk(stack, options.cli, [original(alarm) for alarm in deployed(stack)])
    lines = runbook.lines()
    need(len(lines) > 90, f"only {len(lines)} lines were found")
    for line in lines:
        walk.type(line)
    lacking = [text for text in walk.seen if text.startswith(tuple(NOT_HERE))]
    way_out(walk)
    print(f"{len(lines)} lines of {len(runbook.pages())} runbooks were typed, {len(lacking)} of which an emulator does not have, "
          f"and the park ended, in {time.monotonic() - begun:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(fail_on_trouble(main))
