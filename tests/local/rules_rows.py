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
    "parameters: timeout × 6 > visibility, retention ≤ 0, empty": ["parameters", "visibility", "no-forgetting"],
    "alarms: each path, silence too, each with its runbook": ["alarms", "alarms-silence", "alarms-told"],
}

# A row of bad input, what it gets, and the tests that keep it. Tests whose names begin with a promise (p4_, usage_) need the
# pipeline: `make test` runs them, and `make rules PROMISES=1`. The others run each time, and must have passed.
TESTS: dict[str, tuple[str, list[str]]] = {
    "policies: a role adds rows of its own aggregates only, also when no key is named": ("denied", [
        "a_role_adds_rows_of_its_own_aggregates_only", "without_the_guard_no_key_at_all_would_be_allowed"]),
    "every rule of ours fails on a template that breaks it": ("found", [
        "every_rule_fails_on_a_template_that_breaks_it", "the_templates_keep_every_rule"]),
    "an alarm for each path that can lose, delay or double": ("found whichever is taken away; none is a choice", [
        "an_alarm_that_is_taken_away_is_missed_whichever_it_is", "a_stage_without_alarms_is_a_choice_that_somebody_must_make"]),
    "HTTP: no token, an expired one, another's": ("401, nothing written", [
        "what_is_unsigned_or_changed_or_no_token_is_refused", "a_claim_that_is_not_as_it_must_be_refuses_the_token",
        "only_a_bearer_token_counts_as_one", "nobody_is_a_stranger_while_the_issuer_is_away_and_nobody_is_let_in",
        "p4_a_token_that_the_issuer_would_not_give_is_401_and_writes_nothing"]),
    "HTTP: another tenant in the body, the query or a header": ("403, nothing written, nothing echoed", [
        "a_request_that_names_another_tenant_is_forbidden_wherever_it_does",
        "p4_a_request_that_names_another_tenant_than_its_token_is_403_and_writes_nothing"]),
    "HTTP: another tenant's resource": ("404, nothing written", [
        "another_tenants_order_is_404_a_reused_key_422_a_stale_version_409_and_nothing_is_written", "p4_a_tenant_cannot_see_or_change_what_is_anothers"]),
    "HTTP: body too large, wrong content type": ("413, 415", [
        "a_body_that_is_too_large_is_413_another_type_415_and_no_key_400", "p14_a_body_that_is_too_large_is_413_and_another_type_415"]),
    "HTTP: bad UTF-8, BOM, empty, deep, duplicate keys, unknown fields, huge numbers": ("400 naming the place, never the value", [
        "a_body_that_is_not_as_it_should_be_is_400_names_the_place_and_writes_nothing",
        "p14_a_body_that_is_not_as_it_should_be_is_400_and_names_the_place"]),
    "HTTP: ids with #, /, NUL, CR/LF, RTL marks, lookalikes, too long": ("400; strict ASCII, never normalised", [
        "names_that_could_forge_a_key_are_refused", "a_name_with_one_forbidden_character_anywhere_is_refused",
        "an_id_in_a_path_that_could_forge_a_key_is_400_and_never_mended",
        "a_name_is_refused_from_its_first_byte_above_the_limit_on", "a_refusal_never_echoes_the_value",
        "p14_ids_that_could_forge_a_key_are_400"]),
    "HTTP: Idempotency-Key missing; reused with another body": ("400, 422", [
        "a_body_that_is_too_large_is_413_another_type_415_and_no_key_400",
        "another_tenants_order_is_404_a_reused_key_422_a_stale_version_409_and_nothing_is_written",
        "two_requests_have_one_hash_only_if_they_are_the_same", "p14_a_missing_idempotency_key_is_400",
        "p9_the_same_key_with_another_body_is_422"]),
    "HTTP: a stale version": ("409 with the current one", [
        "a_stale_version_is_409_with_the_current_one", "p9_who_decides_on_a_version_that_is_gone_gets_409_with_the_current_one"]),
    "HTTP: rate exceeded": ("429 with Retry-After, nothing written", [
        "above_the_limit_it_is_429_and_says_in_whole_seconds_when_to_come_back",
        "the_same_key_works_later_and_a_replay_is_answered_and_costs_nothing",
        "p11_above_its_limit_a_tenant_gets_429_and_nothing_is_written"]),
    "event above 200 KiB; more than 100 actions or 4 MB": ("refused before anything is sent", [
        "a_body_is_too_big_from_its_first_byte_above_the_limit_on", "a_commit_that_is_accepted_is_within_every_limit",
        "a_tx_that_dynamodb_would_refuse_is_refused_with_a_sentence"]),
    "stream: REMOVE by TTL or by hand, MODIFY, no image": ("ignored and counted; an insert is kept", [
        "an_insert_is_a_row_and_anything_else_is_ignored"]),
    "stream: KEYS_ONLY or another wrong view": ("fails before anything is passed over; doctor stream-images", [
        "a_stream_without_new_images_fails_loudly"]),
    "stream: a row that cannot be read, a number over 38 digits": ("kept with an alarm, the shard goes on", [
        "a_record_that_is_no_journal_row_does_not_stop_the_shard",
        "p12_a_stream_record_that_cannot_be_read_is_kept_and_the_shard_goes_on"]),
    "queue: not JSON, wrapped, another tenant's group": ("kept whole with the reason, nothing written", [
        "a_body_that_is_no_envelope_is_refused_without_quoting_it", "any_body_is_read_or_refused_without_panic",
        "p12_a_body_that_is_no_envelope_is_kept_whole_with_its_reason",
        "p4_an_envelope_under_another_tenants_group_writes_nothing_and_is_kept"]),
    "queue: unknown type or version": ("held back and tried again", [
        "a_failed_row_of_an_unknown_type_is_not_passed_over", "a_newer_version_is_read_if_it_brings_this_one_along_and_waits_otherwise",
        "p12_an_unknown_type_holds_its_aggregate_back_and_is_tried_again", "p12_an_unknown_version_holds_its_aggregate_back_and_is_tried_again"]),
    "queue: seq ≤ cursor, gap": ("acknowledged; filled from the journal", [
        "the_decision_never_runs_a_row_at_or_below_the_cursor", "any_delivery_applies_each_handled_row_once_and_in_order",
        "p2_a_late_duplicate_behind_newer_events_changes_nothing", "p1_p3_a_missing_event_is_read_from_the_journal_and_applied_first"]),
    "queue: a time in the future": ("decides nothing", ["a_time_in_the_future_or_long_ago_decides_nothing"]),
    "queue: a forged replay flag": ("not even read; a forged replay is kept whole", [
        "a_forged_flag_in_a_body_is_not_even_read", "no_attribute_of_a_message_says_what_it_is_good_for",
        "a_replay_that_came_as_an_event_is_kept_whole_and_applies_nothing"]),
    "queue: no records, no message id, not an SQS event": ("an empty answer; a clear error", [
        "what_is_no_sqs_event_is_an_error_and_an_empty_one_is_empty"]),
    "CLI: no target, or two": ("2, and what to give", ["a_question_that_names_no_stack_or_two_ends_with_2_and_says_what_to_give"]),
    "CLI: --all without --yes, --yes without --all": ("a dry run; 2", [
        "every_parked_row_is_meant_only_by_who_says_all_and_nothing_is_done_without_yes",
        "p7_the_command_retries_a_parked_row_and_keeps_who_and_why_on_record"]),
    "CLI: a range that is reversed or to come": ("2", ["a_span_that_is_reversed_or_to_come_is_refused", "a_time_is_a_point_or_how_long_ago"]),
    "CLI: a wrong account or region": ("1, and which region was asked", [
        "a_stack_of_another_account_or_region_is_not_found_and_the_region_is_said"]),
    "CLI: two operators at once": ("one of them; the other gets 4", [
        "the_exit_code_says_whether_all_is_through_or_some_or_somebody_was_faster", "a_row_shows_what_became_of_the_order",
        "p7_two_operators_who_retry_one_row_are_one"]),
    "CLI: Ctrl-C": ("what is begun ends in order, 3, the same command goes on", [
        "ctrl_c_lets_what_is_begun_end_in_order", "the_exit_code_says_whether_all_is_through_or_some_or_somebody_was_faster"]),
    "CLI: broken pipe, no terminal": ("no error; no colours, no bar", [
        "a_reader_that_has_seen_enough_is_no_error", "findings_end_with_3_and_no_terminal_gets_no_colours_and_no_bar"]),
    "CLI: exit codes": ("usage 2, partial 3, conflict 4", [
        "wrong_questions_end_with_2_and_a_missing_catalogue_says_what_to_do", "what_is_misspelt_or_contradicts_itself_ends_with_2",
        "the_exit_code_says_whether_all_is_through_or_some_or_somebody_was_faster"]),
    "CLI: text of others": ("cannot move the terminal", ["what_others_wrote_cannot_move_the_terminal"]),
    "schemas: a cyclic or remote $ref": ("refused at build, no network", [
        "a_schema_that_leaves_its_file_turns_in_a_circle_or_is_none_is_refused_with_its_place"]),
    "schemas: a breaking change": ("refused at build", [
        "each_breaking_kind_is_refused_with_a_sentence", "every_breaking_change_is_refused_at_its_place_with_a_sentence_and_has_a_witness"]),
    "schemas: a version twice, a missing upcaster": ("refused at build", [
        "versions_only_grow_by_one_and_stay_listed", "a_second_version_needs_an_upcast_a_sunset_and_the_first_one_beside_it"]),
    "template parameters: missing, empty or wrong at a function's start": ("all problems in one message", [
        "everything_missing_or_wrong_is_named_in_one_message", "a_journal_that_would_forget_before_the_dead_letters_do_does_not_start",
        "an_api_does_not_start_without_an_issuer_whose_keys_can_be_trusted"]),
    "logs: CR/LF, ANSI, megabytes": ("one escaped line; its beginning and its size", [
        "what_others_wrote_is_one_escaped_line_however_it_looks", "a_megabyte_becomes_its_beginning_and_its_size"]),
    "logs: secrets, personal data": ("in no line", [
        "personal_data_is_written_as_it_is_and_shown_to_nobody", "personal_data_and_secrets_are_in_no_line",
        "a_body_that_is_no_envelope_is_refused_without_quoting_it", "the_fact_that_a_row_was_parked_quotes_neither_the_event_nor_the_error",
        "p11_one_tenant_is_watched_without_a_deploy_and_the_logs_are_silent_about_others"]),
}
