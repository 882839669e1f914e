"""bench/claims/verdict.py: how findings make a verdict."""

from __future__ import annotations

import pytest

from bench.claims.verdict import FAILS, HOLDS, LIMITED, OPEN, UNMEASURED, Finding, verdict

YES, NO, UNKNOWN = (Finding(holds, f"It is {holds}.") for holds in (True, False, None))
UNDER = Finding(True, "It is so.", limits=("The VM ran under TCG.",))


@pytest.mark.parametrize(
    ("findings", "word"),
    [
        ([], UNMEASURED),
        ([None, None], UNMEASURED),
        ([YES, None], HOLDS),
        ([YES, UNDER], LIMITED),
        ([YES, NO], LIMITED),
        ([YES, UNKNOWN], LIMITED),
        ([NO, UNKNOWN], FAILS),
        ([UNKNOWN], OPEN),
    ],
)
def test_a_verdict_is_what_its_findings_are(findings: list[Finding | None], word: str) -> None:
    assert verdict(findings).verdict == word


def test_a_limit_says_what_does_not_hold() -> None:
    found = verdict([YES, NO, UNKNOWN])
    assert found.sentences == ("It is True.",)
    assert found.limits == ("Not so: It is False.", "Not decided: It is None.")


def test_what_stands_beside_decides_nothing() -> None:
    found = verdict([NO], [YES])
    assert found.verdict == FAILS
    assert found.sentences == ("It is False.", "It is True.")


def test_the_fewest_samples_count() -> None:
    findings = [Finding(True, "", n={"labrt": 7, "vm": 5}), Finding(True, "", n={"labrt": 3})]
    assert verdict(findings).n == {"labrt": 3, "vm": 5}
