"""labrt/building/bases.py: python on top of debian, the example of a build."""

from __future__ import annotations

import pytest

import labrt
from labrt.building import bases
from labrt.images import base, store
from tests.labrt.conftest import needs_root

pytestmark = [pytest.mark.slow, needs_root, pytest.mark.timeout(300)]


def test_python_is_one_layer_on_top_of_debian_and_runs() -> None:
    made = bases.ensure("python")
    assert made.layers[:-1] == base.ensure("debian").layers
    assert labrt.output("python", ["python3", "-c", "print(6 * 7)"]) == "42\n"
    assert bases.ensure("python") == store.resolve("python")
