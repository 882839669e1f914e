"""The judges of the lesson "user" can reach each of their answers; its check tells owners apart."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import labrt
from labrt.lessons import id_maps
from labrt.lessons.course import user
from labrt.lessons.lesson import prediction


def test_the_judges_of_user() -> None:
    judge = prediction("user-p1").judge
    assert [judge(host_uid=uid) for uid in (0, 1000)] == ["a", "b"]
    judge = prediction("user-p2").judge
    assert [judge(said=said) for said in ("26", "sh: Permission denied")] == ["a", "b"]
    judge = prediction("user-p3").judge
    overflow = id_maps.overflow_uid()
    assert [judge(uid=uid, host_uid=1000) for uid in (0, 1000, overflow)] == ["a", "b", "c"]
    assert judge(uid=overflow, host_uid=overflow) == "c"


@pytest.mark.skipif(os.geteuid() != 0, reason="another's file takes root")
@pytest.mark.usefixtures("nothing_left")
def test_a_file_of_the_hosts_root_is_not_the_containers(tmp_path: Path) -> None:
    (tmp_path / "here").touch()
    with labrt.run("busybox", ["sleep", "60"], volume=(f"{tmp_path}:/shared",)) as box:
        verdict = user.LESSON.checks[0].observe("here")
        assert not verdict.passed
        assert "belongs to uid 0 of the host, not the container's root" in verdict.saw
        root = id_maps.uid_map(box)[0].host_id
        os.chown(tmp_path / "here", root, root)
        assert user.LESSON.checks[0].observe("here").passed
