"""Slides of a notebook, for who teaches: one for each section, further texts of it below.

    ./lab book --slides [NAME…]

They are shown by reveal.js (https://revealjs.com), which a page loads from the network; or, without
one, from a folder beside the page:

    npm install --prefix book reveal.js@4 requirejs jquery
    ./lab book --slides --scripts node_modules
"""

from __future__ import annotations

import nbformat
from nbconvert import SlidesExporter
from nbformat import NotebookNode


def slides(notebook: NotebookNode, scripts: str | None = None) -> str:
    """Return slides as HTML.

    Args:
        notebook: executed, with drawn pictures; left as it is.
        scripts: folder, relative to the page, into which npm has put reveal.js, requirejs and
            jquery; None: the page loads them from the network.
    """
    shown = nbformat.from_dict(notebook)
    for cell in shown.cells:
        cell.metadata["slideshow"] = {"slide_type": _place(cell)}
    body, _ = SlidesExporter(reveal_scroll=True, **_sources(scripts)).from_notebook_node(shown)
    return str(body)


def _place(cell: NotebookNode) -> str:
    if cell.cell_type == "code":
        return "-"  # goes on with the slide before it
    return "slide" if cell.source.startswith("#") else "subslide"


def _sources(scripts: str | None) -> dict[str, str]:
    if scripts is None:
        return {}
    return {
        "reveal_url_prefix": f"{scripts}/reveal.js",
        "require_js_url": f"{scripts}/requirejs/require.js",
        "jquery_url": f"{scripts}/jquery/dist/jquery.min.js",
        "mathjax_url": "",  # the lessons have no formulas
    }
