"""The fleet as the bench sees it: its hosts, asked one by one, each of which may go away any time.

A question is a task of Dask's, tied to the one worker that it is for. Dask says so when a worker
dies in the middle of a task (KilledWorker), and the scheduler's list when it is gone between two.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from typing import Any, Self

from bench.cluster import logs, placement, task
from bench.cluster.access import Access
from bench.plan import Planned
from labrt.errors import LabError

CONNECT = 5.0  # seconds for the scheduler to answer
LOOK = 2.0  # seconds between two looks at who is still there
TRIES = 5  # at a host's clock
LOCK = "vm-container-lab"


class Lost(Exception):
    """The host went away before it answered."""


@dataclass(eq=False)
class Host:
    """One worker.

    Attributes:
        address: Dask's, only to reach it; no row has it.
        name: what rows call it.
        resources: what it declares.
        stamps: what its rows are stamped with, by experiment and subject; from its `begin`.
    """

    address: str
    name: str
    resources: placement.Resources
    fingerprint: dict[str, Any] = field(default_factory=dict)
    stamps: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)

    @property
    def accelerator(self) -> str:
        return str(self.fingerprint["accelerator"]["accelerator"])

    @property
    def kind(self) -> tuple[str, str]:
        """Hosts of one kind are alike: their rows may be taken together."""
        return str(self.fingerprint["id"]), self.accelerator

    def takes(self, trial: Planned) -> bool:
        """True if a trial's subject can be measured here, and there is room for its instances."""
        room = placement.fits(placement.of_variant(trial.variant), self.resources)
        return room and trial.key[:2] in self.stamps


class Fleet:
    """The workers that are there when the block begins. One bench at a time has them.

    Raises:
        LabError: no scheduler answers, another bench has the fleet, or it has no worker.
    """

    def __init__(self, access: Access) -> None:
        self._access = access
        self._opened = ExitStack()
        self.hosts: list[Host] = []

    def __enter__(self) -> Self:
        with ExitStack() as undo:
            self._client = undo.enter_context(self._connected())
            self._lock(undo)
            self.hosts = self._found()
            self._opened = undo.pop_all()
        return self

    def __exit__(self, *exc: object) -> None:
        self._opened.close()

    def ask(
        self,
        host: Host,
        function: Callable[..., Any],
        *arguments: Any,
        needs: placement.Resources | None = None,
    ) -> Any:
        """Ask a host; return Dask's future of the answer."""
        return self._client.submit(
            function,
            *arguments,
            workers=[host.address],
            allow_other_workers=False,
            resources=dict(needs or {}),
            pure=False,  # the same question may be asked twice
        )

    def first(self, pending: Mapping[Any, Host]) -> list[Any]:
        """Wait until any is over, and return those: answered, failed, or their host is gone.

        Raises:
            LabError: the scheduler went away.
        """
        from distributed import wait

        while True:
            with suppress(TimeoutError):
                return list(wait(list(pending), timeout=LOOK, return_when="FIRST_COMPLETED").done)
            there = self._there()
            if gone := [each for each, host in pending.items() if host.address not in there]:
                return gone

    def answer(self, future: Any, host: Host, patience: float = math.inf) -> Any:
        """Return a host's answer, waiting for it.

        Raises:
            Lost: it went away, or `patience` seconds passed.
            LabError: it refuses, or the scheduler went away.
        """
        from distributed import KilledWorker
        from distributed.client import FutureCancelledError

        end = time.monotonic() + patience
        while True:
            try:
                return future.result(timeout=LOOK)
            except TimeoutError:
                if host.address not in self._there() or time.monotonic() > end:
                    future.cancel()
                    raise Lost(host.name) from None
            except KilledWorker:
                raise Lost(host.name) from None
            except FutureCancelledError:
                self._there()  # tells if it is the scheduler that went away
                raise Lost(host.name) from None

    def all_answers(
        self, futures: Mapping[Host, Any], patience: float = math.inf
    ) -> dict[Host, Any]:
        """Return the answers of those hosts that give one.

        Raises:
            LabError: as `answer`.
        """
        found = {}
        for host, future in futures.items():
            with suppress(Lost):
                found[host] = self.answer(future, host, patience)
        return found

    def clocks(self, hosts: Sequence[Host]) -> dict[Host, tuple[float, float]]:
        """Return by how much each host's clock is ahead of this one's, and how far off that may
        be: half of the quickest way there and back. Seconds. Hosts that went away are left out."""
        found = {}
        for host in hosts:
            with suppress(Lost):
                off, ahead = min(self._clock(host) for _ in range(TRIES))
                found[host] = ahead, off
        return found

    def _clock(self, host: Host) -> tuple[float, float]:
        sent = time.time()
        try:
            there = self._client.run(task.clock, workers=[host.address])[host.address]
        except (OSError, KeyError, ValueError) as error:
            raise Lost(host.name) from error
        back = time.time()
        return (back - sent) / 2, there - (sent + back) / 2

    def give_up(self) -> None:
        """Make what is under way end soon, everywhere."""
        with suppress(Exception):  # whoever can't be reached has nothing that we could end
            self._client.run(task.give_up, on_error="ignore")

    def _connected(self) -> Any:
        from distributed import Client

        logs.only(logging.CRITICAL)
        where = self._access
        try:
            return Client(where.address, security=where.security("client"), timeout=CONNECT)
        except (OSError, TimeoutError) as error:
            raise LabError(
                f"reach the scheduler at {where.address}",
                " ".join(str(error).split())[:200],
                "it isn't there, or doesn't trust this certificate" if where.encrypted else "",
                "start it with ./lab scheduler",
            ) from error

    def _lock(self, undo: ExitStack) -> None:
        from distributed import Lock

        lock = Lock(LOCK)
        if not lock.acquire(timeout=1):
            raise LabError(
                f"use the fleet at {self._access.address}",
                "another bench uses it",
                "two at once would disturb each other's numbers",
                "wait for its end; after one that was killed for half a minute",
            )
        undo.callback(_released, lock)

    def _found(self) -> list[Host]:
        """Return the workers that the lab has started, with what they tell of themselves."""
        workers = self._there()
        found = [
            Host(address, str(each["name"]), each["resources"])
            for address, each in workers.items()
            if "cores" in each["resources"]
        ]
        told = self.all_answers({host: self.ask(host, task.hello) for host in found})
        for host, fingerprint in told.items():
            host.fingerprint = fingerprint
        if not told:
            raise LabError(
                f"use the fleet at {self._access.address}",
                f"{len(workers)} workers there, none of them the lab's",
                remedy="./lab worker ADDRESS on each host",
            )
        return sorted(told, key=lambda host: (*host.kind, host.name))

    def _there(self) -> dict[str, Any]:
        """Return the scheduler's list of workers.

        Raises:
            LabError: it went away.
        """
        try:
            found: dict[str, Any] = self._client.scheduler_info(n_workers=-1)["workers"]
        except Exception as error:
            raise _scheduler_gone(self._access) from error
        if self._client.status != "running":
            raise _scheduler_gone(self._access)
        return found


def _scheduler_gone(access: Access) -> LabError:
    return LabError(
        f"go on with the fleet at {access.address}",
        "the scheduler went away",
        remedy="start it and the workers again, and measure anew; --report RUN shows what there is",
    )


def _released(lock: Any) -> None:
    with suppress(Exception):  # the scheduler went away, and the lock with it
        lock.release()
