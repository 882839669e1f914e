"""bench/static_image.py: one static program in an image of its own, built once."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from bench import static_image
from bench.demand import DEMAND
from bench.probe import PROBE
from bench.static_image import StaticImage
from bench.subjects.base import Workload
from labrt.errors import LabError


@pytest.fixture
def program(tmp_path: Path) -> StaticImage:
    """A program of two files."""
    (tmp_path / "hello.c").write_text('#include "hello.h"\nint main(void) { return answer(); }\n')
    (tmp_path / "hello.h").write_text("int answer(void);\n")
    (tmp_path / "other.c").write_text('#include "hello.h"\nint answer(void) { return 42; }\n')
    entrypoint = 'FROM busybox\nCOPY hello /bin/hello\nENTRYPOINT ["/bin/hello"]\n'
    (tmp_path / "Containerfile").write_text(entrypoint)
    return StaticImage(tmp_path / "hello.c")


def test_it_is_built_once_and_anew_when_a_file_changes(
    workload: Workload, program: StaticImage
) -> None:
    first = program.image()
    assert first.entrypoint == ("/bin/hello",)
    assert program.image().digest == first.digest
    (program.source.with_name("other.c")).write_text("int answer(void) { return 43; }\n")
    assert program.image().digest != first.digest


@pytest.mark.parametrize("image", [PROBE, DEMAND])
def test_the_images_of_the_bench_can_be_built(workload: Workload, image: StaticImage) -> None:
    assert image.image().entrypoint == (f"/bin/{image.source.stem}",)


def test_a_program_that_does_not_compile_says_why(program: StaticImage, tmp_path: Path) -> None:
    program.source.write_text("int main(void) { return nothing; }\n")
    with pytest.raises(LabError, match=r"compile hello\.c: .*nothing"):
        program.compile(tmp_path / "hello")


def test_without_a_compiler_it_says_how_to_get_one(
    program: StaticImage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    assert shutil.which("cc") is None
    assert "gcc" in str(static_image.unavailable())
    with pytest.raises(LabError, match="no C compiler"):
        program.image()
