"""The probe: an image with one static program that tells what it sees and reaches (probe.c)."""

from __future__ import annotations

from pathlib import Path

from bench.static_image import StaticImage

PROBE = StaticImage(Path(__file__).with_name("probe.c"))
