"""A browser to look at a page with: headless Chromium, if nothing else is said in a network
namespace without a network.

It is driven through two pipes (--remote-debugging-pipe), in the Chrome DevTools Protocol: messages
in JSON, a zero byte after each. https://chromedevtools.github.io/devtools-protocol/
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

BINARY = shutil.which("chromium") or shutil.which("chromium-browser")
ALONE = ["unshare", "--net"] if os.geteuid() == 0 else ["unshare", "--map-root-user", "--net"]
DEADLINE = 60.0  # seconds for one answer

OPTIONS = (
    "--headless=new",
    "--no-sandbox",  # root, and containers, have none
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-extensions",
    "--no-first-run",
    "--hide-scrollbars",
    "--remote-debugging-pipe",
)


class Browser:
    """One browser with one page.

    Args:
        profile: a folder for what it keeps.
        within: a command that runs another where the network is that it may reach; default: none.

    Attributes:
        events: what has happened, as (method, parameters).
    """

    def __init__(self, profile: Path, within: Sequence[str] = ALONE) -> None:
        assert BINARY is not None
        theirs_in, self._orders = os.pipe()
        self._answers, theirs_out = os.pipe()
        pipes = f"3<&{theirs_in} 4>&{theirs_out}"  # Chromium reads from 3 and writes to 4
        options = " ".join([*OPTIONS, f"--user-data-dir={profile}", "about:blank"])
        self._process = subprocess.Popen(
            [*within, "bash", "-c", f"exec {BINARY} {options} {pipes}"],
            pass_fds=(theirs_in, theirs_out),
            env={"HOME": str(profile), "PATH": os.environ["PATH"]},
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        os.close(theirs_in)
        os.close(theirs_out)
        self._number = 0
        self._session: str | None = None
        self._rest = b""
        self.events: list[tuple[str, dict[str, Any]]] = []
        self._attach()

    def _attach(self) -> None:
        targets = self.ask("Target.getTargets")["targetInfos"]
        page = next(each["targetId"] for each in targets if each["type"] == "page")
        found = self.ask("Target.attachToTarget", targetId=page, flatten=True)
        self._session = found["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.ask(f"{domain}.enable")

    def ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command; return its answer. What happens meanwhile is kept in `events`."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if self._session is not None:
            message["sessionId"] = self._session
        os.write(self._orders, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                result: dict[str, Any] = answer["result"]
                return result
            self.events.append((answer["method"], answer["params"]))

    def _next(self) -> dict[str, Any]:
        deadline = time.monotonic() + DEADLINE
        while b"\0" not in self._rest:
            assert time.monotonic() < deadline
            data = os.read(self._answers, 65536)
            assert data, "the browser ended"
            self._rest += data
        first, _, self._rest = self._rest.partition(b"\0")
        message: dict[str, Any] = json.loads(first)
        return message

    def open(self, address: str, width: int, height: int = 900) -> None:
        """Load a page into a window of so many CSS pixels, and wait until all of it is there."""
        self.events.clear()
        self.ask(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        self.ask("Page.navigate", url=address)
        deadline = time.monotonic() + DEADLINE
        while "Page.loadEventFired" not in [name for name, _ in self.events]:
            assert time.monotonic() < deadline
            self.evaluate("document.readyState")

    def evaluate(self, expression: str) -> Any:
        """Return what an expression of JavaScript is, or what it promises."""
        found = self.ask(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def requests(self) -> list[str]:
        """Return every address that was asked for since the page was opened."""
        return [
            event["request"]["url"]
            for name, event in self.events
            if name == "Network.requestWillBeSent"
        ]

    def complaints(self) -> list[Any]:
        """Return what stands in the page's console: errors, warnings, exceptions."""
        names = ("Log.entryAdded", "Runtime.exceptionThrown", "Runtime.consoleAPICalled")
        return [event for name, event in self.events if name in names]

    def picture(self, file: Path) -> None:
        """Save what the whole page looks like, as PNG."""
        found = self.ask("Page.captureScreenshot", captureBeyondViewport=True)
        file.write_bytes(base64.b64decode(found["data"]))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        os.close(self._orders)
        os.close(self._answers)
