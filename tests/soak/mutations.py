"""Other files, made of one that is right: bytes, lines of text, trees of JSON."""

import re

NUMBERS = [
    *("-1", "0", "1", "-0", "1.5", "1e3", "nan", "NaN", "inf", "-inf", "Infinity"),
    *("1e309", "1e-320", "1e39", "999999999999999999", "9223372036854775807"),
    *("9223372036854775808", "18446744073709551616", "2147483648", "-2147483649"),
    *("1_000", "0x10", "\u00b2", "\u0663", "\uff11", "00", "+1", "", " ", "None"),
    *("9" * 400, "9" * 5000, "True", "1,5", "1;5", "1e", "--1", "0.1.2"),
]
TEXTS = [
    *("", " ", "\0", "\x85", "\u2028", "\x0c", "\x1c", "\r", "\n", "\r\n", "\ufeff"),
    *('"', '""', "'", "[", "]", "{", "}", "(", ",", ";", "\t", "|", "#", "\\", "%s"),
    *("{video}", "{0}", "\ud7ff", "\U0001f600", "\u202e", "\xa0", "a\0", "nan", "NA"),
    *("../../etc/passwd", "/", "-1", "null", "take_pan", "__class__", "a" * 300),
]
SEPARATORS = [",", ";", "\t", "|", " ", ", ", "  ", "\u3000", ",,"]
NEWLINES = ["\n", "\r\n", "\r", "\x85", "\u2028", "\n\n", "\x0b"]
ENCODINGS = ["utf-16", "utf-16-le", "utf-32", "utf-8-sig", "utf-7", "latin-1", "cp500"]
EDGES = [0, 1, 2, 7, 8, 127, 128, 255, 2**15, 2**16 - 1, 2**31 - 1, 2**31]
EDGES += [2**32 - 1, 2**32, 2**40, 2**62, 2**63 - 1, 2**63, 2**64 - 1]
_NUMBER = re.compile(rb"-?\d+(\.\d+)?(e-?\d+)?")
_WORD = re.compile(rb"[^\s,;|\"]+")


def changed_bytes(content, rng, others=()):
    """Bytes with a few changes; `others` are files of which pieces are taken."""
    for _ in range(rng.choice([1, 1, 1, 2, 4])):
        if content:
            content = rng.choice(_OF_BYTES)(content, rng, others)
    return content


def changed_text(content, rng, others=()):
    """Lines of text with a few changes, seldom of what makes them text."""
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        way = rng.choice(_OF_BYTES if rng.random() < 0.2 else _OF_TEXT)
        if content:
            content = way(content, rng, others)
    if rng.random() < 0.02:
        return rng.choice(_LARGE)(content, rng)
    return content


# ----------------------------------------------------------------------------- bytes


def bits(content, rng, others):
    changed = bytearray(content)
    for _ in range(rng.choice([1, 1, 1, 3, 9])):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def cut(content, rng, others):
    return content[: rng.randrange(len(content))]


def block(content, rng):
    start = rng.randrange(len(content))
    return start, min(len(content), start + rng.choice([1, 2, 4, 8, 64, 512, 4096]))


def deleted(content, rng, others):
    start, stop = block(content, rng)
    return content[:start] + content[stop:]


def doubled(content, rng, others):
    start, stop = block(content, rng)
    return content[:stop] + content[start:]


def moved(content, rng, others):
    start, stop = block(content, rng)
    rest = content[:start] + content[stop:]
    place = rng.randrange(len(rest) + 1)
    return rest[:place] + content[start:stop] + rest[place:]


def spliced(content, rng, others):
    other = rng.choice(others) if others else content
    return content[: rng.randrange(len(content))] + other[rng.randrange(len(other)) :]


def filled(content, rng, others):
    start, stop = block(content, rng)
    byte = rng.choice([b"\0", b"\xff", b" ", b"\x80", b"\n"])
    return content[:start] + byte * (stop - start) + content[stop:]


def random_bytes(content, rng, others):
    start, stop = block(content, rng)
    return content[:start] + rng.randbytes(stop - start) + content[stop:]


