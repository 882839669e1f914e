"""`./lab scheduler`: Dask's scheduler, which workers and bench meet at. It measures nothing."""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys

from bench.cluster import access, ending, logs
from bench.cluster.access import Access
from labrt.errors import LabError, errno_text

# A worker that has said nothing for so long is lost, also if its connection never broke.
SILENT = 60.0  # seconds


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="lab scheduler", description=__doc__)
    parser.add_argument(
        "--listen",
        default="127.0.0.1",
        metavar="ADDRESS",
        help=f"default: 127.0.0.1, port {access.PORT}; workers of other hosts need another",
    )
    access.arguments(parser)
    options = parser.parse_args(arguments)
    try:
        where = access.asked(options, options.listen)
        where.check_listener("listen on")
        return asyncio.run(serve(where))
    except LabError as error:
        print(f"lab scheduler: {error}", file=sys.stderr)
        return 1


async def serve(where: Access) -> int:
    """Serve until a signal ends it; return the exit status.

    Raises:
        LabError: it can't listen there.
    """
    from distributed import Scheduler

    logs.only(logging.CRITICAL)
    async with ending.asked() as ended:
        try:
            scheduler = await Scheduler(
                host=where.address,
                security=where.security("scheduler"),
                dashboard_address="127.0.0.1:0",  # its metrics, in plain text
                dashboard=False,
                allowed_failures=0,  # a trial whose host went away fails, and the bench decides
                worker_ttl=SILENT,
            )
        except (OSError, RuntimeError) as error:
            answer = errno_text(error) if isinstance(error, OSError) else str(error)
            raise LabError(f"listen on {where.address}", answer) from error
        print(f"scheduler at {scheduler.address}", flush=True)
        await ended.wait()
        await scheduler.close()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
