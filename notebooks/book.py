"""The book: every notebook executed on this host, as web pages that work from a folder.

    ./lab book [--slides] [--out DIR] [NAME…]

No page loads anything from elsewhere, and no script runs in one: Graphviz has drawn the pictures
that JupyterLab would draw. A notebook is executed as a student gets it, exercises unsolved. What
fails in one is on its page and in the exit status; the others are made all the same.
"""

from __future__ import annotations

import argparse
import datetime
import html
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellTimeoutError, DeadKernelError
from nbconvert import HTMLExporter
from nbformat import NotebookNode
from nbformat.v4 import new_output

from bench import accelerator, host
from labrt.errors import LabError, errno_text
from labrt.lessons import ledger
from labrt.lessons.shown import PICTURES
from notebooks.slides import slides

NOTEBOOKS = Path(__file__).parent
PAGE = NOTEBOOKS / "book_page.html"
CELL_SECONDS = 180
READER = "the-book"  # whose ledger it is; removed afterwards
ENVIRONMENT = {"LAB_STUDENT": READER, "PYTHONPATH": str(NOTEBOOKS.parent)}
MERMAID = re.compile(r"```mermaid\n.*?\n```\n*", re.DOTALL)


@dataclass(frozen=True)
class Page:
    """One notebook, executed: as HTML, and as it is."""

    name: str
    title: str
    body: str
    failures: tuple[str, ...]
    notebook: NotebookNode


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status: 1 if a cell has failed."""
    parser = argparse.ArgumentParser(prog="lab book", description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="notebooks by number or name; default: all")
    parser.add_argument("--out", type=Path, default=Path("book"), metavar="DIR")
    parser.add_argument("--slides", action="store_true", help="NAME.slides.html, too")
    parser.add_argument("--scripts", metavar="FOLDER", help="what slides load, if not the network")
    options = parser.parse_args(arguments)
    try:
        pages = [made(path) for path in chosen(options.names)]
        write(pages, options.out)
        if options.slides:
            write_slides(pages, options.out, options.scripts)
    except LabError as error:
        print(f"lab book: {error}", file=sys.stderr)
        return 1
    for page in pages:
        for failure in page.failures:
            print(f"lab book: {page.name}: {failure}", file=sys.stderr)
    print(options.out / "index.html")
    return int(any(page.failures for page in pages))


def chosen(names: Sequence[str]) -> list[Path]:
    """Return the notebooks of these names or numbers; all of them for none.

    Raises:
        LabError: there is none of a name.
    """
    every = sorted(NOTEBOOKS.glob("*.ipynb"))
    for name in names:
        if not any(_called(path, name) for path in every):
            known = ", ".join(path.stem for path in every)
            raise LabError(f"find the notebook {name!r}", "there is none", remedy=f"one of {known}")
    return [path for path in every if not names or any(_called(path, name) for name in names)]


def _called(path: Path, name: str) -> bool:
    return name in (path.stem, path.name, path.stem.partition("_")[0])


def made(path: Path) -> Page:
    """Execute a notebook and return its page."""
    notebook = nbformat.read(path, as_version=4)
    begun = time.monotonic()
    failures = execute(notebook)
    print(f"executed {path.name} in {time.monotonic() - begun:.0f} s", file=sys.stderr)
    draw(notebook)
    body, _ = HTMLExporter(template_name="basic").from_notebook_node(notebook)
    title = notebook.cells[0].source.splitlines()[0].removeprefix("# ")
    return Page(path.stem, title, linked(body), tuple(failures), notebook)


def linked(body: str) -> str:
    """Return HTML whose links to notebooks lead to their pages."""
    return re.sub(r'href="(\d\d_\w+)\.ipynb"', r'href="\1.html"', body)


def execute(notebook: NotebookNode) -> list[str]:
    """Execute all cells; return what failed, a line each. Its ledger is removed again."""
    reader = ledger.path(READER)
    reader.unlink(missing_ok=True)
    client = NotebookClient(
        notebook,
        timeout=CELL_SECONDS,
        startup_timeout=CELL_SECONDS,  # of the kernel
        kernel_name="python3",
        allow_errors=True,
        coalesce_streams=True,  # what a cell prints line by line is one block, as in JupyterLab
        resources={"metadata": {"path": str(NOTEBOOKS)}},
        extra_arguments=["--log-level=40"],  # errors; not that the loopback isn't encrypted
    )
    try:
        # What programs print, a kernel sends to the page and to its own output as well.
        client.execute(env={**os.environ, **ENVIRONMENT}, stdout=subprocess.DEVNULL)
    except (CellTimeoutError, DeadKernelError) as error:
        return [str(error).strip().splitlines()[-1]]
    finally:
        reader.unlink(missing_ok=True)
    return [
        f"cell {cell.id}: {output.ename}: {output.evalue.splitlines()[0] if output.evalue else ''}"
        for cell in notebook.cells
        for output in cell.get("outputs", ())
        if output.output_type == "error"
    ]


def draw(notebook: NotebookNode) -> None:
    """Put drawn pictures where outputs have Mermaid text; without Graphviz, leave that out."""
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = [new for old in cell.outputs for new in _drawn(old)]


def _drawn(output: NotebookNode) -> list[NotebookNode]:
    pictures = output.get("data", {}).pop(PICTURES, None)
    if not pictures:
        return [output]
    rest = MERMAID.sub("", output.data["text/markdown"])
    output.data["text/markdown"] = rest
    if shutil.which("dot") is None:
        return [output]
    return [*(_picture(dot, words) for dot, words in pictures), output]


def _picture(dot: str, words: str) -> NotebookNode:
    done = subprocess.run(["dot", "-Tsvg"], input=dot, capture_output=True, text=True, check=True)
    svg = done.stdout[done.stdout.index("<svg") :]
    figure = f'<figure role="img" aria-label="{html.escape(words)}">{svg}</figure>'
    return new_output("display_data", {"text/html": figure, "text/plain": words})


def write(pages: Sequence[Page], folder: Path) -> None:
    """Write all pages and their index.

    Raises:
        LabError: the folder can't be written.
    """
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    template = environment.from_string(PAGE.read_text())
    about = described(host.fingerprint(accelerator.told(qualify=False)))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for number, page in enumerate(pages):
            around = {
                "before": pages[number - 1] if number else None,
                "after": pages[number + 1] if number + 1 < len(pages) else None,
            }
            text = template.render(page=page, pages=pages, **about, **around)
            (folder / f"{page.name}.html").write_text(text)
        index = template.render(page=None, pages=pages, before=None, after=None, **about)
        (folder / "index.html").write_text(index)
    except OSError as error:
        remedy = "free some room, or name another folder with --out"
        raise LabError(f"write the book in {folder}", errno_text(error), remedy=remedy) from error


def write_slides(pages: Sequence[Page], folder: Path, scripts: str | None) -> None:
    """Write the slides of each page beside it."""
    for page in pages:
        (folder / f"{page.name}.slides.html").write_text(linked(slides(page.notebook, scripts)))


def described(fingerprint: dict[str, Any]) -> dict[str, Any]:
    """Return what each page says of the host and the day."""
    return {
        "host": host.describe(fingerprint),
        "cgroups": fingerprint["cgroups"],
        "accelerator": fingerprint["accelerator"],
        "drawn": shutil.which("dot") is not None,
        "day": datetime.datetime.now().strftime("%Y-%m-%d %H:%M"),
    }


if __name__ == "__main__":
    raise SystemExit(main())
