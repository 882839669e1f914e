"""The judges of the lesson "ipc" can reach each of their answers."""

from __future__ import annotations

from labrt.lessons.lesson import prediction


def test_the_judges_of_ipc() -> None:
    judge = prediction("ipc-p1").judge
    assert [judge(key=7, keys=keys) for keys in ([7], [])] == ["a", "b"]
    judge = prediction("ipc-p2").judge
    answers = ("File exists", "made", "Operation not permitted")
    assert [judge(answer=answer) for answer in answers] == ["a", "b", "c"]
    judge = prediction("ipc-p3").judge
    assert judge(key=7, keys=[7], namespace_left=False) == "a"
    assert judge(key=7, keys=[], namespace_left=False) == "b"
    assert judge(key=7, keys=[], namespace_left=True) == "c"
