"""Makes the condition of every deployed alarm true and sees it ring and tell the topic of alarms; then false, and sees it end.

Before that, every alarm and the dashboard must take a metric that somebody publishes: a binary's own metric line in the log
group, with these dimensions, or AWS's table of service metrics; and docs/metrics.md must name what the binaries say. Misspelt ones
are put among them on purpose and must be found.
Must not know what an alarm means. Run: make rehearse
"""
from __future__ import annotations

import argparse
import json
import re
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from alarms import breaching, composite, deployed, known, metric_lines, original, points, put, series_of, state_of
from cloud import ROOT, Stack, Trouble, fail_on_trouble, load
from paper import console
from strain import strain

METRICS = ROOT / "docs/metrics.md"
SECONDS = 180.0  # the auditor's tick is a minute away


def main() -> int:
    parser = argparse.ArgumentParser(description="Every alarm rings, and ends.")
    parser.add_argument("--name", default="run", help="folder under .local (default: run)")
    parser.add_argument("--cli", type=Path, required=True, help="the towpath binary")
    options = parser.parse_args()
    stack, out = load(options.name), console()
    strain(stack, options.cli, wait)
    wait("what the API has refused is in the metrics", lambda: {"TokensRefused", "IssuerAway", "TenantsMismatched", "Throttled", "LimiterUnavailable"} <= {
        series.name for line in metric_lines(stack) for series, _, _ in points(line)})
    wait("a parked row is in the metrics", lambda: any(
        series.name == "ParkedRows" and "consumer" in dict(series.dimensions) for line in metric_lines(stack) for series, _, _ in points(line)))
    alarms = [original(alarm) for alarm in deployed(stack)]
    need(len(alarms) > 50, f"only {len(alarms)} alarms were deployed")
    said = known(stack)
    for alarm in alarms:
        wrong = said.wrong(series_of(alarm))
        need(not wrong, f"{alarm['AlarmName']} can never ring: {'; '.join(wrong)}")
    for planted in misspelt(alarms):
        need(bool(said.wrong(series_of(planted))), f"a misspelling passes: {planted['MetricName']} {planted['Dimensions']}")
    out.print(f"{len(alarms)} alarms watch metrics that somebody publishes; 4 planted misspellings were found", markup=False)
    documented = set(re.findall(r"`([A-Z]\w+)`", METRICS.read_text()))
    ours = {(namespace, dimensions) for namespace, _, dimensions in said.keys if namespace == "Towpath"}
    for namespace, name, dimensions in dashboard(stack):
        # A counter that is 0 is not said, and whether a short run has gaps is luck. All counters of a process have the same dimensions.
        rare = name in documented and (namespace, dimensions) in ours
        need((namespace, name, dimensions) in said.keys or rare, f"the dashboard searches {name} of {namespace} by {sorted(dimensions)}, which nobody says")
    names = {name for namespace, name, _ in said.keys if namespace == "Towpath"}
    unnamed = names - documented
    need(not unnamed, f"docs/metrics.md does not name {', '.join(sorted(unnamed))}")
    heard, unhealthy = subscribe(stack, alarms), composite(stack)
    for wanted, bad in (("ALARM", True), ("OK", False)):
        states = put(stack, alarms, {alarm["AlarmName"]: [breaching(alarm, bad)] for alarm in alarms}, f"{wanted}-{time.time():.3f}")
        wrong_ones = {name: state for name, state in states.items() if state != wanted}
        need(len(states) == len(alarms) and not wrong_ones, f"not {wanted}: {wrong_ones}")
        wait(f"the composite alarm is {wanted}", lambda: state_of(stack, unhealthy) == wanted)
        out.print(f"{len(states)} alarms are {wanted}, and so is the composite one", markup=False)
    told = {(alarm["AlarmName"], state) for alarm in alarms for state in ("ALARM", "OK")}
    listen(stack, heard, told)
    out.print(f"the topic of alarms was told {len(told)} times, once for each alarm and each end", markup=False)
    return 0


def dashboard(stack: Stack) -> set[tuple[str, str, frozenset[str]]]:
    """The metrics that the deployed dashboard searches: namespace, name, dimensions."""
    cloudwatch = stack.client("cloudwatch")
    names = [each["DashboardName"] for each in cloudwatch.list_dashboards()["DashboardEntries"]]
    need(len(names) == 1, f"not one dashboard: {names}")
    widgets = json.loads(cloudwatch.get_dashboard(DashboardName=names[0])["DashboardBody"])["widgets"]
    asked = [metric["expression"] for widget in widgets for row in widget["properties"].get("metrics", []) for metric in row]
    found = [re.match(r"SEARCH\('\{([^}]+)\} .*MetricName=\"(\w+)\"', '\w+', \d+\)$", each) for each in asked]
    need(len(found) > 15 and all(found), f"not every search can be read: {asked}")
    return {(schema[0], each[2], frozenset(schema[1:])) for each in found if each for schema in [each[1].split(",")]}


def misspelt(alarms: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Four mistakes that CloudFormation takes without a word: such an alarm would wait for data for ever."""
    parked = next(alarm for alarm in alarms if alarm["MetricName"] == "ParkedRows")
    faults = next(alarm for alarm in alarms if alarm["MetricName"] == "5xx")
    other = [{"Name": each["Name"], "Value": each["Value"] + ("s" if each["Name"] == "consumer" else "")} for each in parked["Dimensions"]]
    capital = [{"Name": each["Name"].title(), "Value": each["Value"]} for each in parked["Dimensions"]]
    return [parked | {"MetricName": "ParkedRow"}, parked | {"Dimensions": capital}, parked | {"Dimensions": other},
            faults | {"MetricName": "5XXError"}]


def subscribe(stack: Stack, alarms: list[dict[str, Any]]) -> str:
    """A queue that hears what the topic of alarms is told. All alarms name one topic, for both ends."""
    topics = {action for alarm in alarms for action in (*alarm["AlarmActions"], *alarm["OKActions"])}
    need(len(topics) == 1 and all(alarm["AlarmActions"] and alarm["OKActions"] for alarm in alarms), f"not one topic: {topics}")
    sqs = stack.client("sqs")
    url = sqs.create_queue(QueueName=f"rehearsal-{time.time_ns()}")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    stack.client("sns").subscribe(TopicArn=topics.pop(), Protocol="sqs", Endpoint=arn, Attributes={"RawMessageDelivery": "true"})
    return str(url)


def listen(stack: Stack, url: str, wanted: set[tuple[str, str]]) -> None:
    heard: Counter[tuple[str, str]] = Counter()

    def all_heard() -> bool:
        got = stack.client("sqs").receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
        for message in got:
            told = json.loads(message["Body"])
            told = json.loads(told["Message"]) if "Message" in told else told
            heard[told["AlarmName"], told["NewStateValue"]] += 1
            stack.client("sqs").delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return wanted <= set(heard)

    wait("the topic of alarms is told of every end", all_heard)
    stack.client("sqs").delete_queue(QueueUrl=url)


def wait(what: str, done: Any) -> None:
    deadline = time.monotonic() + SECONDS
    while not done():
        need(time.monotonic() < deadline, f"waited in vain until {what}")
        time.sleep(0.2)


def need(holds: bool, why: str) -> None:
    if not holds:
        raise Trouble(why)


if __name__ == "__main__":
    sys.exit(fail_on_trouble(main))
