"""Does what README.md says to an adopter, literally, in copies under .local/adopt, and drives what comes of it.

First it adds the README's consumer and event to a copy of this repository; then it starts the README's own product from
that copy. Each is built, deployed to an emulator of its own, sent requests, watched until the events have arrived, and
taken down again. Must not know anything of a consumer that the README does not say. Run: make adopt
"""
from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, Callable, Iterator

import boto3
from boto3.dynamodb.conditions import Key

import readme

ROOT = Path(__file__).resolve().parents[2]
PLACE = ROOT / ".local" / "adopt"
COPY = PLACE / "clone"
MOST_RUST, MOST_YAML = 60, 40
SECONDS = 60.0
TENANTS = ("acme", "globex")
# Features that cargo unites in this repository, because its command line and its model ask for them, and not in the product
# that is started from the copy: without them it would compile the SDKs and the schema crates once more, for minutes.
UNITED = """
aws-runtime = { version = "*", features = ["event-stream"] }
aws-smithy-http = { version = "*", features = ["event-stream"] }
getrandom-of-schemas = { package = "getrandom", version = "0.3", features = ["std"] }
"""
# Compiled dependencies come from this repository's target folder; what is built from the copies stays in the copies.
ENVIRONMENT = {key: value for key, value in os.environ.items() if not key.startswith(("MAKE", "MFLAGS", "CARGO_BUILD"))} | {
    "CARGO_BUILD_BUILD_DIR": str(ROOT / "target")}


def main() -> int:
    need_tools()
    shutil.rmtree(PLACE, ignore_errors=True)
    begun = time.monotonic()
    try:
        copy_repository()
        add_a_consumer()
        start_your_own()
    except (AssertionError, subprocess.CalledProcessError) as failure:
        print(f"FAILED: {failure}", file=sys.stderr)
        return 1
    finally:
        shutil.rmtree(PLACE, ignore_errors=True)
    print(f"adopt: ok, README.md can be followed literally ({time.monotonic() - begun:.0f} s)")
    return 0


def need_tools() -> None:
    """The copies link to this repository's tools; stale ones would be made anew through the link."""
    for name in ("tools", "emulator"):
        made, wanted = ROOT / f".venv/{name}/made", ROOT / f"tests/local/requirements-{name}.txt"
        if not made.exists() or made.stat().st_mtime < wanted.stat().st_mtime:
            sys.exit("error: the tools are missing or old. Make them: make venvs")


