"""Docstrings that share paragraphs."""

import re
from textwrap import dedent, indent


def filled(doc, mark, paragraphs):
    """Docstring with paragraphs in place of a mark, as far to the right as it stands.

    Python 3.13 takes away the indentation that all lines of a docstring have, so
    where a mark stands depends on the version.
    """

    def put(found):
        return indent(dedent(paragraphs), found[1])

    return re.sub(f"^( *){re.escape(mark)}$", put, doc, flags=re.MULTILINE)
