"""Brings a stack up on this machine, and takes it down: the emulator's process, `sam deploy`, `.local/<name>/stack.json`.

Any number of stacks can be up at once: each has its name, its own emulator, port and process group.
Must not know what the pipeline does, nor any function's name. Speaks to local end points only, with made-up credentials.
"""
from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable
from urllib.parse import urlsplit

import boto3

ROOT = Path(__file__).resolve().parents[2]
SAM = ROOT / ".venv/tools/bin/sam"
EMULATOR = ROOT / ".venv/emulator/bin/ministack"
BUILD = ROOT / ".aws-sam/build"
ISSUER = ROOT / "tests/local/issuer.py"
PROVIDER = ROOT / "tests/local/provider.py"
HOST = "127.0.0.1"
REGION = "us-east-1"
START_SECONDS = 20.0
STOP_SECONDS = 8.0
PORT_TRIES = 5


class Trouble(Exception):
    """Something that a person has to put right; the text says what to do."""


@dataclass(frozen=True)
class Instance:
    """One named local stack, and the files that are kept about it."""

    name: str

    @property
    def folder(self) -> Path:
        return ROOT / ".local" / self.name

    @property
    def stack_file(self) -> Path:
        return self.folder / "stack.json"

    @property
    def process_file(self) -> Path:
        return self.folder / "emulator.json"

    @property
    def log_file(self) -> Path:
        return self.folder / "emulator.log"

    @property
    def deploy_log(self) -> Path:
        return self.folder / "deploy.log"

    @property
    def scratch(self) -> Path:
        """Where the emulator unpacks functions: a process that runs from here is one of its own."""
        return self.folder / "tmp"


def main() -> int:
    options = arguments()
    instance = Instance(options.name)
    try:
        return int(options.run(instance, options) or 0)
    except Trouble as trouble:
        print(f"error: {trouble}", file=sys.stderr)
        return 2


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    verbs = parser.add_subparsers(required=True, metavar="up|emulator|deploy|down")
    up_verb = add_verb(verbs, "up", up, "start an emulator and deploy the stack onto it")
    bare_verb = add_verb(verbs, "emulator", bare, "start an emulator with nothing on it, and print its end point")
    for verb in (up_verb, bare_verb):
        verb.add_argument("--port", type=int, default=0, help="0 takes a free one (default)")
    up_verb.add_argument("--through", default="", help="what the functions take for AWS, if not the emulator itself")
    up_verb.add_argument("--without-provider", action="store_true", help="no provider of mails: notify-customer does not run")
    deploy_verb = add_verb(verbs, "deploy", deploy_onto, "deploy the stack onto an end point that is already there")
    deploy_verb.add_argument("--endpoint", required=True, help="such as http://127.0.0.1:4566")
    add_verb(verbs, "down", down, "stop the emulator and everything it started")
    for verb in (up_verb, deploy_verb):
        verb.add_argument("--project", type=plain_name, default="towpath", help="the stack is named <project>-<stage>")
        verb.add_argument("--stage", default="dev")
        verb.add_argument("--parameter", action="append", default=[], metavar="NAME=VALUE", help="of the template; more than one may be given")
        verb.add_argument("--build-dir", type=Path, default=BUILD, help="what `sam build` made")
    return parser.parse_args()


def add_verb(verbs: Any, name: str, run: Callable[..., Any], text: str) -> argparse.ArgumentParser:
    verb: argparse.ArgumentParser = verbs.add_parser(name, help=text)
    verb.add_argument("--name", type=plain_name, default="run", help="which local stack (default: run)")
    verb.set_defaults(run=run)
    return verb


def plain_name(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_-]+", text):
        raise argparse.ArgumentTypeError("use letters, digits, dash and underscore")
    return text


def up(instance: Instance, options: argparse.Namespace) -> None:
    need_build(options.build_dir)
    refuse_second(instance)
    endpoint = start(instance, options.port, options.through)
    try:
        # A repository that `make new` wrote has no provider to start: nothing in it calls one.
        calls = PROVIDER.exists() and not options.without_provider
        deploy(instance, endpoint, options, beside(instance, "provider", PROVIDER)["url"] if calls else "")
    except BaseException:
        stop(instance)
        raise


