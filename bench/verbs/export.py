"""`./lab bench export RUN…`: observations as CSV or Parquet; without a file, CSV on the screen."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

HELP = "write the observations of runs as CSV or Parquet"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write CSV")
    parser.add_argument("--parquet", type=Path, metavar="FILE", help="write Parquet")
    parser.add_argument("runs", metavar="RUN", nargs="+", help="a run's folder, or a pattern")


def main(options: argparse.Namespace) -> int:
    from bench import export, frame

    found, left_out = frame.gather(options.runs)
    for said in left_out:
        print(f"lab bench: {said}", file=sys.stderr)
    if options.csv is None and options.parquet is None:
        found.to_csv(sys.stdout, index=False)
    if options.csv is not None:
        export.csv(found, options.csv)
    if options.parquet is not None:
        export.parquet(found, options.parquet)
    return 0
