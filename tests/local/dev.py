"""Runs one queue-fed function from the terminal, in place of the deployed one, until Ctrl-C.

It turns the function's mappings off, polls its queues itself and invokes the binary on this machine with the deployed
environment, then turns the mappings on again. Must not know what any function does. Run: make dev FN=inventory
"""
from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Iterator
from contextlib import contextmanager

import boto3

from stack import HOST, ROOT, STOP_SECONDS, Instance, Trouble, free_port, in_use, local_environment, plain_name, wait_until

BATCH = 10
VISIBILITY_SECONDS = 900  # long, so that a message is not given out again while a breakpoint holds it
AGAIN_SECONDS = 5  # when a failed message is tried again
INVOKE_SECONDS = 900.0
START_SECONDS = 20.0


@dataclass(frozen=True)
class Source:
    """One queue and its mapping."""

    mapping: str
    queue_arn: str
    queue_url: str
    batch: int
    again: int | None  # seconds until a failed message is tried again; None: the function itself says when


@dataclass(frozen=True)
class Place:
    """Where the deployed function is, and the queues that feed it."""

    function: str
    environment: dict[str, str]
    sources: tuple[Source, ...]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("function", help="the function's folder, such as inventory")
    parser.add_argument("--name", type=plain_name, default="run", help="which local stack (default: run)")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # so that the mapping is turned on again then too
    try:
        develop(options.function, Instance(options.name))
    except KeyboardInterrupt:
        print("\nStopped; the deployed function takes over again.")
    except Trouble as trouble:
        print(f"error: {trouble}", file=sys.stderr)
        return 2
    return 0


def develop(function: str, instance: Instance) -> None:
    if not instance.stack_file.exists():
        raise Trouble(f"no stack named {instance.name} is up. Bring one up first: make up NAME={instance.name}")
    known = json.loads(instance.stack_file.read_text())
    place = find(function, known)
    binary = build(function)
    with mappings_off(place, known), running(binary, place, known) as invoke_url:
        print(f"{function} runs here now. Attach a debugger to the process above; Ctrl-C gives its queues back.")
        poll(place, known, invoke_url)


def find(function: str, known: dict[str, Any]) -> Place:
    """By the template's own convention: inventory → InventoryFunction, InventoryMapping and InventoryWakeMapping."""
    logical = "".join(part.capitalize() for part in function.split("-"))
    name = physical(known, f"{logical}Function")
    first = source(function, known, f"{logical}Mapping", BATCH, AGAIN_SECONDS)
    wake = source(function, known, f"{logical}WakeMapping", 1, None)
    config = client("lambda", known).get_function_configuration(FunctionName=name, Qualifier="live")
    return Place(name, config["Environment"]["Variables"], (first, wake))


def source(function: str, known: dict[str, Any], logical: str, batch: int, again: int | None) -> Source:
    mapping = physical(known, logical)
    arn = client("lambda", known).get_event_source_mapping(UUID=mapping)["EventSourceArn"]
    if ":sqs:" not in arn:
        raise Trouble(f"{function} is not fed by a queue, so it cannot be run this way. Choose a consumer")
    url = client("sqs", known).get_queue_url(QueueName=arn.rsplit(":", 1)[1])["QueueUrl"]
    return Source(mapping, arn, url, batch, again)


def physical(known: dict[str, Any], logical: str) -> str:
    cloudformation = client("cloudformation", known)
    try:
        found = cloudformation.describe_stack_resource(StackName=known["stack_name"], LogicalResourceId=logical)
    except cloudformation.exceptions.ClientError as error:
        raise Trouble(f"{known['stack_name']} has no {logical}. FN is a folder under functions/ that template.yaml deploys") from error
    return str(found["StackResourceDetail"]["PhysicalResourceId"])


def client(service: str, known: dict[str, Any]) -> Any:
    return boto3.client(service, endpoint_url=known["endpoint"], region_name=known["region"],
                        aws_access_key_id="test", aws_secret_access_key="test")


def build(function: str) -> Path:
    """The function with debug symbols; only the workspace's own crates are built for it, the dependencies are there."""
    asked = ["cargo", "metadata", "--no-deps", "--format-version", "1"]
    metadata = json.loads(subprocess.run(asked, cwd=ROOT, check=True, capture_output=True).stdout)
    command = ["cargo", "build", "--release", "--workspace", "--bin", function]
    for package in metadata["packages"]:
        for setting in ("debug=2", "strip=false", "opt-level=0"):
            command += ["--config", f"profile.release.package.{package['name']}.{setting}"]
    if subprocess.run(command, cwd=ROOT, check=False).returncode:
        raise Trouble(f"{function} does not build; the compiler says why above")
    return Path(metadata["target_directory"]) / os.environ.get("CARGO_BUILD_TARGET", "") / "release" / function


@contextmanager
def mappings_off(place: Place, known: dict[str, Any]) -> Iterator[None]:
    mappings = client("lambda", known)
    try:
        for of in place.sources:
            mappings.update_event_source_mapping(UUID=of.mapping, Enabled=False)
        yield
    finally:
        for of in place.sources:
            mappings.update_event_source_mapping(UUID=of.mapping, Enabled=True)


