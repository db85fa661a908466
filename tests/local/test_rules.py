"""What `make rules` makes of the tests that its rows name: one that failed, is gone, or did not run is no rule kept.

Must not need cargo. Run: python -m unittest discover -s tests/local
"""
from __future__ import annotations

import unittest

import rules
from rules_rows import TESTS

HERE = "a_stale_version_is_409_with_the_current_one"
LATER = "p9_who_decides_on_a_version_that_is_gone_gets_409_with_the_current_one"
NAMES = {name for _, names in TESTS.values() for name in names}
PROMISES = {name for name in NAMES if name.startswith("p") and name[1:2].isdigit()}


def broken(passed: set[str], failed: set[str], listed: set[str]) -> dict[str, str]:
    return {row.what: row.remark for row in rules.judged(passed, failed, listed) if not row.holds}


class Rows(unittest.TestCase):
    def test_a_row_is_kept_when_all_of_its_tests_have_passed_or_are_promises_that_there_are(self) -> None:
        self.assertEqual({}, broken(NAMES - PROMISES, set(), PROMISES))
        self.assertEqual({}, broken(NAMES, set(), PROMISES))

    def test_a_test_that_failed_or_is_gone_breaks_its_row(self) -> None:
        row = "HTTP: a stale version"
        for passed, failed, listed in ((NAMES - PROMISES - {HERE}, {HERE}, PROMISES), (NAMES - PROMISES - {HERE}, set(), PROMISES),
                                       (NAMES - PROMISES, set(), PROMISES - {LATER}), (NAMES - {LATER}, {LATER}, PROMISES)):
            self.assertEqual([row], list(broken(passed, failed, listed)))

    def test_a_row_whose_tests_all_run_elsewhere_is_not_kept_here(self) -> None:
        self.assertEqual(len(TESTS), len(broken(set(), set(), NAMES)))

    def test_each_row_has_a_test_that_needs_no_pipeline(self) -> None:
        self.assertEqual([], [what for what, (_, names) in TESTS.items() if set(names) <= PROMISES])


if __name__ == "__main__":
    unittest.main()
