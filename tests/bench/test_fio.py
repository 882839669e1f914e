"""bench/fio: the host's own fio in an image, without the libraries of storages it never calls."""

from __future__ import annotations

import configparser
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from bench import fio, static_image
from bench.subjects.base import Workload
from labrt.errors import LabError
from labrt.images import layers

UNITS = {"k": 2**10, "m": 2**20}

pytestmark = pytest.mark.skipif(fio.unavailable() is not None, reason=str(fio.unavailable()))


@pytest.fixture
def program(workload: Workload) -> list[str]:
    """The image's fio, where its layer is unpacked: a command to which arguments can be added."""
    (folder,) = (each / "fio" for each in layers.unpacked(fio.image()) if (each / "fio").is_dir())
    libraries = folder / "lib"
    loader = [f"{libraries}/ld.so", "--library-path", str(libraries)]
    return [*loader, "--preload", f"{libraries}/marks.so", f"{folder}/fio"]


@pytest.fixture(scope="module")
def jobs() -> configparser.ConfigParser:
    found = configparser.ConfigParser(allow_no_value=True, interpolation=None)
    found.read(fio.JOBS)
    return found


def number(text: str) -> int:
    """Return fio's "256m" in bytes."""
    return int(text[:-1]) * UNITS[text[-1]]


def told(jobs: configparser.ConfigParser, name: str) -> int:
    """Return how much work a job's mark says it was."""
    found = re.fullmatch(rf"lab:end {name} (\d+)", jobs[name]["exec_postrun"])
    assert found
    return int(found[1])


def test_it_is_the_hosts_own_program(program: list[str]) -> None:
    assert Path(program[-1]).read_bytes() == fio.program().read_bytes()
    ours, hosts = (
        subprocess.run([*command, "--version"], capture_output=True, text=True, check=True).stdout
        for command in (program, ["fio"])
    )
    assert ours == hosts


def test_it_loads_nothing_from_outside_its_folder(program: list[str]) -> None:
    environment = {"LD_TRACE_LOADED_OBJECTS": "1"}
    done = subprocess.run(program, env=environment, capture_output=True, text=True, check=True)
    folder = str(Path(program[-1]).parent)
    found = re.findall(r"=> (\S+)", done.stdout)
    assert found
    assert [path for path in found if not path.startswith(f"{folder}/")] == []
    assert done.stderr == ""  # each library has the versions that fio wants


def test_it_fits_into_a_small_guests_ram(program: list[str]) -> None:
    folder = Path(program[-1]).parent
    assert sum(file.stat().st_size for file in folder.rglob("*")) < 16 * 2**20


def test_who_calls_a_stand_in_is_ended(tmp_path: Path) -> None:
    fio.stand_in("libnothing.so.1", {"V1": ["one"], "": ["two"]}, tmp_path / "libnothing.so.1")
    source, program = tmp_path / "calls.c", tmp_path / "calls"
    source.write_text("void one(void); int main(void) { one(); return 0; }\n")
    library = str(tmp_path / "libnothing.so.1")
    subprocess.run(["cc", "-o", program, source, library], check=True)
    assert subprocess.run([program], env={"LD_LIBRARY_PATH": str(tmp_path)}).returncode < 0


def test_each_job_tells_its_begin_and_how_much_it_does(jobs: configparser.ConfigParser) -> None:
    assert fio.jobs() == ("read", "write", "randread", "randwrite", "fsync")
    for name in fio.jobs():
        assert jobs[name]["exec_prerun"] == f"lab:begin {name}"
        size, block = number(jobs[name]["io_size"]), number(jobs[name]["bs"])
        assert told(jobs, name) == (size if block == 2**20 else size // block)


def test_fio_itself_counts_as_much_work_as_the_marks_tell(
    program: list[str], jobs: configparser.ConfigParser, tmp_path: Path
) -> None:
    words = [*program, "--output-format=json", "--output=told.json", str(fio.JOBS)]
    script = 'exec "$@" 3>marks'
    subprocess.run(["sh", "-c", script, "sh", *words], cwd=tmp_path, check=True)
    marks = [line.split()[:2] for line in (tmp_path / "marks").read_text().splitlines()]
    assert marks == [[f"lab:{at}", name] for name in fio.jobs() for at in ("begin", "end")]
    told_by_fio = (tmp_path / "told.json").read_text()
    found = json.loads(told_by_fio[told_by_fio.index("{") :])["jobs"]
    assert [each["jobname"] for each in found] == list(fio.jobs())
    for each in found:
        name = each["jobname"]
        counted = "io_bytes" if name in ("read", "write") else "total_ios"
        assert sum(each[side][counted] for side in ("read", "write")) == told(jobs, name)
        synced = told(jobs, name) - 1 if name == "fsync" else 0  # it doesn't count end_fsync
        assert each["sync"]["total_ios"] == synced


def test_without_fio_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    assert shutil.which("fio") is None
    assert "./lab setup" in str(fio.unavailable())
    with pytest.raises(LabError, match="fio is not installed"):
        fio.image()


def test_it_is_built_once(workload: Workload, monkeypatch: pytest.MonkeyPatch) -> None:
    first = fio.image()
    monkeypatch.setattr(static_image, "tempfile", None)  # nothing can be built any more
    assert fio.image().digest == first.digest