def copy_repository() -> None:
    """Every file that git does not ignore. A version of its own makes cargo take the copy's crates for other ones than
    this repository's, which are built in the same folder under a name made of place in the workspace and version."""
    asked = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(asked, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split("\0")
    for path in filter(lambda path: path and (ROOT / path).exists(), listed):
        (COPY / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / path, COPY / path)
    manifest = COPY / "Cargo.toml"
    text, changed = re.subn(r'(?m)^(\[workspace\.package\]\nversion = )".*"$', r'\1"0.0.1"', manifest.read_text())
    assert changed == 1, "Cargo.toml has no [workspace.package] that begins with its version"
    manifest.write_text(text)
    library = COPY / "shared/towpath-aws/Cargo.toml"
    library.write_text(library.read_text().replace("\n[dependencies]\n", f"\n[dependencies]{UNITED}", 1))
    link_tools(COPY)


def link_tools(folder: Path) -> None:
    (folder / ".venv").symlink_to(ROOT / ".venv")
    for name in ("tools", "emulator"):
        file = f"tests/local/requirements-{name}.txt"
        assert (folder / file).read_bytes() == (ROOT / file).read_bytes(), f"{file} is not what this repository has"
        shutil.copystat(ROOT / file, folder / file)


# --- the two chapters


def add_a_consumer() -> None:
    consumer = readme.section(COPY / "README.md", "Add a consumer")
    event = readme.section(COPY / "README.md", "Add an event")
    rust = sum(block.lines for block in consumer if block.language == "rust")
    yaml = sum(block.lines for block in consumer if block.language == "yaml")
    print(f"add a consumer: {rust} lines of Rust (at most {MOST_RUST}), {yaml} of YAML (at most {MOST_YAML})")
    assert 0 < rust <= MOST_RUST and 0 < yaml <= MOST_YAML, "the consumer is not as small as promised"
    assert all(path == "template.yaml" or in_domain(path) for path in readme.follow(consumer, COPY)), \
        "a consumer changes more than the template and the domain"
    assert all(map(in_domain, readme.follow(event, COPY))), "an event changes more than the domain"
    shell("cargo fmt --check --package shortages --package commerce", COPY)
    with up("make up NAME=adopt", COPY, "adopt") as (stack, _):
        answers = {tenant: order_too_much(stack, tenant) for tenant in TENANTS}
        for tenant, orders in answers.items():
            wait(f"the shortages of {tenant}", lambda: view(stack, f"{tenant}#~shortages#tea") == orders)
        line = consumer_line(stack, "shortages", committed=sum(map(len, answers.values())))
    print(f"add a consumer: ok, shortages applied {line['applied']} of {line['committed']} events of {len(TENANTS)} tenants")


def in_domain(path: str) -> bool:
    return path.startswith("shared/commerce/")


def order_too_much(stack: dict[str, Any], tenant: str) -> dict[str, int]:
    """Places one order that the stock covers and two that it does not. Gives what the view must say of those."""
    call(stack, tenant, "/stock/tea/receipts", {"quantity": 3}, 201)
    short: dict[str, int] = {}
    for wanted, missing in ((2, 0), (7, 6), (4, 3)):
        line = {"sku": "tea", "quantity": wanted, "unit_price_cents": 450}
        order = call(stack, tenant, "/orders", {"customer_id": "c-1", "lines": [line]}, 201)["order_id"]
        # One after the other: orders are of different aggregates, so nothing else keeps them in this order.
        wait(f"the stock's word on an order of {wanted}", lambda: decided(stack, f"{tenant}#stock#tea", order))
        short |= {order: missing} if missing else {}
    return short


def start_your_own() -> None:
    new = PLACE / "tickets"
    begin, drive = [block.text.splitlines() for block in readme.section(COPY / "README.md", "Start your own")]
    assert begin[0].endswith("DIR=../tickets") and begin[1] == "cd ../tickets", f"not what this test can follow: {begin}"
    shell(begin[0], COPY)
    link_tools(new)
    shell("cargo fmt --all --check", new)
    yours = ["Cargo.toml", "Makefile", "README.md", "template.yaml", "samconfig.toml", "shared", "functions", "infra",
             "docs/try.sh", "tests/local/hints.py"]
    found = subprocess.run(["grep", "-rniE", "commerce|inventory|stock|order", *yours], cwd=new, capture_output=True, text=True, check=False)
    assert found.returncode == 1, f"the new repository has something of the shop:\n{found.stdout}{found.stderr}"
    with up(begin[2], new, "run", down=drive[1]) as (stack, said):
        answer = shell(f"API='{stack['outputs']['ApiUrl']}'; {drive[0]}", new)
        tickets = {("acme", json.loads(answer)["ticket_id"]): "It rains in"}
        api, token, first, reach = hints(said)
        tickets["acme", json.loads(shell("\n".join([api, token, first]), new))["ticket_id"]] = "It pours in"
        for tenant in TENANTS:
            ticket = call(stack, tenant, "/tickets", {"subject": f"help {tenant}"}, 201)["ticket_id"]
            tickets[tenant, ticket] = f"help {tenant}"
        for tenant, ticket in tickets:
            call(stack, tenant, f"/tickets/{ticket}/close", {"answer": "mended"}, 200)
            call(stack, tenant, f"/tickets/{ticket}/close", {"answer": "mended"}, 409)
        for (tenant, ticket), subject in tickets.items():
            closed = {"subject": subject, "status": "closed", "answer": "mended", "version": 2}
            wait(f"the closed ticket of {tenant}", lambda: closed.items() <= get(stack, tenant, f"/tickets/{ticket}").items())
        line = consumer_line(stack, "ticket-board", committed=2 * len(tickets))
        report = json.loads(shell(f"{reach}\ntowpath status --json", new))
        known = [each["consumer"] for each in report["consumers"]]
        assert known == ["ticket-board"], f"`make env` does not lead to the stack: {report}"
    shell("make test", new)
    print(f"start your own: ok, its consumer is proved, ticket-board applied {line['applied']} of {line['committed']} events")


def hints(said: str) -> list[str]:
    """Of what `make up` says: the API, a token, the first command, what lets a shell reach the stack."""
    lines = [line.strip() for line in said.splitlines()]
    return [next(line for line in lines if line.startswith(begin)) for begin in ("API=", "TOKEN=", "curl ", "eval ")]


# --- a stack


@contextmanager
def up(command: str, folder: Path, name: str, down: str = "") -> Iterator[tuple[dict[str, Any], str]]:
    """A stack brought up by a command of the README, with what that said, and taken down whatever happens."""
    try:
        said = shell(command, folder)
        yield json.loads((folder / f".local/{name}/stack.json").read_text()), said
    finally:
        shell(down or f"make down NAME={name}", folder)


def shell(command: str, folder: Path) -> str:
    """Runs a line as a person would type it; what it prints is shown only when it fails."""
    print(f"  {folder.relative_to(PLACE)} $ {command}", end="", flush=True)
    begun = time.monotonic()
    done = subprocess.run(["bash", "-euo", "pipefail", "-c", command], cwd=folder, env=ENVIRONMENT, check=False,
                          capture_output=True, text=True)
    compiled = re.findall(r"(?m)^ +Compiling (\S+)", done.stderr)
    print(f"  ({time.monotonic() - begun:.0f} s{', compiled ' + ' '.join(compiled) if compiled else ''})", flush=True)
    assert done.returncode == 0, f"`{command}` ended with {done.returncode}:\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
    return done.stdout


def call(stack: dict[str, Any], tenant: str, path: str, body: dict[str, Any], status: int) -> dict[str, Any]:
    """Sends one command with a key of its own, and wants this status."""
    headers = {"idempotency-key": os.urandom(8).hex(), "content-type": "application/json"}
    got, answer = request(stack, tenant, path, json.dumps(body).encode(), headers)
    assert got == status, f"POST {path} of {tenant} answered {got}, not {status}: {answer}"
    return answer


def get(stack: dict[str, Any], tenant: str, path: str) -> dict[str, Any]:
    return request(stack, tenant, path, None, {})[1]


def request(stack: dict[str, Any], tenant: str, path: str, body: bytes | None, headers: dict[str, str]) -> tuple[int, dict[str, Any]]:
    token = {"authorization": f"Bearer {token_of(stack['issuer'], tenant)}"}
    asked = urllib.request.Request(stack["outputs"]["ApiUrl"] + path, body, headers | token)
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(asked, timeout=30) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


@lru_cache(maxsize=None)
def token_of(issuer: str, tenant: str) -> str:
    asked = urllib.request.Request(f"{issuer}/token", json.dumps({"tenant": tenant}).encode())
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(asked, timeout=30) as answer:
        return str(json.load(answer)["access_token"])


def view(stack: dict[str, Any], key: str) -> dict[str, int]:
    """What is missing for each order, as the new consumer's rows say."""
    rows = query(stack, "ViewsTable", Key("view").eq(key))
    return {row["row"]: json.loads(row["state"])["missing"] for row in rows}


def decided(stack: dict[str, Any], aggregate: str, order: str) -> bool:
    return any(order in row["data"] for row in query(stack, "OutboxTable", Key("aggregate").eq(aggregate)))


def query(stack: dict[str, Any], table: str, condition: Any) -> list[dict[str, Any]]:
    resource = boto3.resource("dynamodb", endpoint_url=stack["endpoint"], region_name=stack["region"],
                              aws_access_key_id="test", aws_secret_access_key="test")
    rows = resource.Table(stack["outputs"][table]).query(KeyConditionExpression=condition, ConsistentRead=True)["Items"]
    return list(rows)


def consumer_line(stack: dict[str, Any], consumer: str, committed: int) -> dict[str, Any]:
    """The consumer's line of `towpath status`, once it has applied what was committed."""
    host = next(line[6:] for line in subprocess.run(["rustc", "-vV"], capture_output=True, text=True, check=True).stdout.splitlines()
                if line.startswith("host: "))
    file = PLACE / "stack.json"
    file.write_text(json.dumps(stack))
    asked: list[str | Path] = [COPY / f"target/{host}/release/towpath", "status", "--json", "--stack-file", file]
    line: dict[str, Any] = {}

    def applied() -> bool:
        report = json.loads(subprocess.run(asked, capture_output=True, text=True, check=True).stdout)
        line.update(*[each for each in report["consumers"] if each["consumer"] == consumer])
        return (line.get("committed"), line.get("applied"), report["unaccounted"]) == (committed, committed, 0)

    wait(f"{committed} events committed and applied in `towpath status` for {consumer}", applied)
    return line


def wait(what: str, done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not done():
        assert time.monotonic() < deadline, f"after {SECONDS:.0f} s there is still not: {what}"
        time.sleep(0.1)


if __name__ == "__main__":
    sys.exit(main())
