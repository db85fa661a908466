"""Writes the template as CloudFormation sees it: SAM's transform applied, without AWS and without a build.

Linters and template rules read the result, because some mistakes show only there. Must not judge the template itself.
Run: python tests/local/expand.py .local/expanded.json [Deployment=AllAtOnce …]
"""
from __future__ import annotations

import json
import logging
import os
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

os.environ.setdefault("AWS_DEFAULT_REGION", "us-east-1")  # the transform asks for a Region, and for nothing in it

from samcli.yamlhelper import yaml_parse  # noqa: E402
from samtranslator.model.exceptions import InvalidDocumentException  # noqa: E402
from samtranslator.translator.transform import transform  # noqa: E402

logging.getLogger("samtranslator").setLevel(logging.ERROR)  # it warns of a service of AWS that it cannot ask

ROOT = Path(__file__).resolve().parents[2]
PLACE = "https://example.com/"  # the transform wants uploaded files; their place is taken out again below


def main() -> int:
    if len(sys.argv) < 2 or not all("=" in each for each in sys.argv[2:]):
        print("error: say where to write: python tests/local/expand.py .local/expanded.json [NAME=VALUE …]", file=sys.stderr)
        return 2
    target, parameters = Path(sys.argv[1]), dict(each.split("=", 1) for each in sys.argv[2:])
    try:
        expanded = expand(yaml_parse((ROOT / "template.yaml").read_text()), parameters)
    except InvalidDocumentException as invalid:
        print(f"error: template.yaml cannot be expanded: {invalid.message}", file=sys.stderr)
        return 1
    restore_locations(expanded, target)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(expanded, indent=2) + "\n")
    return 0


def expand(template: dict[str, Any], parameters: dict[str, str]) -> dict[str, Any]:
    """As it is with these parameters; others have their defaults. SAM looks at few of them, such as Deployment."""
    template["Globals"]["Function"]["CodeUri"] = "s3://bucket/function.zip"
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::Serverless::Application":
            resource["Properties"]["Location"] = PLACE + resource["Properties"]["Location"]
    return dict(transform(template, parameters, SimpleNamespace(load=dict)))


def restore_locations(expanded: dict[str, Any], target: Path) -> None:
    """Nested stacks by their path from the written file, so that a linter can follow them."""
    for resource in expanded["Resources"].values():
        if resource["Type"] == "AWS::CloudFormation::Stack":
            source = ROOT / resource["Properties"]["TemplateURL"].removeprefix(PLACE)
            resource["Properties"]["TemplateURL"] = os.path.relpath(source, target.resolve().parent)


if __name__ == "__main__":
    sys.exit(main())
