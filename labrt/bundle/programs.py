"""`hooks` of a bundle (config.md#posix-platform-hooks)."""

from __future__ import annotations

from labrt.bundle.processes import absolute, environment
from labrt.bundle.reading import U32, Value
from labrt.spec import Hook, Hooks


def hooks(told: Value) -> Hooks:
    """Declare the hooks of all stages.

    Raises:
        LabError: a value that is none.
    """
    return Hooks(
        prestart=_stage(told["prestart"]),
        create_runtime=_stage(told["createRuntime"]),
        create_container=_stage(told["createContainer"]),
        start_container=_stage(told["startContainer"]),
        poststart=_stage(told["poststart"]),
        poststop=_stage(told["poststop"]),
    )


def _stage(told: Value) -> tuple[Hook, ...]:
    return tuple(
        Hook(
            absolute(each["path"]),
            each["args"].texts(),
            environment(each["env"]),
            each["timeout"].number(0, low=1, high=U32),
        )
        for each in told
    )
