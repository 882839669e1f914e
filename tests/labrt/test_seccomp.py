"""labrt/seccomp.py: a compiled program is kept, by all that it depends on, and never half."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from labrt import paths, seccomp
from labrt.capabilities import DEFAULT
from labrt.errors import LabError

PROFILE = '{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [%s]}'
RULE = '{"names": ["%s"], "action": "SCMP_ACT_ERRNO"}'


@pytest.fixture(autouse=True)
def kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """A cache of the test's own."""
    monkeypatch.setenv("LAB_HOME", str(tmp_path))
    seccomp.bpf.cache_clear()
    yield paths.home() / "seccomp"
    seccomp.bpf.cache_clear()


def anew(profile: str, capabilities: tuple[str, ...] = DEFAULT) -> tuple[int, bytes]:
    """As a process would that starts now."""
    seccomp.bpf.cache_clear()
    return seccomp.bpf(profile, capabilities)


def test_it_is_compiled_once(kept: Path) -> None:
    first = anew("default")
    (file,) = kept.iterdir()
    written = file.stat().st_mtime_ns
    assert anew("default") == first == seccomp.compile_profile(seccomp.text("default"), DEFAULT)
    assert [each.stat().st_mtime_ns for each in kept.iterdir()] == [written]


def test_other_profiles_and_other_capabilities_have_their_own(kept: Path) -> None:
    mkdir, chmod = (PROFILE % RULE % name for name in ("mkdir", "chmod"))
    programs = [anew("default"), anew("default", ("CAP_SYS_ADMIN",)), anew(mkdir), anew(chmod)]
    assert len(set(programs)) == len(list(kept.iterdir())) == 4
    assert anew(mkdir) == programs[2]


@pytest.mark.parametrize("keep", [0, 100, -8])
def test_what_was_cut_short_is_compiled_again(kept: Path, keep: int) -> None:
    whole = anew("default")
    (file,) = kept.iterdir()
    file.write_bytes(file.read_bytes()[:keep])
    assert anew("default") == whole


def test_another_programs_file_of_the_same_name_is_not_taken(kept: Path) -> None:
    profile = PROFILE % RULE % "mkdir"
    right = anew(profile)
    (mine,) = kept.iterdir()
    anew(PROFILE % RULE % "chmod")
    (other,) = set(kept.iterdir()) - {mine}
    mine.write_bytes(other.read_bytes())
    assert anew(profile) == right


@pytest.mark.parametrize(
    ("profile", "what"),
    [
        ("{}", "defaultAction"),
        (PROFILE % '{"names": ["mkdir"], "action": "SCMP_ACT_MAYBE"}', "no action is called"),
        ('{"defaultAction": "SCMP_ACT_ALLOW", "flags": ["NONE"]}', "no flag is called"),
    ],
)
def test_what_is_no_profile_is_refused_and_not_kept(kept: Path, profile: str, what: str) -> None:
    with pytest.raises(LabError, match=what):
        anew(profile)
    assert not kept.exists()
