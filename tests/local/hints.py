"""Says what a person can type at a stack that is up: a token, the product's commands by curl, what make can do, the way down.

The product's commands are the lines of docs/try.sh. Must not send anything, nor know what the lines mean.
Run: python tests/local/hints.py --name run status down
"""
from __future__ import annotations

import argparse
import json
import shlex
import sys
import tomllib
from pathlib import Path
from typing import Any

from stack import ROOT, Instance, plain_name

TRY = ROOT / "docs/try.sh"
TENANT = "acme"
RULES = ("A command needs content-type: application/json, a body (at least {}) and an idempotency-key. Once it is accepted, "
         "the key stands for it: method, path and body. The same again gets the same answer, another one under that key 422.")


def commands(text: str) -> list[str]:
    """The lines of docs/try.sh that are to be typed."""
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def next_lines(name: str, verbs: list[str], text: str) -> list[str]:
    """What can be typed now at this stack, the lines of this text among it; stack.py has said what API is."""
    suffix = "" if name == "run" else f" NAME={name}"
    return [f"TOKEN=$(make token TENANT={TENANT}{suffix})  # for an hour", *commands(text),
            f'eval "$(make env{suffix})"  # then: towpath dlq list', *(f"make {verb}{suffix}" for verb in verbs)]


def show(lines: list[str]) -> None:
    """Prints the lines as they are to be typed, and the rules that they keep."""
    heading = "\033[1mWhat to type next\033[0m" if sys.stdout.isatty() else "What to type next"
    print("\n  ".join([f"\n{heading}", *lines]), RULES, sep="\n")


def environment(stack: dict[str, Any], file: Path, cli: Path | None) -> list[str]:
    """What makes `towpath` and `aws` of a shell mean this stack. Without an end point it is AWS's, for which the shell has credentials."""
    lines = [f"export TOWPATH_STACK_FILE={shlex.quote(str(file))} AWS_DEFAULT_REGION={stack['region']}"]
    if cli:
        lines.append(f"export PATH={shlex.quote(str(cli.parent))}:$PATH")
    endpoint = stack["endpoint"]
    if not endpoint:
        return lines
    return [*lines, f"export AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test AWS_ENDPOINT_URL={endpoint}",
            # Version 1 of aws asks SQS of AWS whatever AWS_ENDPOINT_URL says.
            f'aws() {{ command aws --endpoint-url {endpoint} "$@"; }}']


def newest_cli(root: Path = ROOT) -> Path | None:
    """The towpath binary that was built last, here or in the clone of Towpath on which this workspace depends."""
    crate = tomllib.loads((root / "Cargo.toml").read_text())["workspace"]["dependencies"]["towpath"]
    clone = (root / crate.get("path", "shared/towpath")).resolve().parents[1]
    built = [path for place in (root, clone) for kind in ("", "*/") for path in place.glob(f"target/{kind}release/towpath")]
    return max(built, key=lambda path: path.stat().st_mtime, default=None)


def main() -> int:
    parser = argparse.ArgumentParser(description="Say what can be typed at a stack that is up.")
    parser.add_argument("--name", type=plain_name, default="run", help="folder under .local (default: run)")
    parser.add_argument("--env", action="store_true", help="print only what a shell evaluates to reach the stack")
    parser.add_argument("verbs", nargs="*", help="what else make can do with the stack")
    options = parser.parse_args()
    file = Instance(options.name).stack_file
    if not file.exists():
        print(f"error: no stack named {options.name} is up. Bring one up first: make up NAME={options.name}", file=sys.stderr)
        return 2
    if options.env:
        cli = newest_cli()
        if not cli:
            print("no towpath is built here, nor in a clone that this depends on: PATH stays as it is", file=sys.stderr)
        print("\n".join(environment(json.loads(file.read_text()), file, cli)))
    else:
        show(next_lines(options.name, options.verbs, TRY.read_text()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
