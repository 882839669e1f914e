"""The judges of the lesson "mnt" can reach each of their answers."""

from __future__ import annotations

import subprocess

import labrt
from labrt.lessons.course import mnt
from labrt.lessons.lesson import prediction
from labrt.lessons.small_root import SmallRoot


def test_the_judges_of_mnt() -> None:
    for identity in ("mnt-p1", "mnt-p3"):
        judge = prediction(identity).judge
        found = (["old", "bin"], ["etc", "bin"], [])
        assert [judge(seen=seen, folder=["bin", "old"]) for seen in found] == ["a", "b", "c"]
    judge = prediction("mnt-p2").judge
    pairs = ((1, 1), (1, 0), (0, 0))
    assert [judge(container=inside, host=host) for inside, host in pairs] == ["a", "b", "c"]


def test_half_a_pivot_and_a_chroot_are_told_from_a_whole_one() -> None:
    left = _seen("cd {0} && bin/pivot_root . old && exec /bin/sleep 60")
    assert "the host's root is still mounted, on /old" in left
    assert "as by chroot" in _seen("exec unshare --root {0} sleep 60")
    whole = "cd {0} && bin/pivot_root . old && /bin/umount -l /old && exec /bin/sleep 60"
    assert mnt.ALONE in _seen(whole)


def _seen(script: str) -> str:
    """Return what the check mnt-02 says of a process that a script has become."""
    script = "echo > {0}/here; mount --bind {0} {0}; " + script
    words = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]
    with SmallRoot() as folder, subprocess.Popen([*words, script.format(folder)]) as process:
        try:
            while labrt.lessons.observe.name(process.pid) != "sleep":
                assert process.poll() is None
            return mnt.LESSON.checks[1].observe("here").saw
        finally:
            process.kill()
