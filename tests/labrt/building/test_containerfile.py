"""labrt/building/containerfile.py: text becomes stages, and every error names its line."""

from __future__ import annotations

import pytest

from labrt.building.containerfile import Containerfile, Instruction, parse
from labrt.errors import LabError


def read(text: str) -> Containerfile:
    return parse(text, "Containerfile")


def steps(text: str) -> list[Instruction]:
    return list(read(f"FROM scratch\n{text}").stages[-1].steps)


def test_stages_have_names_and_numbers() -> None:
    file = read("ARG V=1\nFROM busybox AS Build\nRUN a\nfrom scratch\ncopy --from=build /a /b\n")
    assert [each.text for each in file.arguments] == ["V=1"]
    assert [(stage.number, stage.name) for stage in file.stages] == [(0, "build"), (1, "")]
    assert file.stage("BUILD") is file.stage("0") is file.stages[0]
    assert file.stage("1", before=1) is None
    assert file.stages[1].steps[0].flags == {"from": "build"}


def test_a_line_goes_on_after_its_escape_and_comments_within_do_not_count() -> None:
    (step,) = steps("RUN one \\\n  # a comment\n\n  two \\  \n three\n")
    assert step.text.split() == ["one", "two", "three"]
    assert step.where == "Containerfile:2"


def test_the_last_line_may_end_with_an_escape() -> None:
    (step,) = steps("RUN one \\")
    assert step.text == "one"


def test_a_directive_chooses_the_escape() -> None:
    file = read("# syntax=docker/dockerfile:1\n# escape=`\nFROM scratch\nRUN a `\n b\\\nRUN c\n")
    assert [step.text for step in file.stages[0].steps] == ["a  b\\", "c"]


def test_a_comment_ends_the_directives() -> None:
    assert steps("# escape=`\nRUN a `\n")[0].text == "a `"


def test_windows_line_ends_and_a_byte_order_mark_are_no_part_of_it() -> None:
    file = read("\ufeffFROM scratch\r\nRUN a \\\r\n b\r\n")
    assert file.stages[0].steps[0].text == "a  b"


def test_an_array_is_the_exec_form_and_anything_else_is_for_the_shell() -> None:
    listed, broken, mixed = steps('RUN ["a", "b c"]\nRUN [ -f x ]\nRUN ["a", 1]\n')
    assert listed.listed == ["a", "b c"]
    assert broken.listed is mixed.listed is None


def test_documents_are_taken_up_to_their_name() -> None:
    run, copy, last = steps(
        "RUN <<EOF\n# no comment\necho $HOME \\\nEOF\n"
        "COPY <<-'A' <<B /x/\n\tone\n\tA\ntwo\nB\n"
        "RUN cat <<< x\n"
    )
    assert [each.text for each in run.documents] == ["# no comment\necho $HOME \\\n"]
    assert [(d.name, d.text, d.quoted) for d in copy.documents] == [
        ("A", "one\n", True),
        ("B", "two\n", False),
    ]
    assert last.documents == ()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("FROM scratch\nRUN a\nCPY x y", r"Containerfile:3: CPY x y: .*near it: COPY"),
        ("FROM scratch\nRUN a \\\n b\nNOSUCH", r"Containerfile:4: "),
        ("RUN a\nFROM scratch", r"Containerfile:1: RUN a: no FROM stands before it"),
        ("FROM scratch\nRUN --mount=type=cache,target=/x y", r":2: .*--mount is not supported"),
        ("FROM scratch\nCOPY --link a b", r":2: .*--link is not supported"),
        ("FROM scratch\nONBUILD RUN a", r":2: .*ONBUILD is not supported"),
        ("FROM scratch\nRUN", r":2: .*its arguments are missing"),
        ("FROM scratch\nRUN <<EOF\na", r":2: .*the end of <<EOF is missing"),
        ("FROM scratch AS", r":1: .*FROM takes IMAGE \[AS NAME\]"),
        ("FROM scratch AS 1", r":1: .*'1' is no name for a stage"),
        ("# escape=x\nFROM scratch", r"Containerfile:1: .*the escape is"),
        ("# only a comment", r"no FROM is in it"),
        ("", r"no FROM is in it"),
    ],
)
def test_what_is_none_is_refused_with_its_line(text: str, said: str) -> None:
    with pytest.raises(LabError) as error:
        read(text)
    assert str(error.value).count("\n") == 0
    error.match(said)