def bare(instance: Instance, options: argparse.Namespace) -> None:
    refuse_second(instance)
    print(start(instance, options.port, through=""))


def refuse_second(instance: Instance) -> None:
    if living(instance):
        raise Trouble(f"a stack named {instance.name} is up already. Take it down first: make down NAME={instance.name}")


def deploy_onto(instance: Instance, options: argparse.Namespace) -> None:
    need_build(options.build_dir)
    endpoint = options.endpoint.rstrip("/")
    if urlsplit(endpoint).hostname not in (HOST, "localhost", "::1"):
        raise Trouble(f"{endpoint} is not on this machine. For AWS use `make deploy`, which takes your own credentials")
    if not answers(endpoint):
        raise Trouble(f"nothing answers at {endpoint}. Start the emulator, or leave ENDPOINT out to have one started")
    instance.folder.mkdir(parents=True, exist_ok=True)
    deploy(instance, endpoint, options)


def down(instance: Instance, _options: argparse.Namespace) -> None:
    known = json.loads(instance.process_file.read_text()) if instance.process_file.exists() else {}
    foreign = instance.stack_file.exists() and "pid" not in known
    if stop(instance):
        print(f"{instance.name}: down, no process left" + ("; its emulator was not started here and goes on." if foreign else "."))
    else:
        print(f"{instance.name}: " + ("was not running." if known else "nothing was up."))
    instance.stack_file.unlink(missing_ok=True)


# --- the emulator's process


def start(instance: Instance, port: int, through: str) -> str:
    """Starts an emulator in a process group of its own, and waits until it answers. Returns its end point."""
    if not EMULATOR.exists():
        raise Trouble(f"{EMULATOR.relative_to(ROOT)} is missing. Make it: make venvs")
    if port and in_use(port):
        raise Trouble(f"port {port} is taken. Choose another one with PORT=…, or use what is there with ENDPOINT=http://{HOST}:{port}")
    shutil.rmtree(instance.folder, ignore_errors=True)
    instance.scratch.mkdir(parents=True)
    for _ in range(1 if port else PORT_TRIES):  # somebody else may take a free port before the emulator does
        endpoint = f"http://{HOST}:{port or free_port()}"
        process = spawn(instance, endpoint, through)
        if wait_until(lambda: answers(endpoint) or process.poll() is not None, START_SECONDS) and process.poll() is None:
            return endpoint
        stop(instance)
    raise Trouble(f"the emulator did not start. Its own words are in {instance.log_file.relative_to(ROOT)}")


def spawn(instance: Instance, endpoint: str, through: str) -> subprocess.Popen[bytes]:
    environment = local_environment(through or endpoint) | {  # the emulator hands its own setting on to the functions
        "GATEWAY_PORT": str(urlsplit(endpoint).port),
        "BIND_HOST": HOST,  # without it the emulator listens to the whole network
        "TMPDIR": str(instance.scratch),
        "LOG_LEVEL": "WARNING",
    }
    with instance.log_file.open("ab") as log:
        process = subprocess.Popen([EMULATOR], cwd=instance.scratch, env=environment, stdin=subprocess.DEVNULL,
                                   stdout=log, stderr=subprocess.STDOUT, start_new_session=True)
    known = {"pid": process.pid, "born": born(process.pid), "endpoint": endpoint}
    instance.process_file.write_text(json.dumps(known) + "\n")
    return process


def beside(instance: Instance, what: str, script: Path) -> dict[str, str]:
    """Starts the issuer of tokens, or the provider of mails and payments, in a process group of its own that ends with the
    emulator. Returns what it says about itself."""
    known = json.loads(instance.process_file.read_text()) if instance.process_file.exists() else {}
    earlier = known.get(what)
    if earlier and born(earlier["pid"]) == earlier["born"]:
        end(earlier["pid"], signal.SIGTERM)  # of an earlier deployment under this name
    said = instance.folder / f"{what}.json"
    said.unlink(missing_ok=True)
    with instance.log_file.open("ab") as log:
        process = subprocess.Popen([sys.executable, script, "--say", said], stdin=subprocess.DEVNULL,
                                   stdout=log, stderr=subprocess.STDOUT, start_new_session=True)
    known[what] = {"pid": process.pid, "born": born(process.pid)}
    instance.process_file.write_text(json.dumps(known) + "\n")
    if not wait_until(lambda: said.exists() or process.poll() is not None, START_SECONDS) or process.poll() is not None:
        raise Trouble(f"the {what} did not start. Its own words are in {instance.log_file.relative_to(ROOT)}")
    return dict(json.loads(said.read_text()))


