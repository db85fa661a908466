"""Shows that what a person is told to type is what a shell takes, and names the right stack.

Must not need a stack. Run: python -m unittest tests/local/test_hints.py
"""
from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import hints  # noqa: E402

LOCAL = {"endpoint": "http://127.0.0.1:1", "region": "eu-west-1"}


class TheHints(unittest.TestCase):
    def test_each_curl_is_a_command_that_the_api_takes(self) -> None:
        for file in (hints.TRY, hints.TRY.parents[1] / "cli/template/docs/try.sh"):
            curls = [shlex.split(line) for line in hints.commands(file.read_text()) if line.startswith("curl")]
            keys = []
            for words in curls:
                headers = dict(words[at + 1].split(": ") for at, word in enumerate(words) if word == "-H")
                self.assertEqual("Bearer $TOKEN", headers["authorization"])
                if "-d" in words:
                    self.assertEqual("application/json", headers["content-type"])
                    self.assertIsInstance(json.loads(words[words.index("-d") + 1]), dict)
                    keys.append(headers["idempotency-key"])
            self.assertGreater(len(keys), 1, file)
            self.assertEqual(len(set(keys)), len(keys), "a key that is used twice would be refused")

    def test_a_stack_with_a_name_of_its_own_is_called_by_it(self) -> None:
        run, mine = ([line.split("  #")[0] for line in hints.next_lines(name, ["drill", "down"], "# y\nx\n")] for name in ("run", "mine"))
        self.assertEqual(["TOKEN=$(make token TENANT=acme)", "x", 'eval "$(make env)"', "make drill", "make down"], run)
        self.assertEqual(["TOKEN=$(make token TENANT=acme NAME=mine)", "x", 'eval "$(make env NAME=mine)"', "make drill NAME=mine",
                          "make down NAME=mine"], mine)

    def test_the_command_line_finds_the_binary_and_the_stack(self) -> None:
        shown = "echo $PATH; echo $TOWPATH_STACK_FILE; declare -f aws"
        lines = [*hints.environment(LOCAL, Path("/x/.local/a b/stack.json"), Path("/x/a b/towpath")), shown]
        done = subprocess.run(["bash", "-euc", "\n".join(lines)], capture_output=True, text=True, check=True)
        path, file, *function = done.stdout.splitlines()
        self.assertTrue(path.startswith("/x/a b:"))
        self.assertEqual("/x/.local/a b/stack.json", file)
        self.assertIn("--endpoint-url http://127.0.0.1:1", " ".join(function), "it would ask AWS")

    def test_a_stack_on_aws_takes_the_credentials_that_the_shell_has(self) -> None:
        lines = [*hints.environment(LOCAL | {"endpoint": None}, Path("/x/stack.json"), None), "env; declare -F"]
        mine = {"PATH": "/usr/bin:/bin", "AWS_ACCESS_KEY_ID": "mine", "AWS_SECRET_ACCESS_KEY": "mine"}
        done = subprocess.run(["bash", "-euc", "\n".join(lines)], capture_output=True, text=True, check=True, env=mine)
        said = {line for line in done.stdout.splitlines() if line.startswith(("PATH", "AWS_", "declare"))}
        self.assertEqual({*(f"{key}={value}" for key, value in mine.items()), "AWS_DEFAULT_REGION=eu-west-1"}, said)

    def test_a_product_takes_the_binary_of_the_clone_that_it_depends_on(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            product, built = Path(folder) / "tickets", Path(folder).resolve() / "clone/target/a-target/release/towpath"
            for place in (product, built.parent, Path(folder) / "clone/shared/towpath"):
                place.mkdir(parents=True)
            manifest = product / "Cargo.toml"
            manifest.write_text('[workspace.dependencies]\ntowpath = { path = "../clone/shared/towpath" }\n')
            self.assertIsNone(hints.newest_cli(product))
            built.touch()
            self.assertEqual(built, hints.newest_cli(product))
            manifest.write_text('[workspace.dependencies]\ntowpath = { git = "https://example.com/towpath", tag = "v1" }\n')
            self.assertIsNone(hints.newest_cli(product))
            own = product / "target/release/towpath"
            own.parent.mkdir(parents=True)
            own.touch()
            os.utime(built, (1, 1))
            self.assertEqual(own, hints.newest_cli(product))


if __name__ == "__main__":
    unittest.main()
