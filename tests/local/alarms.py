"""Shows which alarms of a local stack ring, which CloudWatch does on AWS: what the functions said and what lies in the queues
is put to the deployed alarms as metric data, because no emulator makes metrics of either.

The embedded emulator compares metrics by name alone and knows no missing data; so here each alarm is given a metric whose name
holds its dimensions, and a window without data counts as its TreatMissingData says. Its window is one period to the emulator,
so an alarm that waits for five bad minutes rings after one. Must not know what an alarm means.
Run: make alarms (python tests/local/alarms.py --name run)
"""
from __future__ import annotations

import argparse
import json
import re
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Iterable, Iterator

from cloud import ROOT, Stack, fail_on_trouble, load, queue_depth
from paper import console
from samcli.yamlhelper import yaml_parse

TABLE = Path(__file__).with_name("aws_metrics.tsv")
NAMESPACE = "Rehearsed"
KEPT = ("AlarmName", "AlarmDescription", "ActionsEnabled", "AlarmActions", "OKActions", "Statistic", "ExtendedStatistic",
        "Period", "EvaluationPeriods", "Threshold", "ComparisonOperator", "TreatMissingData")
OPERATIONS = {"TransactWriteItems"}  # a dimension's value that is no resource's name


@dataclass(frozen=True)
class Series:
    """A metric as CloudWatch tells them apart: by namespace, name and every dimension."""

    namespace: str
    name: str
    dimensions: frozenset[tuple[str, str]]

    @property
    def keys(self) -> tuple[str, str, frozenset[str]]:
        return self.namespace, self.name, frozenset(key for key, _ in self.dimensions)

    @property
    def folded(self) -> str:
        said = ",".join(f"{key}={value}" for key, value in sorted(self.dimensions))
        return f"{self.namespace}|{self.name}|{said}"


@dataclass
class Known:
    """What is said by somebody: by the binaries in their metric lines, or by AWS as its table has it."""

    keys: set[tuple[str, str, frozenset[str]]] = field(default_factory=set)
    values: dict[str, set[str]] = field(default_factory=dict)

    def wrong(self, series: Series) -> list[str]:
        """What nobody says of a metric that an alarm watches."""
        if series.keys not in self.keys:
            with_name = sorted({str(sorted(keys)) for namespace, name, keys in self.keys if (namespace, name) == series.keys[:2]})
            why = f"that one has the dimensions {' or '.join(with_name)}" if with_name else "no binary says it, and AWS's table has none"
            return [f"{series.namespace} {series.name} by {sorted(series.keys[2])}: {why}"]
        return [f"{series.namespace} {series.name}: there is no {key} {value!r}"
                for key, value in sorted(series.dimensions) if value not in self.values.get(key, set())]


def series_of(alarm: dict[str, Any]) -> Series:
    dimensions = frozenset((each["Name"], each["Value"]) for each in alarm.get("Dimensions", []))
    return Series(alarm["Namespace"], alarm["MetricName"], dimensions)


def deployed(stack: Stack) -> list[dict[str, Any]]:
    """The stack's metric alarms, as CloudFormation made them: read from the templates' own resources."""
    cloudwatch = stack.client("cloudwatch")
    pages = cloudwatch.get_paginator("describe_alarms").paginate(AlarmNamePrefix=f"{stack.stack_name}-", AlarmTypes=["MetricAlarm"])
    return [alarm for page in pages for alarm in page["MetricAlarms"]]


def metric_lines(stack: Stack, since: float = 0) -> Iterator[dict[str, Any]]:
    """Every line in the embedded metric format that the functions wrote."""
    pages = stack.client("logs").get_paginator("filter_log_events").paginate(
        logGroupName=stack.output("LogGroup"), filterPattern="CloudWatchMetrics", startTime=int(since * 1000))
    for page in pages:
        for event in page["events"]:
            try:
                line = json.loads(event["message"])
            except ValueError:
                continue  # a line about metrics is no line of metrics
            if isinstance(line, dict) and "_aws" in line:
                yield line


