import inspect

import pytest

from skanticipate.data.docs import filled

DOC = """One thing.

    Parameters
    ----------
    x : int
    {others}

    {others} are no mark here.
"""
FILLED = """One thing.

    Parameters
    ----------
    x : int
    y : int
        The other.

        Or none.

    {others} are no mark here.
"""


@pytest.mark.parametrize("read", [str, inspect.cleandoc], ids=["3.12", "3.13"])
def test_paragraphs_stand_where_their_mark_stood(read):
    paragraphs = "    y : int\n        The other.\n\n        Or none."
    assert filled(read(DOC), "{others}", paragraphs) == read(FILLED)
