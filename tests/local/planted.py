"""Shows that the check of `make run` can fail: with the cursor rule taken out of one function, the run must end with 1.

Builds that function with the known bug, puts it into a copy of the built stack, and runs traffic against it on an
emulator of its own. Must not know what the check compares, only which of its lines has to complain.
"""
from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NAME = "planted"
BUG = "cursor-rule-removed"
BUILT = ROOT / ".aws-sam/build"
FOLDER = ROOT / ".local/planted-build"
COMPLAINT = "✗  each order is reserved once per line, or rejected once"
BUILD = ["cargo", "build", "--release", "--workspace", "--bins", "--quiet"]
BOOTSTRAP = f"""#!/bin/sh
# This function has a known bug: see tests/local/planted.py.
TOWPATH_PLANTED={BUG} exec "$(dirname "$0")/inventory"
"""


def main() -> int:
    parser = argparse.ArgumentParser(description="show that the check of `make run` can fail")
    parser.add_argument("--features", default="towpath-aws/planted", help="cargo features that make the bugs available")
    features = parser.parse_args().features
    release = ROOT / "target" / os.environ.get("CARGO_BUILD_TARGET", "") / "release"
    plant(release / "inventory", features)
    try:
        local("stack.py", "up", "--name", NAME, "--stage", NAME, "--port", "0", "--build-dir", str(FOLDER), check=True)
        run = local("traffic.py", "--name", NAME, "--orders", "60", "--rest", "40", "--cli", str(release / "towpath"))
    finally:
        local("stack.py", "down", "--name", NAME, check=True)
        shutil.rmtree(FOLDER, ignore_errors=True)
    if run.returncode != 1 or COMPLAINT not in run.stdout:
        print(run.stdout, run.stderr, f"\nThe bug {BUG} was not seen: exit code {run.returncode}, and no line «{COMPLAINT}».", sep="")
        return 1
    line = next(line for line in run.stdout.splitlines() if COMPLAINT in line)
    print(f"The check sees a build without the cursor rule, and the run ends with 1:\n  {line.strip()}")
    return 0


def plant(binary: Path, features: str) -> None:
    """A copy of the built stack in which `inventory` has the bug; the builds in target/ are put back as they were."""
    if not (BUILT / "template.yaml").exists():
        sys.exit(f"{BUILT} holds no built stack. Build first: make build")
    shutil.rmtree(FOLDER, ignore_errors=True)
    shutil.copytree(BUILT, FOLDER)
    folder = FOLDER / "InventoryFunction"
    subprocess.run([*BUILD, "--features", features], cwd=ROOT, check=True)
    shutil.copy(binary, folder / "inventory")
    subprocess.run(BUILD, cwd=ROOT, check=True)
    bootstrap = folder / "bootstrap"
    bootstrap.unlink()
    bootstrap.write_text(BOOTSTRAP)
    bootstrap.chmod(0o755)


def local(script: str, *arguments: str, check: bool = False) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "tests/local" / script), *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if check and done.returncode:
        sys.exit(f"{script} failed:\n{done.stdout}{done.stderr}")
    return done


if __name__ == "__main__":
    sys.exit(main())