def points(line: dict[str, Any]) -> Iterator[tuple[Series, list[float], float]]:
    """The metrics of a line: which, its values, and when."""
    for directive in line["_aws"]["CloudWatchMetrics"]:
        for keys in directive["Dimensions"]:
            dimensions = frozenset((key, line[key]) for key in keys)
            for metric in directive["Metrics"]:
                value = line[metric["Name"]]
                values = [float(each) for each in (value if isinstance(value, list) else [value])]
                yield Series(directive["Namespace"], metric["Name"], dimensions), values, line["_aws"]["Timestamp"] / 1000


def known(stack: Stack) -> Known:
    """The binaries' own metrics with the values of their dimensions, AWS's table, and the resources that there are."""
    found = Known()
    for line in metric_lines(stack):
        for series, _, _ in points(line):
            found.keys.add(series.keys)
            for key, value in series.dimensions:
                found.values.setdefault(key, set()).add(value)
    for row in TABLE.read_text().splitlines():
        if not row.startswith("#"):
            namespace, name, dimensions = row.split("\t")
            found.keys.add((namespace, name, frozenset(dimensions.split(","))))
    queues = stack.client("sqs").list_queues().get("QueueUrls", [])
    functions = stack.client("lambda").get_paginator("list_functions").paginate()
    topics = stack.client("sns").get_paginator("list_topics").paginate()
    found.values |= {
        "QueueName": {url.rsplit("/", 1)[1] for url in queues},
        "FunctionName": {each["FunctionName"] for page in functions for each in page["Functions"]},
        "TopicName": {each["TopicArn"].rsplit(":", 1)[1] for page in topics for each in page["Topics"]},
        "TableName": set(stack.client("dynamodb").list_tables()["TableNames"]),
        "ApiId": {each["ApiId"] for each in stack.client("apigatewayv2").get_apis()["Items"]},
        "Operation": OPERATIONS,
    }
    return found


def breaching(alarm: dict[str, Any], bad: bool) -> float:
    """A value on the wanted side of the threshold."""
    above = alarm["ComparisonOperator"].startswith("Greater")
    threshold = float(alarm["Threshold"])
    return threshold * 2 + 1 if above and bad else threshold / 2 if above else threshold - 1 if bad else threshold + 1


def put(stack: Stack, alarms: Iterable[dict[str, Any]], values: dict[str, list[float]], look: str) -> dict[str, str]:
    """Gives each alarm the values under its name, and nothing else; says what state each is in then. `look` is a word that no
    other call uses: what was put before is not looked at again."""
    cloudwatch, data = stack.client("cloudwatch"), []
    alarms = list(alarms)
    for alarm in alarms:
        metric = f"{series_of(alarm).folded}|{look}"
        kept = {key: alarm[key] for key in KEPT if alarm.get(key) is not None}
        cloudwatch.put_metric_alarm(**kept, Namespace=NAMESPACE, MetricName=metric)
        if values.get(alarm["AlarmName"]):
            data.append({"MetricName": metric, "Values": values[alarm["AlarmName"]][-150:]})
    for start in range(0, len(data), 100):
        cloudwatch.put_metric_data(Namespace=NAMESPACE, MetricData=data[start:start + 100])
    names = {alarm["AlarmName"] for alarm in alarms}
    pages = cloudwatch.get_paginator("describe_alarms").paginate(AlarmTypes=["MetricAlarm"])
    return {each["AlarmName"]: each["StateValue"] for page in pages for each in page["MetricAlarms"] if each["AlarmName"] in names}


def original(alarm: dict[str, Any]) -> dict[str, Any]:
    """The alarm as it was deployed, even after `put` has changed its metric."""
    if alarm["Namespace"] != NAMESPACE:
        return alarm
    namespace, name, said, _ = alarm["MetricName"].split("|")
    dimensions = [dict(zip(("Name", "Value"), each.split("=", 1))) for each in said.split(",") if each]
    return alarm | {"Namespace": namespace, "MetricName": name, "Dimensions": dimensions}


