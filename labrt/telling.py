"""A recipe told before it is done, and its trace told afterwards: for people, and as JSON.

`labrt explain` and `labrt run --trace` print what is said here.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from labrt import perform, transcript
from labrt.perform import Timed
from labrt.recipe import recipe
from labrt.spec import Spec
from labrt.step import Context, Step


def explanation(spec: Spec, with_calls: bool = False) -> str:
    """Return the recipe as text: each step's number, side, name, man page, action and reason.

    Args:
        with_calls: what the child's steps ask of the kernel, too, as far as it is known.
    """
    lines, context = [], Context(spec)
    for number, step in enumerate(recipe(spec), start=1):
        lines.append(f"{number:3} {step.side:9} {step.name:24} {step.man}")
        lines.append(f"              {step.describe()}")
        lines.append(f"              why: {step.reason}")
        lines += [f"                {call}" for call in _calls(step, context) if with_calls]
    return "\n".join(lines) + "\n"


def explanation_json(spec: Spec, with_calls: bool = False) -> str:
    """Return the same as a JSON list; "vital" is "" for a step that --skip may leave out."""
    context = Context(spec)
    told = [
        {
            "step": step.name,
            "side": step.side,
            "man": step.man,
            "does": step.describe(),
            "why": step.reason,
            "vital": step.vital,
            **({"calls": _calls(step, context)} if with_calls else {}),
        }
        for step in recipe(spec)
    ]
    return json.dumps(told, indent=2) + "\n"


def _calls(step: Step, context: Context) -> list[str]:
    return transcript.of(step, context) if step.side == "container" else []


def trace_table(trace: Sequence[Timed]) -> str:
    """Return the performed steps as text: when each began after the first (ms), how long (µs)."""
    first = trace[0].start
    lines = [f"{'at ms':>8} {'took µs':>9}  side      step"]
    for timed in trace:
        at, took = (timed.start - first) / 1e6, timed.duration / 1e3
        lines.append(f"{at:8.3f} {took:9.1f}  {timed.side:9} {timed.name}")
    end = (trace[-1].start + trace[-1].duration - first) / 1e6
    lines.append(f"{end:8.3f}            execve")
    return "\n".join(lines) + "\n"


def trace_json(trace: Sequence[Timed]) -> str:
    """Return the performed steps as a JSON list; times in nanoseconds, counted from the first."""
    first = trace[0].start
    told = [
        {"step": name, "side": side, "at_ns": start - first, "took_ns": duration}
        for name, side, start, duration in trace
    ]
    return json.dumps(told, indent=2) + "\n"


def trace_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that ask for a trace."""
    parser.add_argument("--trace", action="store_true", help="print each step with its time")
    parser.add_argument("--trace-json", metavar="FILE", help="write the same as JSON into FILE")


def tell_trace(options: argparse.Namespace, spec: Spec, times: Sequence[int]) -> None:
    """Tell where a start's time went to whom the options name, if to anyone; standard output is
    the container's."""
    if not (options.trace or options.trace_json):
        return
    trace = perform.trace(recipe(spec), times)
    if options.trace:
        sys.stderr.write(trace_table(trace))
    if options.trace_json:
        Path(options.trace_json).write_text(trace_json(trace))
