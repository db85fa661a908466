"""Shows that what a person is told to type is what a shell takes, and names the right stack.

Must not need a stack. Run: python -m unittest tests/local/test_hints.py
"""
from __future__ import annotations

import json
import shlex
import subprocess
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import hints  # noqa: E402


class TheHints(unittest.TestCase):
    def test_each_curl_is_a_command_that_the_api_takes(self) -> None:
        curls = [shlex.split(line) for line in hints.curls("run") if line.startswith("curl")]
        self.assertEqual(3, len(curls))
        keys = set()
        for words in curls:
            headers = dict(words[at + 1].split(": ") for at, word in enumerate(words) if word == "-H")
            self.assertEqual(("application/json", "Bearer $TOKEN"), (headers["content-type"], headers["authorization"]))
            self.assertIsInstance(json.loads(words[words.index("-d") + 1]), dict)
            keys.add(headers["idempotency-key"])
        self.assertEqual(3, len(keys), "a key that is used twice would be refused")

    def test_the_token_is_of_the_stack_that_is_up(self) -> None:
        self.assertEqual("TOKEN=$(make token TENANT=acme)", hints.curls("run")[0].split("  #")[0])
        self.assertEqual("TOKEN=$(make token TENANT=acme NAME=mine)", hints.curls("mine")[0].split("  #")[0])

    def test_a_stack_with_a_name_of_its_own_is_called_by_it(self) -> None:
        run, mine = ([line for line in hints.verbs(name) if line.startswith("make")] for name in ("run", "mine"))
        self.assertEqual(["make status", "make drill", "make down"], run)
        self.assertEqual(["make status NAME=mine", "make drill NAME=mine", "make down NAME=mine"], mine)

    def test_the_command_line_finds_the_binary_and_the_stack(self) -> None:
        self.assertIn('eval "$(make env NAME=mine)"', [line.split("  #")[0] for line in hints.verbs("mine")])
        shown = "echo $PATH; echo $TOWPATH_STACK_FILE; declare -f aws"
        lines = [*hints.environment("mine", "http://127.0.0.1:1", "eu-west-1", Path("/x/a b/towpath")), shown]
        done = subprocess.run(["bash", "-euc", "\n".join(lines)], capture_output=True, text=True, check=True)
        path, file, *function = done.stdout.splitlines()
        self.assertTrue(path.startswith("/x/a b:"))
        self.assertTrue(file.endswith("/.local/mine/stack.json"))
        self.assertIn("--endpoint-url http://127.0.0.1:1", " ".join(function), "it would ask AWS")

    def test_a_stack_on_aws_takes_the_credentials_that_the_shell_has(self) -> None:
        lines = [*hints.environment("mine", None, "eu-west-1", Path("/x/towpath")), "env; declare -F"]
        mine = {"PATH": "/usr/bin:/bin", "AWS_ACCESS_KEY_ID": "mine", "AWS_SECRET_ACCESS_KEY": "mine"}
        done = subprocess.run(["bash", "-euc", "\n".join(lines)], capture_output=True, text=True, check=True, env=mine)
        said = {line for line in done.stdout.splitlines() if line.startswith(("AWS_", "declare"))}
        self.assertEqual({"AWS_ACCESS_KEY_ID=mine", "AWS_SECRET_ACCESS_KEY=mine", "AWS_DEFAULT_REGION=eu-west-1"}, said)


if __name__ == "__main__":
    unittest.main()
