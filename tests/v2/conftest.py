"""Starts the guest that is run always, not only with --all, while other tests run."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.v2 import guest
from tests.v2.ahead import Ahead

TESTS = Path(__file__).with_name("test_pure_v2.py")
PLUGIN = "v2-guest-ahead"


def pytest_collection_finish(session: pytest.Session) -> None:
    """If its tests are among those selected."""
    wanted = [
        item.callspec.params["result"]
        for item in session.items
        if item.path == TESTS and not item.get_closest_marker("slow")
    ]
    if wanted and guest.unavailable() is None:
        session.config.pluginmanager.register(Ahead(*wanted[0]), PLUGIN)


@pytest.fixture(scope="session")
def ahead(pytestconfig: pytest.Config) -> Ahead | None:
    return pytestconfig.pluginmanager.get_plugin(PLUGIN)
