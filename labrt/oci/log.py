"""What goes wrong, told to people and to engines.

Engines know failures by runc's words, and make exit statuses of them: Docker and Podman exit with
127 where a program isn't there, with 126 where it can't be executed. So a failure that they know is
told in these words first, then in the lab's.
"""

from __future__ import annotations

import errno
import os
import sys
from types import SimpleNamespace

from labrt.errors import LabError, errno_text

_PROGRAM = ("FindProgram", "Exec")  # the steps that meet it


def of_kernel(error: OSError) -> LabError:
    """Return a kernel's answer that no step has made anything of."""
    return LabError(f"use {error.filename}" if error.filename else "go on", errno_text(error))


def sentence(error: LabError) -> str:
    """Return a failure in one line, in runc's words and ours."""
    return f"{_known(error)}{error}"


def _known(error: LabError) -> str:
    """Return what runc says to a program that can't be run, "" for any other failure."""
    if error.step_name not in _PROGRAM or not error.errno:
        return ""
    program = _program(error)
    if error.errno == errno.ENOENT and "/" not in program:
        return f'exec: "{program}": executable file not found in $PATH: '
    return f'exec: "{program}": {os.strerror(error.errno).lower()}: '


def _program(error: LabError) -> str:
    from labrt.perform import StepFailed
    from labrt.process import Exec, FindProgram

    assert isinstance(error, StepFailed) and isinstance(error.step, Exec | FindProgram)
    return error.step.process.args[0]


def tell(overall: SimpleNamespace, level: str, message: str) -> None:
    """Write one line to standard error, and to the log where there is one."""
    if level == "error" or not overall.log:
        print(f"labrt-oci: {message}", file=sys.stderr)
    if overall.log:
        import json
        from time import gmtime, strftime

        line = {"level": level, "msg": message, "time": strftime("%Y-%m-%dT%H:%M:%SZ", gmtime())}
        words = " ".join(f"{name}={json.dumps(value)}" for name, value in line.items())
        with open(overall.log, "a") as file:
            file.write((json.dumps(line) if overall.log_format == "json" else words) + "\n")
