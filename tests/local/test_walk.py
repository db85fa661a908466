"""How the walk through the runbooks fills in a line, what it asks AWS for then, and what it does not let pass. Must not need a stack.

Run: python -m unittest discover -s tests/local
"""
from __future__ import annotations

import unittest
from pathlib import Path

import typed_aws
from botocore.exceptions import ClientError
from cloud import Stack, Trouble
from runbook import Line
from walk import DRY, EXAMPLES, NOT_HERE, Walk

ALARMS = [
    {"AlarmName": "s-1", "AlarmDescription": "warning: … docs/runbooks/wake-dead-letters.md", "Dimensions": [{"Name": "QueueName", "Value": "given-up"}]},
    {"AlarmName": "s-2", "AlarmDescription": "warning: … docs/runbooks/tables.md", "Dimensions": [{"Name": "TableName", "Value": "outbox"}]},
]


class Told(Walk):
    """A walk that carries nothing out: it notes what it would have."""

    def __init__(self, error: str = "") -> None:
        stack = Stack("none", "http://127.0.0.1:1", "us-east-1", "shop-dev", {"LogGroup": "logs", "InventoryQueueUrl": "http://q"})
        super().__init__(stack, Path("towpath"), ALARMS)
        self.parked = {"aggregate": "acme#order#o-1", "fingerprint": "12345678"}
        self.error = error
        self.done: list[str] = []

    def aws(self, text: str) -> str:
        self.done.append(text)
        if self.error:
            raise ClientError({"Error": {"Code": self.error, "Message": ""}}, "Some")
        return "1\told\n2\tnew"

    def program(self, text: str) -> str:
        self.done.append(text)
        return ""


class TheWalk(unittest.TestCase):
    def test_words_are_outputs_dimensions_or_what_a_command_of_broker_prints(self) -> None:
        walk = Told()
        filled = walk.filled(Line("tables.md", "aws x --log LOG_GROUP --url QUEUE_URL --t TABLE_NAME --s STACK_NAME-relay:live --state-value ALARM"))
        self.assertEqual("aws x --log logs --url http://q --t outbox --s shop-dev-relay:live --state-value ALARM", filled)
        self.assertEqual("aws sqs purge-queue --queue-url 2", walk.filled(Line("wake-dead-letters.md", "aws sqs purge-queue --queue-url ALARMED_QUEUE_URL")))
        self.assertEqual(["aws sqs get-queue-url --queue-name given-up --output text"], walk.done)
        with self.assertRaisesRegex(Trouble, "SOME_URL is no output"):
            walk.filled(Line("tables.md", "aws x --url SOME_URL"))

    def test_examples_are_what_the_stack_has_and_what_ends_a_park_is_a_dry_run(self) -> None:
        walk = Told()
        for start in DRY:
            walk.type(Line("parked.md", f"{start} --aggregate '{EXAMPLES['aggregate']}' --who YOU --yes"))
        walk.type(Line("parked.md", "towpath status --audit --yes"))
        self.assertEqual([f"{start} --aggregate 'acme#order#o-1' --who tester" for start in DRY] + ["towpath status --audit --yes"], walk.done)

    def test_a_line_that_the_emulator_has_not_is_listed_and_the_list_cannot_rot(self) -> None:
        listed, other = f"{next(iter(NOT_HERE))} --source-arn x", "aws sqs purge-queue --queue-url x"
        self.assertIn(Told("InvalidAction").type(Line("receiver.md", listed)), NOT_HERE.values())
        for walk, line in ((Told(), listed), (Told("AccessDenied"), listed), (Told("InvalidAction"), other)):
            with self.assertRaises(Trouble):
                walk.type(Line("receiver.md", line))
        self.assertEqual("1\told\n2\tnew", Told().type(Line("receiver.md", other)))


class TypedAws(unittest.TestCase):
    def test_a_line_is_asked_as_the_program_aws_would(self) -> None:
        asked = typed_aws.parse("sqs", "get-queue-attributes", ["--queue-url", "u", "--attribute-names", "A", "B"])
        self.assertEqual(("get_queue_attributes", {"QueueUrl": "u", "AttributeNames": ["A", "B"]}), asked[:2])
        asked = typed_aws.parse("lambda", "update-event-source-mapping", ["--uuid", "1", "--enabled"])
        self.assertEqual({"UUID": "1", "Enabled": True}, asked[1])
        asked = typed_aws.parse("dynamodb", "delete-item", ["--table-name", "t", "--key", '{"pk":{"S":"~a"}}'])
        self.assertEqual({"TableName": "t", "Key": {"pk": {"S": "~a"}}}, asked[1])
        asked = typed_aws.parse("cloudwatch", "get-metric-statistics", ["--dimensions", "Name=TableName,Value=t", "--period", "60", "--start-time", "5"])
        self.assertEqual({"Dimensions": [{"Name": "TableName", "Value": "t"}], "Period": 60, "StartTime": 5}, asked[1])

    def test_an_answer_is_printed_as_text(self) -> None:
        answer = {"Versions": [{"Version": "1", "At": "a"}, {"Version": "2", "At": "b"}], "QueueUrl": "u"}
        self.assertEqual("1\ta\n2\tb", typed_aws.text(answer, "Versions[].[Version,At]"))
        self.assertEqual("u", typed_aws.text({"QueueUrl": "u"}, ""))


if __name__ == "__main__":
    unittest.main()
