"""Each stage of samconfig.toml gives parameters that the template has, with values that it allows.
Must not know what a parameter means. Run: python -m unittest discover --start-directory tests/local
"""
from __future__ import annotations

import re
import tomllib
import unittest
from typing import Any

from samcli.yamlhelper import yaml_parse
from stages import ROOT, stages

PLACES = {"towpath": ROOT, "helpdesk": ROOT / "cli/template"}


def wrong(parameters: dict[str, Any], given: list[str]) -> list[str]:
    """What the template does not take."""
    found = []
    for word in given:
        name, value = word.split("=", 1)
        said = parameters.get(name)
        if said is None:
            found.append(f"there is no parameter {name}")
        elif value not in [str(each) for each in said.get("AllowedValues", [value])]:
            found.append(f"{name} may not be {value}")
        elif "AllowedPattern" in said and not re.fullmatch(said["AllowedPattern"], value):
            found.append(f"{name} may not look like {value}")
        elif said["Type"] == "Number" and not said.get("MinValue", 0) <= int(value) <= said.get("MaxValue", int(value)):
            found.append(f"{name} may not be so small or large: {value}")
    return found


class Stages(unittest.TestCase):
    def test_each_stage_gives_parameters_that_the_template_takes(self) -> None:
        for project, place in PLACES.items():
            text, template = (place / "samconfig.toml").read_text(), yaml_parse((place / "template.yaml").read_text())
            known = stages(text)
            self.assertEqual(["dev", "staging", "prod"], list(known))
            for stage, given in known.items():
                self.assertEqual([], wrong(template["Parameters"], given), f"{place}: {stage}")
                self.assertEqual(given[0], f"Stage={stage}")
                self.assertEqual(tomllib.loads(text)[stage]["deploy"]["parameters"]["stack_name"], f"{project}-{stage}")
                values = dict(word.split("=", 1) for word in given)
                self.assertFalse(values["Alarms"] == "none" and values["Deployment"] != "AllAtOnce", stage)

    def test_what_the_template_does_not_take_is_found(self) -> None:
        template = yaml_parse((ROOT / "template.yaml").read_text())
        bad = ["Lane=1", "Alarms=some", "Stage=Prod", "ArchiveDays=99999", "WarmReadUnits=11999", "WarmWriteUnits=3999"]
        self.assertEqual([1] * len(bad), [len(wrong(template["Parameters"], [each])) for each in bad])
        self.assertEqual([], wrong(template["Parameters"], ["WarmReadUnits=12000", "WarmWriteUnits=40000", "MaxReadUnits=0"]))