@contextmanager
def running(binary: Path, place: Place, known: dict[str, Any]) -> Iterator[str]:
    """The binary and cargo-lambda's copy of the Lambda API in front of it. Gives the URL that invokes it."""
    port = free_port()
    api = subprocess.Popen(["cargo-lambda", "lambda", "watch", "--only-lambda-apis", "--invoke-address", HOST,
                            "--invoke-port", str(port)], cwd=ROOT, stdin=subprocess.DEVNULL, process_group=0)
    children = [api]
    try:
        if not wait_until(lambda: in_use(port), START_SECONDS):
            raise Trouble("cargo lambda watch did not start; it says why above")
        environment = local_environment(known["endpoint"]) | place.environment | {
            "AWS_LAMBDA_RUNTIME_API": f"http://{HOST}:{port}/.rt", "AWS_LAMBDA_FUNCTION_NAME": place.function,
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "256", "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_LAMBDA_LOG_GROUP_NAME": "terminal", "AWS_LAMBDA_LOG_STREAM_NAME": "terminal"}
        function = subprocess.Popen([binary], cwd=ROOT, env=environment, process_group=0)
        children.append(function)
        print(f"process {function.pid}: {binary.relative_to(ROOT)}")
        yield f"http://{HOST}:{port}/2015-03-31/functions/_/invocations"  # `_` and `.rt`: the only function there is
    finally:
        for child in reversed(children):
            end_group(child)


def end_group(child: subprocess.Popen[bytes]) -> None:
    for how in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(child.pid, how)
        except ProcessLookupError:
            return
        if wait_until(lambda: child.poll() is not None, STOP_SECONDS):
            return


def poll(place: Place, known: dict[str, Any], invoke_url: str) -> None:
    queue = client("sqs", known)
    while True:
        for of in place.sources:
            take(queue, of, known, invoke_url)


def take(queue: Any, of: Source, known: dict[str, Any], invoke_url: str) -> None:
    """One batch of one queue, if there is one."""
    got = queue.receive_message(QueueUrl=of.queue_url, MaxNumberOfMessages=of.batch, WaitTimeSeconds=1,
                                VisibilityTimeout=VISIBILITY_SECONDS, MessageSystemAttributeNames=["All"],
                                MessageAttributeNames=["All"]).get("Messages", [])
    if not got:
        return
    begun = time.monotonic()
    try:
        answer = invoke(invoke_url, {"Records": [record(message, of, known) for message in got]})
    except BaseException:  # Ctrl-C in a batch: the deployed function gets it at once
        give_back(queue, of, got, 0)
        raise
    done = succeeded(got, answer)
    for message in done:
        queue.delete_message(QueueUrl=of.queue_url, ReceiptHandle=message["ReceiptHandle"])
    failed = [message for message in got if message not in done]
    if of.again is not None or answer is None:
        give_back(queue, of, failed, of.again or AGAIN_SECONDS)
    what = "messages" if of.again is not None else "wakes"
    print(f"{len(got)} {what}, {len(failed)} again, {(time.monotonic() - begun) * 1000:.0f} ms")


def give_back(queue: Any, of: Source, messages: list[dict[str, Any]], seconds: int) -> None:
    for message in messages:
        queue.change_message_visibility(QueueUrl=of.queue_url, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=seconds)


def record(message: dict[str, Any], of: Source, known: dict[str, Any]) -> dict[str, Any]:
    """One message in the shape in which Lambda hands it over."""
    attributes = {key: {"stringValue": value.get("StringValue"), "binaryValue": None, "stringListValues": [],
                        "binaryListValues": [], "dataType": value["DataType"]}
                  for key, value in message.get("MessageAttributes", {}).items()}
    return {"messageId": message["MessageId"], "receiptHandle": message["ReceiptHandle"], "body": message["Body"],
            "attributes": message.get("Attributes", {}), "messageAttributes": attributes,
            "md5OfBody": message["MD5OfBody"], "eventSource": "aws:sqs", "eventSourceARN": of.queue_arn,
            "awsRegion": known["region"]}


def invoke(url: str, event: dict[str, Any]) -> dict[str, Any] | None:
    """The function's answer; None if it failed as a whole."""
    request = urllib.request.Request(url, json.dumps(event).encode(), {"content-type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=INVOKE_SECONDS) as response:
            answer = json.loads(response.read())
    except (urllib.error.URLError, TimeoutError, ValueError) as error:
        print(f"the function failed: {error}", file=sys.stderr)
        return None
    return answer if isinstance(answer, dict) and "errorType" not in answer else None


def succeeded(messages: list[dict[str, Any]], answer: dict[str, Any] | None) -> list[dict[str, Any]]:
    """What Lambda would delete: all but the reported ones, and nothing if a reported one is not in the batch."""
    if answer is None:
        return []
    failed = {failure.get("itemIdentifier") for failure in answer.get("batchItemFailures") or []}
    if not failed <= {message["MessageId"] for message in messages}:
        print("the function reported a message that is not in the batch, so the whole batch counts as failed", file=sys.stderr)
        return []
    return [message for message in messages if message["MessageId"] not in failed]


if __name__ == "__main__":
    sys.exit(main())
