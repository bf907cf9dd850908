"""Code blocks without the blank line at their end, which only doctest needs."""

from docutils import nodes
from sphinx.transforms import SphinxTransform


class TrimBlocks(SphinxTransform):
    """Takes blank lines from the end of each block."""

    default_priority = 400

    def apply(self, **kwargs):
        """Look at all blocks of the page."""
        for block in self.document.findall(nodes.literal_block):
            code = block.astext().rstrip()
            if block.rawsource.rstrip() == code:  # else highlighted in parts, by others
                block.rawsource = code
                block.children = [nodes.Text(code)]


def setup(app):
    """Register the transform."""
    app.add_transform(TrimBlocks)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
