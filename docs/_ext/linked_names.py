"""Code that names something public becomes a link to its page of the reference.

So pages and docstrings write `MLP`, `fit_many` or `metrics.top_k_scorer` as plain code.
"""

import re

from docutils import nodes
from sphinx import addnodes
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util.nodes import make_refnode

PACKAGE = "skanticipate."
NAME = re.compile(r"(?:skanticipate\.)?([A-Za-z_][\w.]*)(?:\(.*\))?", re.DOTALL)
LINKED = {"class", "function", "exception"}


def places(objects):
    """Where each name is described: in full, without the package, its last word alone.

    objects: {full name: object of the python domain}.   -> {name: (full name, object)}
    """
    found = {}
    for full, thing in objects.items():
        if full.startswith(PACKAGE) and thing.objtype in LINKED | {"method"}:
            name = full.removeprefix(PACKAGE)
            short = name.rpartition(".")[2] if thing.objtype in LINKED else name
            for key in (name, short):
                found.setdefault(key, (full, thing))
    return found


class LinkNames(SphinxPostTransform):
    """Wraps code in a link, unless it is in a link, a heading or on its own page."""

    default_priority = 5

    def run(self, **kwargs):
        """Look at all code of the page."""
        known = places(self.env.domains["py"].objects)
        for code in list(self.document.findall(nodes.literal)):
            match = NAME.fullmatch(code.astext())
            full, thing = known.get(match and match.group(1), (None, None))
            if thing is None or thing.docname == self.env.docname or _is_link(code):
                continue
            link = make_refnode(
                self.app.builder,
                self.env.docname,
                thing.docname,
                thing.node_id,
                [],
                full,
            )
            code.replace_self(link)
            link += code


def resolve(app, env, node, contnode):
    """Lead a reference by an alias, such as `networks.MLP`, to its page."""
    full, thing = places(env.domains["py"].objects).get(
        node.get("reftarget", "").rpartition(".")[2], (None, None)
    )
    if node.get("refdomain") != "py" or thing is None:
        return None
    fromdoc = node.get("refdoc")
    return make_refnode(
        app.builder, fromdoc, thing.docname, thing.node_id, contnode, full
    )


def _is_link(node):
    """Whether a node is part of a link, a heading or a signature."""
    within = (nodes.reference, nodes.title, addnodes.pending_xref)
    while node is not None:
        if isinstance(node, (*within, addnodes.desc_signature)):
            return True
        node = node.parent
    return False


def setup(app):
    """Register both ways to a link."""
    app.connect("missing-reference", resolve)
    app.add_post_transform(LinkNames)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
