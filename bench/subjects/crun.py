"""A container of crun, the OCI runtime written in C that Podman prefers."""

from __future__ import annotations

from typing import ClassVar

from bench import oci_runtime
from bench.subjects._oci import Oci


class Crun(Oci):
    name: ClassVar = "crun"
    title: ClassVar = "crun container"
    runtime: ClassVar = oci_runtime.crun
