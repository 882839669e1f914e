"""Ending a server of the cluster by a signal: SIGINT, SIGTERM, SIGHUP (signal(7))."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from bench.interrupts import SIGNALS


@asynccontextmanager
async def asked() -> AsyncIterator[asyncio.Event]:
    """Give an event that is set when this process is asked to end."""
    loop, event = asyncio.get_running_loop(), asyncio.Event()
    for number in SIGNALS:
        loop.add_signal_handler(number, event.set)
    try:
        yield event
    finally:
        for number in SIGNALS:
            loop.remove_signal_handler(number)
