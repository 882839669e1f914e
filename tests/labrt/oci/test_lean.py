"""labrt/oci/lean.py: the stand-ins behave as the modules they stand for; the rest is theirs.

Each question is asked of two interpreters, one with the stand-ins and one without.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent.parent
BEFORE = f"import sys; sys.path[:0] = [{str(ROOT)!r}]\n"
LEAN = "from labrt.oci import lean; lean.install()\n"


def answers(question: str) -> tuple[str, str]:
    """Return what is printed without the stand-ins, and with them."""
    told = []
    for before in (BEFORE, BEFORE + LEAN):
        code = f"{before}exec(compile({question!r}, 'question', 'exec'))"
        command = [sys.executable, "-I", "-S", "-c", code]
        told.append(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    return told[0], told[1]


QUESTIONS = {
    "records": """
from __future__ import annotations
from dataclasses import dataclass, field, replace
from typing import ClassVar
@dataclass
class Above:
    name: str
    count: int = 3
    found: dict[str, int] = field(default_factory=dict)
    kind: ClassVar[str] = "above"
    @property
    def twice(self) -> int: return self.count * 2
@dataclass(frozen=True)
class Below:
    one: int
    other: tuple[int, ...] = ()
@dataclass
class Lower(Above):
    more: str = "more"
a, b = Above("x"), Above("x")
a.found["k"] = 1
print(vars(a), vars(b), a == b, Above("x") == b, a.twice, a.kind)
print(replace(a, count=5).count, a, Below(1, (2,)), hash(Below(1)) == hash(Below(1)))
print(Lower("n", 1, {}, "m"), {Below(1): "in a dict"}[Below(1)], Below(1) == Below(1, (2,)))
for wrong in (lambda: Above(), lambda: Above("x", none=1)):
    try: wrong()
    except TypeError: print("refused")
""",
    "named tuples": """
from __future__ import annotations
from typing import NamedTuple
class Point(NamedTuple):
    x: int
    y: int = 7
    def total(self) -> int: return self.x + self.y
print(Point(1), Point(1)._replace(y=2), Point(3).total(), Point(1) == (1, 7), Point._fields)
""",
    "json": r"""
import json
for text in ('{"a": [1, -2.5e3, true, null, "\\u00e9\\n"], "b": {}}', ' [] ', '"x"', b'{"k": 1}',
             '{"big": 12345678901234567890}', 'NaN'):
    print(json.loads(text))
for value in ({"a": [1, 2.5, None, True, "\u00e9"], 1: {}}, [], "x"):
    print(json.dumps(value), json.dumps(value, separators=(",", ":")), json.dumps(value, indent=2))
print(json.dumps({"p": {1}}, default=sorted), json.dumps({"b": 1, "a": 2}, sort_keys=True))
for bad in ('{"a": }', '', '{} x', '[1,'):
    try: json.loads(bad)
    except ValueError as error: print(error)
try: json.dumps({1, 2})
except TypeError: print("refused")
""",
    "the rest": """
import re, signal, typing, dataclasses, urllib.parse
print(re.compile("a+", re.IGNORECASE).fullmatch("AA")[0], re.sub("a", "b", "aaa"))
print(re.compile("a", flags=re.IGNORECASE).match("A")[0], re.escape("a.b_*[x]"))
print(int(signal.SIGKILL), signal.Signals(9).name, signal.SIGRTMAX, len(signal.valid_signals()))
print(typing.get_args(typing.Literal["a"]) if hasattr(typing, "get_args") else "")
print(urllib.parse.quote("a b"), urllib.parse.quote_from_bytes(b"a b"))
""".replace(
        'typing.get_args(typing.Literal["a"]) if hasattr(typing, "get_args") else ""',
        "typing.get_args(int)",
    ),
}


@pytest.mark.parametrize("question", QUESTIONS.values(), ids=QUESTIONS)
def test_they_answer_as_the_real_ones(question: str) -> None:
    real, standing_in = answers(question)
    assert standing_in == real != ""


def test_a_verb_imports_none_of_what_they_stand_for(tmp_path: Path) -> None:
    """Or the start would be as slow as without them."""
    verbs = ("create", "run", "exec", "start", "state", "kill", "delete")
    for verb in verbs:
        code = f"{BEFORE}{LEAN}import labrt.oci.__main__, labrt.oci.verbs.{verb}, labrt.recipe\n"
        code += "print(*(name for name in sys.modules))"
        command = [sys.executable, "-I", "-S", "-c", code]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        heavy = {"inspect", "enum", "re._parser", "json.decoder", "argparse", "subprocess"}
        assert heavy & set(done.stdout.split()) == set(), verb
