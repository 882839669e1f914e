"""Life: how a container is kept, from what the user asks for. None of it is the kernel's business.

The words are Docker's: --name, --rm, --detach, --restart, --stop-signal, --health-cmd, …
"""

from __future__ import annotations

import re
import signal
import time

from labrt.errors import LabError
from labrt.options import Options
from labrt.spec import HealthCheck, Life

_MAY_BE_0 = ("--stop-timeout", "--health-start-period")
_UNITS = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def chosen(
    wishes: Options, container_id: str, image: str, stop_signal: str, health: HealthCheck
) -> Life:
    """Return how the container is kept. Without --detach, --name or --rm nothing of it stays.

    Args:
        image: its name.
        stop_signal, health: what the image asks for.

    Raises:
        LabError: a value that is none, or wishes that exclude each other.
    """
    remove = wishes.rm or not (wishes.detach or wishes.name)
    return Life(
        name=_name(wishes.name) if wishes.name is not None else container_id,
        image=image,
        created=time.time(),
        interactive=wishes.interactive,
        remove=remove,
        restart=_restart(wishes, remove),
        stop_signal=signal_named(wishes.stop_signal or stop_signal).name,
        stop_timeout=_seconds("--stop-timeout", wishes.stop_timeout or "10"),
        health=_health(wishes, health),
        labels=wishes.label,
    )


def _health(wishes: Options, images: HealthCheck) -> HealthCheck:
    """Return what --health-cmd and its like ask for, the image's where they say nothing."""
    if wishes.no_healthcheck and wishes.health_cmd:
        raise LabError("ask for the container's health", "--no-healthcheck excludes --health-cmd")
    if wishes.no_healthcheck:
        return HealthCheck()

    def seconds(option: str, text: str | None, default: float) -> float:
        return default if text is None else _seconds(option, text)

    retries = wishes.health_retries
    return HealthCheck(
        ("/bin/sh", "-c", wishes.health_cmd) if wishes.health_cmd else images.args,
        seconds("--health-interval", wishes.health_interval, images.interval),
        seconds("--health-timeout", wishes.health_timeout, images.timeout),
        seconds("--health-start-period", wishes.health_start_period, images.start_period),
        images.retries if retries is None else _count("--health-retries", retries),
    )


def signal_named(name: str) -> signal.Signals:
    """Return a signal by its name, with or without SIG, or its number (signal(7)).

    Raises:
        LabError: there is none.
    """
    try:
        if name.isdecimal():
            return signal.Signals(int(name))
        return signal.Signals[f"SIG{name.upper().removeprefix('SIG')}"]
    except (ValueError, KeyError):
        remedy = "name one, such as TERM or 15; kill -l lists them"
        raise LabError(f"use the signal {name!r}", "there is none", remedy=remedy) from None


def _name(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}", name):
        raise LabError(
            f"call a container {name!r}",
            "not a name",
            remedy="up to 63 letters, digits, _, . and -, beginning with a letter or digit",
        )
    return name


def _restart(wishes: Options, remove: bool) -> str:
    policy = wishes.restart or "no"
    if not re.fullmatch(r"no|always|on-failure(:[0-9]{1,6})?", policy):
        raise LabError(
            f"use the restart policy {policy!r}",
            "there is none of this kind",
            remedy="no, always, on-failure or on-failure:N",
        )
    if policy != "no" and remove:
        raise LabError(
            f"restart a container by the policy {policy!r}",
            "nothing of it stays when it ends",
            remedy="run it with --detach and without --rm",
        )
    return policy


def _seconds(option: str, text: str) -> float:
    parts = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,6})?)(ms|s|m|h|)", text)
    if not parts or float(parts[1]) == 0 and option not in _MAY_BE_0:
        raise LabError(f"use {option} {text!r}", "not a time", remedy="seconds, or 500ms, 2m, 1h")
    return float(parts[1]) * _UNITS[parts[2]]


def _count(option: str, text: str) -> int:
    if not re.fullmatch(r"[1-9][0-9]{0,5}", text):
        raise LabError(f"use {option} {text!r}", "not a number from 1")
    return int(text)
