"""bench/meter: one static program in an image of its own, built once."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bench import static_image, work
from bench.marks import MarkReader
from bench.meter import METER
from bench.subjects.base import Workload
from bench.work import Work
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


@contextmanager
def running(program: Path, *words: str) -> Iterator[Work]:
    """Run a meter until it has done its words; it lives while the block does."""
    with subprocess.Popen([program, *words], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        marks = MarkReader(os.dup(process.stdout.fileno()))
        try:
            marks.wait(work.DONE, 60)
            yield work.read(marks.seen())
        finally:
            process.terminate()
            marks.wait_end(60)  # what it has forked has ended, too
            marks.close()


def test_one_serves_another_over_the_network_and_each_part_is_counted(program: Path) -> None:
    with running(program, "serve:127.0.0.1") as server:
        words = [f"to:it:127.0.0.1:{server.said['port']}", "roundtrip", "send", "receive"]
        for _ in range(2):  # one client after the other
            with running(program, *words) as done:
                counts = {name: part.count for name, part in done.parts.items()}
                assert counts == {
                    "it-roundtrip": 5000,
                    "it-send": 256 << 20,
                    "it-receive": 256 << 20,
                }


def test_a_server_is_reached_at_its_own_address_only_and_ends_with_its_meter(program: Path) -> None:
    with running(program, "serve:127.0.0.2") as server:
        port = int(server.said["port"])
        socket.create_connection(("127.0.0.2", port), 10).close()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), 10)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.2", port), 10)


def test_a_server_that_is_not_there_or_goes_away_is_told(program: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        words = [f"to:it:127.0.0.1:{port}", "send"]
        with subprocess.Popen([program, *words], stderr=subprocess.PIPE, text=True) as asking:
            connection, _ = other.accept()
            connection.close()
            _, told = asking.communicate(timeout=60)
    assert (asking.returncode, told) == (
        1,
        f"meter: it-send: the connection to 127.0.0.1:{port} ended\n",
    )
    refused = subprocess.run([program, *words], capture_output=True, text=True)
    assert refused.returncode == 1
    assert f"connect to 127.0.0.1:{port}: Connection refused" in refused.stderr


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["send"], "no server was named"),
        (["to:it:127.0.0.1"], "not to:NAME:ADDRESS:PORT"),
        (["to:it:127.0.0.1:80x"], "not to:NAME:ADDRESS:PORT"),
        (["serve:localhost"], "no IPv4 address"),
    ],
)
def test_words_that_name_no_server_are_told(program: Path, words: list[str], told: str) -> None:
    done = subprocess.run([program, *words], capture_output=True, text=True)
    assert done.returncode == 2
    assert told in done.stderr


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
    shutil.copy(METER.source.with_name("meter.h"), small.parent)
    sources = [small, METER.source.with_name("net.c")]
    subprocess.run([*static_image.COMPILER, "-o", program.with_name("small"), *sources], check=True)
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
