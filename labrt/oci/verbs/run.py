"""`labrt-oci run ID`: create, start, wait for the end, delete."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from labrt import interpreter
from labrt.bundle import reading
from labrt.bundle.declaring import declare
from labrt.foreground import attend, undisturbed
from labrt.oci import lifecycle
from labrt.oci.verbs.create import bundle_arguments

HELP = "run a bundle's container to its end"


def arguments(parser: argparse.ArgumentParser) -> None:
    bundle_arguments(parser)


def main(options: argparse.Namespace) -> int:
    bundle = Path(options.bundle).resolve()
    spec = declare(options.id, bundle, reading.config(bundle))
    life = replace(spec.life, detached=False, waits=False, remove=True)
    spec = replace(spec, life=life)
    interpreter.run_sealed(spec)
    with undisturbed():
        running = lifecycle.create(spec)
    with running:
        return attend(running, interactive=True)