def stop(instance: Instance) -> bool:
    """Ends every process of the instance, gently and then not. True if there was any."""
    if not living(instance):
        instance.process_file.unlink(missing_ok=True)
        return False
    for how in (signal.SIGTERM, signal.SIGKILL):
        for pid in living(instance):
            end(pid, how)
        if wait_until(lambda: not living(instance), STOP_SECONDS):
            instance.process_file.unlink(missing_ok=True)
            shutil.rmtree(instance.scratch, ignore_errors=True)
            return True
    raise Trouble(f"these processes do not end: {living(instance)}. End them by hand: kill -9 {' '.join(map(str, living(instance)))}")


def end(pid: int, how: signal.Signals) -> None:
    try:
        os.kill(pid, how)
    except ProcessLookupError:
        pass  # it ended by itself in the meantime


def living(instance: Instance) -> list[int]:
    """The processes of the instance: the groups of its emulator, issuer and provider, and functions that outlived the emulator."""
    known = json.loads(instance.process_file.read_text()) if instance.process_file.exists() else {}
    leaders = [each for each in (known, known.get("issuer"), known.get("provider")) if each and "pid" in each]
    groups = {each["pid"] for each in leaders if born(each["pid"]) in (each["born"], None)}
    pids = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    return [pid for pid in pids if belongs(pid, groups, instance)]


def belongs(pid: int, groups: set[int], instance: Instance) -> bool:
    fields = stat(pid)
    if not fields or fields[0] == "Z":
        return False
    if int(fields[2]) in groups:
        return True
    try:
        return Path(os.readlink(f"/proc/{pid}/exe")).is_relative_to(instance.scratch)
    except OSError:
        return False


def born(pid: int) -> str | None:
    """When a process started, in clock ticks: a pid alone may have been given to another process since."""
    fields = stat(pid)
    return fields[19] if fields else None


