"""The rows of `make rules`: what must hold, and the rule or test that keeps it. Must not know: how anything is run."""
from __future__ import annotations

from typing import Callable

LINT = {
    "E3501": "queues have properties that fit together",
    "E3502": "a dead-letter queue is of the kind of its source",
    "E3505": "visibility is longer than the timeout",
    "E3510": "policies of identities are well formed",
    "E3512": "policies of resources are well formed",
    "E3530": "trust policies are well formed",
    "E3633": "a stream's mapping says where it begins",
    "E3705": "batches of FIFO queues are 10 at most",
}

SERVERLESS = {
    "WS1000": "functions are traced",
    "WS1003": "no permission by a star",
    "WS1004": "logs have a retention",
    "ES1005": "memory is chosen",
    "ES1006": "the timeout is chosen",
    "ES1001": "a mapping has a destination for failures",
    "ES7000": "a subscription keeps what it cannot deliver",
    "ES6000": "a queue has a dead-letter queue, or is one",
}

# What a linter cannot see: the rule of ours that looks at it instead, for which findings, and why.
ANSWERED: dict[str, tuple[str, Callable[[str], bool], str]] = {
    "WS1004": ("logs-end", lambda _: True, "functions share the stack's log group, and the linter knows one per function"),
    "ES1001": ("dead-letters", lambda message: "RelayMapping" not in message,
               "a queue's mapping can have none, the queue's redrive is its destination"),
    "ES6000": ("set-aside-sources", lambda _: True, "what is set aside goes nowhere else, and says so (denyAll)"),
}

CHECKOV = {
    26: "topics are encrypted",
    27: "queues are encrypted",
    119: "tables are encrypted with a customer's key",
    158: "logs are encrypted with a customer's key",
    28: "tables recover to any second",
    62: "no policy allows everything",
    63: "no policy allows every action",
    107: "no policy exposes credentials",
    108: "no policy lets data out",
    109: "no policy manages permissions",
    110: "no policy lets somebody rise",
    111: "no policy writes without bounds",
}

NOT_APPLICABLE = {
    116: ("functions have a dead-letter queue", "nothing invokes them asynchronously but the auditor's minute, whose retry is the next"),
    117: ("functions run in a VPC", "they talk to AWS's own end points only; a VPC would add cost and take away nothing"),
}

OWN = {
    "encryption with the stack's own key, which topics and logs may use": ["customer-keys", "key-policy", "key-reuse"],
    "least privilege: a role each, no whole tables, own aggregates only": ["own-role", "no-scan", "journal-writers"],
    "no star, services on behalf of this account only, TLS only": ["no-star", "service-source", "tls-only"],
    "queues: six timeouts, dead letters for 14 days whose source is named": ["visibility", "dead-letters", "set-aside-retention", "set-aside-sources"],
    "messages: no dedup by content, raw delivery, single failures": ["no-content-dedup", "subscription", "single-failures"],
    "mappings: bounded, from the first record, nothing deleted unseen": ["stream-mapping", "queue-mapping", "mapping-enabled", "mapping-ends"],
    "tables: recovery, protection, Retain; the journal outlives the dead letters": ["tables-survive", "stream-images", "no-forgetting"],
    "the HTTP API has limits and an access log; logs end": ["api-limits", "logs-end"],
}

# What: what it gets, and the tests that keep it.
TESTS: dict[str, tuple[str, list[str]]] = {
    "policies: a role adds rows of its own aggregates only, also when no key is named": ("denied", [
        "a_role_adds_rows_of_its_own_aggregates_only", "without_the_guard_no_key_at_all_would_be_allowed"]),
    "every rule of ours fails on a template that breaks it": ("found", ["every_rule_fails_on_a_template_that_breaks_it"]),
    "an alarm for each path that can lose, delay or double": ("found when missing; not asked of the template yet", [
        "every_alarm_that_is_missing_unheard_or_without_a_runbook_is_found"]),
    "HTTP: another tenant's resource": ("404, nothing written", ["p4_a_tenant_cannot_see_or_cancel_anothers_order"]),
    "HTTP: body too large, wrong content type": ("413, 415", ["p14_a_body_that_is_too_large_is_413_and_another_type_415"]),
    "HTTP: bad UTF-8, BOM, empty, deep, duplicate keys, unknown fields, huge numbers": ("400 naming the place", [
        "p14_a_body_that_is_not_as_it_should_be_is_400_and_names_the_place"]),
    "HTTP: ids with #, NUL, CR/LF, RTL marks, too long": ("400", ["p14_ids_that_could_forge_a_key_are_400"]),
    "HTTP: Idempotency-Key missing; reused with another body": ("400, 422", [
        "p14_a_missing_idempotency_key_is_400", "p9_the_same_key_with_another_body_is_422"]),
    "event above 200 KiB; more than 100 actions or 4 MB": ("refused before anything is sent", [
        "a_body_is_too_big_from_its_first_byte_above_the_limit_on", "a_commit_that_is_accepted_is_within_every_limit"]),
    "stream: a record that cannot be read": ("kept, the shard goes on", ["p12_a_stream_record_that_cannot_be_read_is_kept_and_the_shard_goes_on"]),
    "queue: not JSON, wrapped, another tenant's group": ("kept whole with the reason, nothing written", [
        "p12_a_body_that_is_no_envelope_is_kept_whole_with_its_reason", "p4_an_envelope_under_another_tenants_group_writes_nothing_and_is_kept"]),
    "queue: unknown type or version": ("held back and tried again", [
        "p12_an_unknown_type_holds_its_aggregate_back_and_is_tried_again", "p12_an_unknown_version_holds_its_aggregate_back_and_is_tried_again"]),
    "queue: seq ≤ cursor, gap": ("acknowledged; filled from the journal", [
        "p2_a_late_duplicate_behind_newer_events_changes_nothing", "p1_p3_a_missing_event_is_read_from_the_journal_and_applied_first"]),
    "queue: not an SQS event, no records": ("a clear error; an empty answer", ["what_is_no_sqs_event_is_an_error_and_an_empty_one_is_empty"]),
    "CLI: not without --yes, two operators at once": ("a dry run; one of them", [
        "p7_the_command_retries_a_parked_row_and_keeps_who_and_why_on_record", "p7_two_operators_who_retry_one_row_are_one"]),
    "CLI: a wrong question": ("2, and what to ask instead", ["wrong_questions_end_with_2_and_a_missing_catalogue_says_what_to_do"]),
    "CLI: text of others": ("cannot move the terminal", ["what_others_wrote_cannot_move_the_terminal"]),
    "schemas: a breaking change": ("refused at build", ["each_breaking_kind_is_refused_with_a_sentence"]),
    "template parameters: missing, empty or wrong at a function's start": ("all problems in one message", [
        "everything_missing_or_wrong_is_named_in_one_message"]),
}
