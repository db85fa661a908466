"""What the harness of the alarms makes of metric lines: a metric that nobody says is found, whatever part of it is misspelt.

Must not need an emulator. Run: python -m unittest discover -s tests/local
"""
from __future__ import annotations

import unittest
from typing import Any

import alarms

LINE: dict[str, Any] = {
    "_aws": {"Timestamp": 5000, "CloudWatchMetrics": [
        {"Namespace": "Towpath", "Dimensions": [["stage", "consumer"]], "Metrics": [{"Name": "Lag"}, {"Name": "Applied"}]}]},
    "stage": "dev", "consumer": "inventory", "Lag": [1, 2], "Applied": 2}


def series(name: str = "Lag", namespace: str = "Towpath", **dimensions: str) -> alarms.Series:
    return alarms.Series(namespace, name, frozenset(dimensions.items()))


class Harness(unittest.TestCase):
    def test_a_line_holds_its_metrics_with_their_dimensions_values_and_time(self) -> None:
        of = {"stage": "dev", "consumer": "inventory"}
        self.assertEqual([(series(**of), [1.0, 2.0], 5.0), (series("Applied", **of), [2.0], 5.0)], list(alarms.points(LINE)))

    def test_a_metric_that_nobody_says_is_found(self) -> None:
        known = alarms.Known({found.keys for found, _, _ in alarms.points(LINE)}, {"stage": {"dev"}, "consumer": {"inventory"}})
        good = {"stage": "dev", "consumer": "inventory"}
        self.assertEqual([], known.wrong(series(**good)))
        for wrong in (series("Lags", **good), series("Lag", "towpath", **good), series(stage="dev"), series(Stage="dev", consumer="inventory"),
                      series(stage="dev", consumer="inventor"), series(stage="prod", consumer="inventory")):
            self.assertEqual(1, len(known.wrong(wrong)), wrong)

    def test_a_value_lies_on_the_wanted_side_of_the_threshold(self) -> None:
        for threshold in (0, 1, 60000):
            above = {"ComparisonOperator": "GreaterThanThreshold", "Threshold": threshold}
            below = {"ComparisonOperator": "LessThanThreshold", "Threshold": threshold}
            self.assertTrue(alarms.breaching(above, True) > threshold >= alarms.breaching(above, False))
            self.assertTrue(alarms.breaching(below, True) < threshold <= alarms.breaching(below, False))

    def test_an_alarm_is_read_back_as_it_was_deployed(self) -> None:
        dimensions = [{"Name": "consumer", "Value": "inventory"}, {"Name": "stage", "Value": "dev"}]
        alarm = {"Namespace": "Towpath", "MetricName": "Lag", "Dimensions": dimensions}
        looked_at = {"Namespace": alarms.NAMESPACE, "MetricName": f"{alarms.series_of(alarm).folded}|ALARM-1.5", "Dimensions": []}
        self.assertEqual(alarm, alarms.original(looked_at))


if __name__ == "__main__":
    unittest.main()
