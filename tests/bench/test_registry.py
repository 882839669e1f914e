"""bench/registry.py: a new subject or experiment is one new file, and is found by its name."""

from __future__ import annotations

import subprocess
import sys

import pytest

from bench import experiments, subjects
from labrt.errors import LabError


def test_every_file_is_an_entry() -> None:
    assert {"process", "labrt", "vm", "vm-disk"} <= set(subjects.names())
    assert {"runc", "crun", "podman", "docker"} <= set(subjects.names())
    assert {"startup", "stop", "memory", "density"} <= set(experiments.names())


def test_a_dash_in_a_name_is_an_underscore_in_the_files() -> None:
    assert {"labrt-cli", "labrt-bridge"} <= set(subjects.names())
    assert subjects.make("labrt-cli").name == "labrt-cli"


@pytest.mark.parametrize("name", experiments.names())
def test_an_experiment_says_what_it_asks_how_and_what_it_cannot_tell(name: str) -> None:
    experiment = experiments.make(name)
    assert experiment.name == name
    for text in (experiment.title, experiment.question, experiment.method, experiment.limits):
        assert len(text) > 3
    assert len(experiment.failed_row()) == 3


@pytest.mark.parametrize("name", subjects.names())
def test_a_subject_is_made_without_starting_anything(name: str) -> None:
    subject = subjects.make(name, connection="test:///default")
    assert subject.name == name
    assert subject.kind in ("process", "container", "vm")


@pytest.mark.parametrize("registry", [subjects, experiments])
def test_an_unknown_name_is_told_with_those_there_are(registry: object) -> None:
    with pytest.raises(LabError) as caught:
        registry.make("nothing")  # type: ignore[attr-defined]
    assert "'nothing'" in str(caught.value)
    for name in registry.names():  # type: ignore[attr-defined]
        assert name in caught.value.remedy


def test_base_is_no_entry() -> None:
    for registry in (subjects, experiments):
        with pytest.raises(LabError):
            registry.make("base")


def test_the_command_line_imports_nothing_heavy() -> None:
    code = (
        "import sys, bench.__main__, bench.run, bench.experiments, bench.subjects\n"
        "heavy = {'pandas', 'matplotlib', 'scipy', 'numpy', 'libvirt', 'jinja2', 'IPython'}\n"
        "heavy |= {'dask', 'distributed'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