def edge(content, rng, others):
    """A number of 1 to 8 bytes in place of another: sizes, counts, places."""
    width = rng.choice([1, 2, 4, 8])
    place = rng.randrange(max(1, len(content) - width + 1))
    if rng.random() < 0.6:
        place -= place % width
    number = int.from_bytes(content[place : place + width], "little")
    number = rng.choice([*EDGES, number - 1, number + 1, 2 * number, number // 2])
    order = rng.choice(["little", "little", "big"])
    data = (number % 2 ** (8 * width)).to_bytes(width, order)
    return content[:place] + data + content[place + width :]


_OF_BYTES = [bits, bits, cut, deleted, doubled, moved, spliced, filled, random_bytes]
_OF_BYTES += [edge, edge]

# ------------------------------------------------------------------------------ text


def _replaced(pattern, content, rng, texts):
    found = list(pattern.finditer(content))
    if not found:
        return content
    match = rng.choice(found)
    text = rng.choice(texts).encode("utf-8", "surrogatepass")
    return content[: match.start()] + text + content[match.end() :]


def number(content, rng, others):
    return _replaced(_NUMBER, content, rng, NUMBERS)


def word(content, rng, others):
    return _replaced(_WORD, content, rng, TEXTS)


def another_word(content, rng, others):
    """A cell of the same file, or of another one, in place of a cell."""
    found = _WORD.findall(rng.choice([content, *others]))
    text = rng.choice(found).decode("utf-8", "replace") if found else ""
    return _replaced(_WORD, content, rng, [text])


def inserted(content, rng, others):
    place = rng.randrange(len(content) + 1)
    text = rng.choice(TEXTS).encode("utf-8", "surrogatepass")
    return content[:place] + text * rng.choice([1, 1, 3]) + content[place:]


def line(content, rng, others):
    """A line lost, there twice, moved, or one of another file."""
    lines = content.split(b"\n")
    row = rng.randrange(len(lines))
    way = rng.randrange(4)
    if way == 0:
        del lines[row]
    elif way == 1:
        lines.insert(rng.randrange(len(lines) + 1), lines[row])
    elif way == 2:
        lines.insert(rng.randrange(len(lines)), lines.pop(row))
    else:
        lines.insert(row, rng.choice(rng.choice([content, *others]).split(b"\n")))
    return b"\n".join(lines)


def column(content, rng, others):
    """A column lost, there twice, or in another place."""
    separator = b";" if content.count(b";") > content.count(b",") else b","
    rows = [row.split(separator) for row in content.split(b"\n")]
    place, other, way = rng.randrange(8), rng.randrange(8), rng.randrange(3)
    for cells in rows:
        if place < len(cells):
            cell = cells.pop(place) if way != 1 else cells[place]
            if way:
                cells.insert(other, cell)
    return b"\n".join(separator.join(cells) for cells in rows)


def separators(content, rng, others):
    old, new = rng.sample(SEPARATORS, 2)
    return content.replace(old.encode(), new.encode(), rng.choice([-1, 1, 3]))


def newlines(content, rng, others):
    new = rng.choice(NEWLINES).encode()
    return content.replace(b"\n", new, rng.choice([-1, 1, 2]))


def encoding(content, rng, others):
    text = content.decode("utf-8", "replace")
    return text.encode(rng.choice(ENCODINGS), "replace")


_OF_TEXT = [number, number, number, word, word, another_word, inserted, inserted, line]
_OF_TEXT += [line, column, separators, newlines, encoding]

# ------------------------------------------------------------------- files that grow


def _many_lines(content, rng):
    lines = content.split(b"\n")
    return b"\n".join([*lines, *[rng.choice(lines)] * rng.choice([300, 3000])])


def _own_lines(content, rng):
    """Many lines of which each has numbers of its own."""
    row = rng.choice(content.split(b"\n"))
    rows = (_NUMBER.sub(str(k).encode(), row, 1) for k in range(3000))
    return content + b"\n" + b"\n".join(rows)


def _large_field(content, rng):
    text = rng.choice(["a", "9", "a ", "a_", "[", "-", "(", '"', "ab,", "\n", ";", "{"])
    size = rng.choice([2000, 60_000, 130_000, 200_000]) // len(text)
    match = rng.choice([*_WORD.finditer(content)] or [None])
    place = match.start() if match else 0
    return content[:place] + text.encode() * size + content[place:]


_LARGE = [_many_lines, _own_lines, _large_field, _large_field]
