"""A container of runc, the reference OCI runtime, which Docker uses."""

from __future__ import annotations

from typing import ClassVar

from bench import oci_runtime
from bench.subjects._oci import Oci


class Runc(Oci):
    name: ClassVar = "runc"
    title: ClassVar = "runc container"
    runtime: ClassVar = oci_runtime.runc