def composite(stack: Stack) -> str:
    """Makes the composite alarm, which the embedded emulator's CloudFormation does not know, from infra/alarms.yaml. Its name."""
    properties = yaml_parse((ROOT / "infra/alarms.yaml").read_text())["Resources"]["PipelineUnhealthyAlarm"]["Properties"]
    described = stack.client("cloudformation").describe_stack_resources
    nested = described(StackName=stack.stack_name, LogicalResourceId="PipelineAlarms")["StackResources"][0]["PhysicalResourceId"]
    made = {each["LogicalResourceId"]: each["PhysicalResourceId"] for each in described(StackName=nested)["StackResources"]}
    rule = re.sub(r"\$\{(\w+)\}", lambda found: made[found.group(1)], properties["AlarmRule"]["Fn::Sub"])
    name = f"{stack.stack_name}-pipeline-unhealthy"
    stack.client("cloudwatch").put_composite_alarm(AlarmName=name, AlarmRule=rule, AlarmDescription=properties["AlarmDescription"]["Fn::Sub"])
    return name


def state_of(stack: Stack, name: str) -> str:
    found = stack.client("cloudwatch").describe_alarms(AlarmNames=[name], AlarmTypes=["CompositeAlarm"])
    return str(found["CompositeAlarms"][0]["StateValue"])


def measured(stack: Stack, alarms: list[dict[str, Any]], now: float) -> dict[str, list[float]]:
    """What was said within each alarm's window, and what lies in the queues now."""
    said: dict[Series, list[tuple[float, list[float]]]] = {}
    windows = {alarm["AlarmName"]: alarm["Period"] * alarm["EvaluationPeriods"] for alarm in alarms}
    for line in metric_lines(stack, now - max(windows.values())):
        for series, values, at in points(line):
            said.setdefault(series, []).append((at, values))
    urls = {url.rsplit("/", 1)[1]: url for url in stack.client("sqs").list_queues().get("QueueUrls", [])}
    found: dict[str, list[float]] = {}
    for alarm in alarms:
        name, series = alarm["AlarmName"], series_of(alarm)
        if series.name == "ApproximateNumberOfMessagesVisible":
            found[name] = [float(queue_depth(stack.client("sqs"), urls[dict(series.dimensions)["QueueName"]])[0])]
            continue
        found[name] = [value for at, values in said.get(series, []) if at >= now - windows[name] for value in values]
        if not found[name] and alarm["TreatMissingData"] in ("breaching", "notBreaching"):
            found[name] = [breaching(alarm, bad=alarm["TreatMissingData"] == "breaching")]
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description="Which alarms of a local stack ring.")
    parser.add_argument("--name", default="run", help="folder under .local (default: run)")
    stack, out = load(parser.parse_args().name), console()
    alarms = [original(alarm) for alarm in deployed(stack)]
    unhealthy, now = composite(stack), time.time()
    states = put(stack, alarms, measured(stack, alarms, now), f"{now:.3f}")
    states[unhealthy] = state_of(stack, unhealthy)
    ringing = [alarm for alarm in alarms if states[alarm["AlarmName"]] == "ALARM"]
    for alarm in sorted(ringing, key=lambda alarm: (alarm["AlarmDescription"], alarm["AlarmName"])):
        out.print(f"ALARM  {alarm['AlarmName']}\n       {alarm['AlarmDescription']}", markup=False, soft_wrap=True)
    quiet = sum(state == "OK" for state in states.values())
    out.print(f"{len(ringing)} of {len(states)} alarms ring, {quiet} are OK; the pipeline is "
              f"{'unhealthy' if states[unhealthy] == 'ALARM' else 'healthy'}", markup=False, soft_wrap=True)
    return 0


if __name__ == "__main__":
    sys.exit(fail_on_trouble(main))
