"""The experiments: each file here but `base` holds one, and bears its name.

To add one, write a file with a subclass of `Experiment`; nothing else needs to know.
"""

from __future__ import annotations

from bench.experiments.base import Experiment
from bench.registry import load, names_in


def names() -> list[str]:
    """Return every experiment's name."""
    return names_in(__name__)


def make(name: str) -> Experiment:
    """Return an experiment by name.

    Raises:
        LabError: there is none of this name; the remedy lists those there are.
    """
    experiment: Experiment = load(__name__, name, Experiment)()
    return experiment
