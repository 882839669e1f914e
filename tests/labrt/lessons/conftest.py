"""What the lessons' tests share: a student whose ledger is empty."""

from __future__ import annotations

import pytest

from labrt.lessons import ledger


@pytest.fixture
def student(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    """A student of this test alone, in the LAB_HOME of the package."""
    name = f"student-{abs(hash(request.node.nodeid))}"
    monkeypatch.setenv("LAB_STUDENT", name)
    assert not ledger.path().exists()
    return name