def stat(pid: int) -> list[str]:
    """The fields of /proc/<pid>/stat after the program's name: state, parent, group … ; empty if there is no such process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def in_use(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0


def answers(endpoint: str) -> bool:
    """Whether anything that speaks HTTP is there; which emulator it is does not matter."""
    try:
        urllib.request.urlopen(endpoint, timeout=1).close()
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True


def wait_until(done: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not done():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


# --- the deployment


def need_build(folder: Path) -> None:
    if not (folder / "template.yaml").exists():
        raise Trouble(f"{folder} holds no built template. Build first: make build")


def deploy(instance: Instance, endpoint: str, options: argparse.Namespace, provider_url: str = "") -> None:
    """Deploys with the command that serves AWS too, and writes stack.json."""
    stage, stack_name = options.stage, f"{options.project}-{options.stage}"
    issuer = beside(instance, "issuer", ISSUER)
    command = [str(SAM), "deploy", "--template-file", str(options.build_dir / "template.yaml"),
               "--config-file", str(ROOT / "samconfig.toml"), "--stack-name", stack_name, "--region", REGION,
               "--no-progressbar", "--parameter-overrides", f"Stage={stage}", f"Architecture={architecture()}",
               f"TokenIssuer={issuer['url']}", f"TokenAudience={issuer['audience']}",
               "ApiAuthorizer=false",  # the embedded emulator's keeps keys for two hours, so it would not see a rotation
               *(f"{name}ProviderUrl={provider_url}" for name in ("Mail", "Payment") if provider_url), *options.parameter,
               "ArchiveDays=0", "Alarms=plain"]  # the embedded emulator's CloudFormation knows no archive and no composite alarm
    with instance.deploy_log.open("wb") as log:
        code = subprocess.run(command, cwd=ROOT, env=local_environment(endpoint), stdin=subprocess.DEVNULL,
                              stdout=log, stderr=subprocess.STDOUT, check=False).returncode
    if code:
        tail = "\n".join(instance.deploy_log.read_text(errors="replace").splitlines()[-15:])
        raise Trouble(f"`sam deploy` failed. All of it is in {instance.deploy_log.relative_to(ROOT)}; its end:\n{tail}")
    mend_fifo_topics(endpoint)
    mend_recovery(endpoint)
    mend_recursion(endpoint, stack_name)
    known = {"endpoint": endpoint, "region": REGION, "stack_name": stack_name, "stage": stage, "provider": provider_url,
             "issuer": issuer["url"], "outputs": outputs(endpoint, stack_name)}
    instance.stack_file.write_text(json.dumps(known, indent=2) + "\n")
    print(f"{instance.name}: {stack_name} is up at {endpoint}, its API:\nAPI='{known['outputs']['ApiUrl']}'")


def mend_fifo_topics(endpoint: str) -> None:
    """The embedded emulator forgets that a topic of a template is FIFO, and then drops the group of every message; and its scope."""
    sns = client("sns", endpoint)
    arns = [topic["TopicArn"] for page in sns.get_paginator("list_topics").paginate() for topic in page["Topics"]]
    for arn in (arn for arn in arns if arn.endswith(".fifo")):
        if "FifoTopic" not in sns.get_topic_attributes(TopicArn=arn)["Attributes"]:
            for name, value in (("FifoTopic", "true"), ("FifoThroughputScope", "MessageGroup")):
                sns.set_topic_attributes(TopicArn=arn, AttributeName=name, AttributeValue=value)


def mend_recovery(endpoint: str) -> None:
    """Nor does it turn on the point-in-time recovery that a template asks for."""
    dynamodb = client("dynamodb", endpoint)
    for name in [name for page in dynamodb.get_paginator("list_tables").paginate() for name in page["TableNames"]]:
        dynamodb.update_continuous_backups(TableName=name, PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True})


def mend_recursion(endpoint: str, stack_name: str) -> None:
    """Nor does it tell a function that it may wake itself."""
    cloudformation, functions = client("cloudformation", endpoint), client("lambda", endpoint)
    template = cloudformation.get_template(StackName=stack_name, TemplateStage="Processed")["TemplateBody"]
    for page in cloudformation.get_paginator("list_stack_resources").paginate(StackName=stack_name):
        for made in page["StackResourceSummaries"]:
            if loop := template["Resources"][made["LogicalResourceId"]].get("Properties", {}).get("RecursiveLoop"):
                functions.put_function_recursion_config(FunctionName=made["PhysicalResourceId"], RecursiveLoop=loop)


def client(service: str, endpoint: str) -> Any:
    return boto3.client(service, endpoint_url=endpoint, region_name=REGION,
                        aws_access_key_id="test", aws_secret_access_key="test")


def outputs(endpoint: str, stack_name: str) -> dict[str, str]:
    found = client("cloudformation", endpoint).describe_stacks(StackName=stack_name)["Stacks"][0].get("Outputs", [])
    values = {output["OutputKey"]: output["OutputValue"] for output in found}
    return values | {"ApiUrl": reachable(values["ApiUrl"], endpoint)}


def reachable(api_url: str, endpoint: str) -> str:
    """The API's address in the form that needs no name server: not every machine resolves <id>.execute-api.localhost."""
    api_id = (urlsplit(api_url).hostname or "").partition(".execute-api.")[0]
    return f"{endpoint}/_aws/execute-api/{api_id}/$default"


def local_environment(endpoint: str) -> dict[str, str]:
    """This process's environment with every AWS setting of the user's replaced: nothing real can be reached by mistake."""
    mine = {key: value for key, value in os.environ.items() if not key.startswith(("AWS_", "TOWPATH_"))}
    return mine | {"AWS_ENDPOINT_URL": endpoint, "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test",
                   "AWS_DEFAULT_REGION": REGION, "AWS_REGION": REGION, "AWS_EC2_METADATA_DISABLED": "true",
                   "AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
                   "SAM_CLI_TELEMETRY": "0", "NO_PROXY": f"{HOST},localhost", "no_proxy": f"{HOST},localhost"}


def architecture() -> str:
    """A function runs natively here, so it is built for this machine."""
    return "arm64" if os.uname().machine in ("aarch64", "arm64") else "x86_64"


if __name__ == "__main__":
    sys.exit(main())
