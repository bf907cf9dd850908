"""Files of the repository that are pages too: their links lead to pages here."""

import re

PAGES = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "benchmarks/README.md": "benchmarks.md",
    "docs/choices.md": "choices.md",
    "examples": "auto_examples/index.rst",
}
LINK = re.compile(r"\]\(((?:\.\./)*)([\w./-]+)(#[^)\s]*)?\)")


def to_page(match):
    """Link of Markdown to a file of the repository.   -> the same to a page."""
    _, path, anchor = match.groups()
    page = PAGES.get(path.rstrip("/"), path.removeprefix("docs/"))
    return f"]({page}{anchor or ''})"


def on_include(app, relative_path, parent_docname, content):
    """Change the links of a file that a page at the top includes."""
    content[0] = LINK.sub(to_page, content[0])


def on_source(app, docname, content):
    """Change those of `choices`, which is a page as it stands."""
    if docname == "choices":
        content[0] = LINK.sub(to_page, content[0])


def setup(app):
    """Listen to both."""
    app.connect("include-read", on_include)
    app.connect("source-read", on_source)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
