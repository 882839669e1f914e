"""labrt/oci/words.py: the command line as engines and runc's users write it."""

from __future__ import annotations

import pytest

from labrt.errors import LabError
from labrt.oci.words import Option, parse, usage

OPTIONS = (
    Option("bundle", "where it is", "DIR", short="b", default="."),
    Option("env", "one variable", "NAME=VALUE", short="e", many=True),
    Option("force", "by force", short="f"),
)


@pytest.mark.parametrize(
    "words",
    [
        ["--bundle", "x", "--force", "id"],
        ["--bundle=x", "-f", "id"],
        ["-b", "x", "-force", "id"],  # Go's way
        ["-b=x", "--force=true", "id"],
        ["id", "--bundle", "x", "--force"],
    ],
)
def test_options_are_spelled_as_with_runc(words: list[str]) -> None:
    given = parse("c", words, OPTIONS, "ID [SIGNAL]")
    assert (given.bundle, given.force, given.id, given.signal) == ("x", True, "id", None)


def test_what_isnt_there_has_its_default() -> None:
    given = parse("c", ["id", "9"], OPTIONS, "ID [SIGNAL]")
    assert (given.bundle, given.env, given.force, given.signal) == (".", [], False, "9")


def test_a_repeated_option_is_a_list_and_values_may_hold_anything() -> None:
    given = parse("c", ["-e", "A=1=2", "--env=-B=-x", "id"], OPTIONS, "ID")
    assert given.env == ["A=1=2", "-B=-x"]


def test_where_a_program_follows_its_options_are_its_own() -> None:
    given = parse("c", ["-f", "id", "ls", "-l", "--force=no", "--"], OPTIONS, "ID [CMD…]")
    assert (given.id, given.cmd) == ("id", ["ls", "-l", "--force=no", "--"])
    assert parse("c", ["--", "-id"], OPTIONS, "ID").id == "-id"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "ID is missing"),
        (["id", "more"], "'more' is one word too many"),
        (["--none", "id"], "no option is called --none"),
        (["id", "--bundle"], "takes a value: DIR"),
        (["--force=perhaps", "id"], "true or false"),
    ],
)
def test_what_is_wrong_is_said(words: list[str], told: str) -> None:
    with pytest.raises(LabError, match=told) as refused:
        parse("labrt-oci kill", words, OPTIONS, "ID")
    assert refused.value.remedy == "labrt-oci kill --help"


def test_help_asks_for_no_operands() -> None:
    assert parse("c", ["--help"], OPTIONS, "ID").help
    text = usage("c", "What it does.", OPTIONS, "ID")
    assert "usage: c [OPTIONS] ID" in text and "-b, --bundle DIR" in text
