"""Every line in docs/runbooks is one that AWS's own models, or the Makefile, know; what is to be filled in can be looked up.

`towpath` lines are parsed by the CLI's own tests; `make rehearse` runs all of them. Must not know what a runbook says.
Run: python -m unittest discover -s tests/local
"""
from __future__ import annotations

import re
import shlex
import unittest
from pathlib import Path

import botocore.session
import runbook
from botocore import xform_name
from runbook import Line

ROOT = Path(__file__).resolve().parents[2]
EVERYWHERE = {"output", "query", "region", "profile"}


def typed(start: str) -> list[tuple[str, str]]:
    """Lines of blocks and of `code` that begin with a word, each with its page."""
    return [(line.page, line.text) for line in [*runbook.lines(), *runbook.inline(start)] if line.text.startswith(start)]


def unknown(line: str) -> str:
    """What of an `aws` line AWS does not know; nothing if all is right."""
    _, service, verb, *words = shlex.split(line)
    session = botocore.session.get_session()
    if service not in session.get_available_services():
        return f"no service {service}"
    model = session.get_service_model(service)
    operations = {xform_name(name, "-"): name for name in model.operation_names}
    if verb not in operations:
        return f"{service} has no {verb}"
    shape = model.operation_model(operations[verb]).input_shape
    members = {xform_name(name, "-") for name in (shape.members if shape else {})}
    options = {word.removeprefix("--") for word in words if word.startswith("--")}
    strange = options - members - EVERYWHERE
    required = {xform_name(name, "-") for name in (shape.required_members if shape else [])}
    return ", ".join([f"no --{option}" for option in sorted(strange)] + [f"--{option} is missing" for option in sorted(required - options)])


def outputs() -> set[str]:
    """What the stack has as outputs, here and in a new product."""
    of = [set(re.findall(r"(?m)^  (\w+): \{ Value: ", (ROOT / file).read_text())) for file in ("template.yaml", "cli/template/template.yaml")]
    ours, new = of
    return {name for name in ours if name in new or name.startswith(("Inventory", "ExampleReceiver")) or name == "BusName"}


def dimensions() -> set[str]:
    """By what alarms are about something."""
    return {name for path in (ROOT / "infra").glob("*.yaml") for name in re.findall(r"\{ Name: (\w+), Value:", path.read_text())}


class Runbooks(unittest.TestCase):
    def test_every_aws_command_is_known_to_aws(self) -> None:
        lines = [(file, line) for file, line in typed("aws ") if "--" in line or len(line.split()) > 3]
        self.assertGreater(len(lines), 40)
        for file, line in lines:
            with self.subTest(file=file, line=line):
                self.assertEqual("", unknown(line))

    def test_every_make_target_is_there(self) -> None:
        targets = set(re.findall(r"(?m)^([a-z]+):", (ROOT / "Makefile").read_text()))
        lines = typed("make ")
        self.assertTrue(lines)
        for file, line in lines:
            with self.subTest(file=file, line=line):
                self.assertIn(line.split()[1], targets)

    def test_a_wrong_line_is_found(self) -> None:
        self.assertEqual("sqs has no purge", unknown("aws sqs purge --queue-url X"))
        self.assertEqual("no --queue, --queue-url is missing", unknown("aws sqs purge-queue --queue X"))

    def test_every_search_of_logs_is_one_that_cloudwatch_understands_and_that_somebody_writes(self) -> None:
        lines = [(file, line) for file, line in typed("aws logs filter-log-events")]
        self.assertGreater(len(lines), 15)
        code = "".join(path.read_text() for path in (ROOT / "shared/towpath-aws/src").rglob("*.rs"))
        for file, line in lines:
            with self.subTest(file=file, line=line):
                self.assertEqual("", runbook.wrong_search(line))
                for phrase in re.findall(r"""--filter-pattern '"([^"]+)"'""", line):
                    self.assertIn(phrase, code)

    def test_a_search_that_finds_nothing_on_aws_is_found_here(self) -> None:
        search = "aws logs filter-log-events --log-group-name LOG_GROUP --start-time 1 --filter-pattern"
        for right in ("""'"dead-letter"'""", "'ERROR'", "'{ $.level = \"ERROR\" }'"):
            self.assertEqual("", runbook.wrong_search(f"{search} {right}"))
        for wrong in ("'dead-letter'", "'could not start'", '"dead-letter"'):
            self.assertNotEqual("", runbook.wrong_search(f"{search} {wrong}"), wrong)
        self.assertIn("--start-time", runbook.wrong_search("aws logs filter-log-events --filter-pattern 'ERROR'"))

    def test_every_word_in_capitals_can_be_looked_up(self) -> None:
        rows, counted = runbook.found_by(), 0
        for line in [*runbook.lines(), *runbook.inline("aws "), *(Line(runbook.BROKER, how) for how in rows.values())]:
            counted += len(line.words)
            with self.subTest(line=line):
                self.assertEqual([], runbook.unexplained(line, outputs(), dimensions(), rows))
        self.assertGreater(counted, 50)
        used = {word for line in [*runbook.lines(), *(Line(runbook.BROKER, how) for how in rows.values())] for word in line.words}
        self.assertEqual(set(), set(rows) - used, "broker.md explains a word that no line has")

    def test_a_word_that_nobody_explains_is_found(self) -> None:
        line = Line("some.md", "aws sqs purge-queue --queue-url UNDELIVERED_QUEUE_URL --log LOG_GROUP --state-value ALARM AWS/SQS")
        self.assertEqual(["UNDELIVERED_QUEUE_URL"], runbook.unexplained(line, {"LogGroup"}, {"QueueName"}, {}))


if __name__ == "__main__":
    unittest.main()
