"""`./lab worker ADDRESS`: this host takes part in a fleet.

One process and one thread for trials: they are done one after the other, as by a bench alone. It is
started under `bench.supervisor`, as everything that starts virtual machines is.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys

from bench import host
from bench.cluster import access, ending, logs, placement, task
from bench.cluster.access import Access
from labrt import paths
from labrt.errors import LabError

PATIENCE = 30.0  # seconds for the scheduler to answer
LAST = 60.0  # seconds for what is under way to be taken down


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="lab worker", description=__doc__)
    parser.add_argument("address", metavar="ADDRESS", help="where the scheduler listens")
    parser.add_argument("--name", help="what rows call this host; default: drawn")
    access.arguments(parser)
    options = parser.parse_args(arguments)
    try:
        where = access.asked(options, options.address)
        return asyncio.run(serve(where, options.name))
    except LabError as error:
        print(f"lab worker: {error}", file=sys.stderr)
        return 1
    finally:
        task.close()


async def serve(where: Access, name: str | None) -> int:
    """Serve until a signal, or the scheduler's end, ends it; return the exit status.

    Raises:
        LabError: it may not listen here, or the scheduler doesn't answer.
    """
    from distributed import Worker

    own = access.own_address(where.host)
    listening = where.with_host(own)
    listening.check_listener("let a worker listen on")
    logs.only(logging.CRITICAL)
    fingerprint = task.introduce(name)
    worker = Worker(
        where.address,
        name=fingerprint["worker"],
        nthreads=1,
        resources=dict(placement.declared(fingerprint["accelerator"]["accelerator"])),
        security=where.security("worker"),
        protocol="tls" if where.encrypted else "tcp",
        host=own,
        dashboard_address="127.0.0.1:0",  # its metrics, in plain text
        memory_limit=0,  # Dask keeps no watch on it: nothing is stored here
        local_directory=str(paths.run_dir()),
        death_timeout=PATIENCE,
    )
    async with ending.asked() as asked:
        try:
            await worker
        except (OSError, TimeoutError, RuntimeError, ValueError) as error:
            raise _refused(where, str(worker.name), error) from error
        print(f"worker {worker.name} ({host.describe(fingerprint)})", flush=True)
        over = asyncio.ensure_future(worker.finished())
        told = asyncio.ensure_future(asked.wait())
        await asyncio.wait([over, told], return_when=asyncio.FIRST_COMPLETED)
        task.give_up()
        if not asked.is_set():
            told.cancel()
            print("lab worker: the scheduler went away", file=sys.stderr)
            return 1
        await worker.close(timeout=LAST)
    return 0


def _refused(where: Access, name: str, error: BaseException) -> LabError:
    """Return why a worker couldn't join; Dask says it in the innermost error."""
    while error.__cause__ is not None:
        error = error.__cause__
    answer = " ".join(str(error).split()) or type(error).__name__
    tried = f"join the fleet at {where.address}"
    if "name taken" in answer:
        return LabError(tried, f"{name}: name taken", remedy="choose another with --name")
    cause = "it isn't there, or doesn't trust this certificate" if where.encrypted else ""
    return LabError(tried, answer, cause, "start its scheduler with ./lab scheduler")


if __name__ == "__main__":
    raise SystemExit(main())
