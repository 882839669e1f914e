"""bench/meter: one static program in an image of its own, built once."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from bench import static_image, work
from bench.marks import MarkReader
from bench.meter import METER
from bench.subjects.base import Workload
from labrt.errors import LabError

PARTS = {
    "cpu": ("integers", "floats"),
    "bandwidth": ("triad",),
    "latency": ("syscall", "switch", "fault", "fork"),
}


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("meter") / "meter"
    METER.compile(path)
    return path


def test_each_part_is_done_and_counted(program: Path) -> None:
    parts = [part for several in PARTS.values() for part in several]
    with subprocess.Popen([program, *parts], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        marks = MarkReader(os.dup(process.stdout.fileno()))
        marks.wait(work.DONE, 60)
        done = work.read(marks.seen())
        process.terminate()
    marks.close()
    assert list(done.parts) == parts
    assert all(part.seconds > 0.001 for part in done.parts.values())
    assert done.said["integers"] == "22938473"  # the steps of the first 199,999 numbers
    assert process.returncode == 0


def test_the_steps_it_counts_are_the_steps_there_are(program: Path) -> None:
    def steps(number: int) -> int:
        count = 0
        while number != 1:
            number = 3 * number + 1 if number % 2 else number // 2
            count += 1
        return count

    source = METER.source.read_text().replace("COLLATZ = 200000", "COLLATZ = 1000")
    small = program.with_name("small.c")
    small.write_text(source)
    subprocess.run([*static_image.COMPILER, "-o", program.with_name("small"), small], check=True)
    with subprocess.Popen([program.with_name("small"), "integers"], stdout=subprocess.PIPE) as one:
        assert one.stdout is not None
        said = [one.stdout.readline().decode() for _ in range(5)]
        one.terminate()
    assert said[-1].split() == ["lab:said", "integers", str(sum(map(steps, range(1, 1000))))]


def test_an_unknown_part_is_told(program: Path) -> None:
    done = subprocess.run([program, "nonsense"], capture_output=True, text=True)
    assert done.returncode == 2
    assert "no part nonsense" in done.stderr


def test_the_image_is_built_once(workload: Workload) -> None:
    first = METER.image()
    assert first.entrypoint == ("/bin/meter",)
    assert METER.image().digest == first.digest


def test_without_a_compiler_it_says_how_to_get_one(
    workload: Workload, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    assert "gcc" in str(static_image.unavailable())
    with pytest.raises(LabError, match="no C compiler"):
        METER.image()
