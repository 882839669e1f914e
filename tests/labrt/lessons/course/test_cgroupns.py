"""The judges of the lesson "cgroupns" can reach each of their answers."""

from __future__ import annotations

from labrt.lessons.lesson import prediction


def test_the_judges_of_cgroupns() -> None:
    judge = prediction("cgroupns-p1").judge
    assert judge(inside={"v2": "/labrt/lab-1", "pids": "/"}) == "a"
    assert judge(inside={"v2": "/", "pids": "/"}) == "b"
    for identity in ("cgroupns-p2", "cgroupns-p3"):
        judge = prediction(identity).judge
        assert [judge(before={"v2": "/x"}, after={"v2": at}) for at in ("/y", "/x")] == ["a", "b"]
