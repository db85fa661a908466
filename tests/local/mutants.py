"""Changes the rules in every small way, one at a time, and counts which changes the tests see.

Each change is first met by the unit and property tests beside the code, which take seconds; what they let pass is met by
the crash sweep and some seeds of the simulator. Must not know the rules: cargo-mutants makes the changes.
"""
from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
OUT = ROOT / ".local/mutants"
TOOL = ROOT / ".venv/mutants/bin/cargo-mutants"
CORE = "shared/towpath/src"
RULES = ["cursor", "batch", "journal", "commit", "group", "relay", "audit", "command", "signal", "start"]
# They have no tests beside them: they are what the simulator is for.
MACHINES = ["apply", "delivery", "wake", "wake/blocked", "wake/older", "replay"]
EXPRESSIONS = "shared/towpath-aws/src/commit.rs"
BESIDE = ["--cargo-arg=--lib"]
SIMULATED = ["--test-package=sim", "--cargo-arg=--test=proof", "--baseline=skip", "--timeout=120"]
# As many as find what all of them would; a seed is 20 ms.
FEW = {"TOWPATH_SEEDS": "300", "TOWPATH_PAIRS": "640"}
LEAST_PERCENT = 90


@dataclass
class Tested:
    caught: int = 0
    missed: list[str] = field(default_factory=list)


def main() -> int:
    parser = argparse.ArgumentParser(description="change the rules in every small way, and count which changes are seen")
    parser.add_argument("--shard", default="0/1", help="only a part of the changes: 3/30")
    shard = ["--sharding=round-robin", f"--shard={parser.parse_args().shard}"]
    unchanged()
    rules = tested("rules", [*files(RULES), "--test-package=towpath", *BESIDE, *shard])
    if rules.missed:
        survivors = [f"--re=^{re.escape(change)}$" for change in rules.missed]
        simulated = tested("survivors", [*files(RULES), *SIMULATED, *survivors])
        # A pattern may let others in.
        missed = [change for change in rules.missed if change in simulated.missed]
        rules = Tested(rules.caught + len(rules.missed) - len(missed), missed)
    machines = tested("machines", [*files(MACHINES), *SIMULATED, *shard])
    expressions = tested("expressions", [f"--file={EXPRESSIONS}", "--test-package=towpath-aws", *BESIDE, *shard])
    print(f"   {'':<28} {'caught':>8} {'missed':>8} {'rate':>7}")
    enough = [
        shown("the core's rules", rules),
        shown("the core's machines", machines),
        shown("the condition expressions", expressions),
    ]
    return 0 if all(enough) else 1


def unchanged() -> None:
    """cargo-mutants tries the tests first of the crate that it changes only: those of another crate must be seen to pass, too."""
    tests = [argument.removeprefix("--cargo-arg=") for argument in SIMULATED if argument.startswith("--cargo-arg=")]
    subprocess.run(["cargo", "test", "--release", "--package=sim", *tests], cwd=ROOT, env={**os.environ, **FEW}, check=True)


def files(rules: list[str]) -> list[str]:
    return [f"--file={CORE}/{rule}.rs" for rule in rules]


def tested(name: str, arguments: list[str]) -> Tested:
    """Runs cargo-mutants; 2 and 3 say that a change was not seen, or that one did not end."""
    (OUT / name).mkdir(parents=True, exist_ok=True)
    command: list[str | Path] = [TOOL, "mutants", f"--dir={ROOT}", f"--output={OUT / name}", "--no-shuffle", "--colors=never", *arguments]
    code = subprocess.run(command, env={**os.environ, **FEW}, check=False).returncode
    if code not in (0, 2, 3):
        sys.exit(f"cargo-mutants ended with {code}: see {OUT / name}/mutants.out")
    outcomes = json.loads((OUT / name / "mutants.out/outcomes.json").read_text())
    missed = (OUT / name / "mutants.out/missed.txt").read_text().splitlines()
    return Tested(outcomes["caught"] + outcomes["timeout"], missed)


def shown(what: str, of: Tested) -> bool:
    for change in of.missed:
        print(f"      missed: {change}")
    viable = of.caught + len(of.missed)
    rate = 100 * of.caught / viable if viable else 0.0
    print(f"{'✓' if rate >= LEAST_PERCENT else '✗'}  {what:<28} {of.caught:>8} {len(of.missed):>8} {rate:>6.1f}%")
    return rate >= LEAST_PERCENT


if __name__ == "__main__":
    sys.exit(main())
