"""Prints what samconfig.toml says of a stage as NAME=VALUE words, for `make deploy`: parameters that are given to `sam deploy` replace
those of the file, so the two are put together before. Must not know what a parameter means. Run: python tests/local/stages.py prod
"""
from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def stages(text: str) -> dict[str, list[str]]:
    """The parameters of each stage."""
    sections = tomllib.loads(text)
    found = {name: body.get("deploy", {}).get("parameters", {}).get("parameter_overrides")
             for name, body in sections.items() if isinstance(body, dict)}
    return {name: given for name, given in found.items() if given is not None}


def main() -> int:
    known = stages((ROOT / "samconfig.toml").read_text())
    if len(sys.argv) != 2 or sys.argv[1] not in known:
        print(f"error: samconfig.toml has no such stage; it has {', '.join(known)}. Add a section, or give STAGE=…", file=sys.stderr)
        return 2
    wrong = [given for given in known[sys.argv[1]] if not re.fullmatch(r"[A-Za-z0-9]+=[A-Za-z0-9@:/._,=-]*", given)]
    if wrong:
        print(f"error: samconfig.toml: a shell would not take {wrong} for one word: give it by PARAMETERS", file=sys.stderr)
        return 2
    print(" ".join(known[sys.argv[1]]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
