"""Every `aws` and `make` line in docs/runbooks is one that AWS's own models, or the Makefile, know.

`towpath` lines are parsed by the CLI's own tests. Must not know what a runbook says. Run: python -m unittest discover -s tests/local
"""
from __future__ import annotations

import re
import shlex
import unittest
from pathlib import Path

import botocore.session
from botocore import xform_name

ROOT = Path(__file__).resolve().parents[2]
EVERYWHERE = {"output", "query", "region", "profile"}


def typed(start: str) -> list[tuple[str, str]]:
    """Lines of blocks and of `code` that begin with a word, each with its file."""
    found = []
    for path in sorted((ROOT / "docs/runbooks").glob("*.md")):
        text = path.read_text()
        lines = [line for block in text.split("```")[1::2] for line in block.splitlines()]
        lines += re.findall(r"`([^`\n]+ [^`\n]+)`", text)
        found += [(path.name, line) for line in lines if line.startswith(start)]
    return found


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


if __name__ == "__main__":
    unittest.main()
