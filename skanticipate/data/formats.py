"""What bytes begin like, where a file or a value of another format was given."""

import re

_FORMATS = [
    (re.compile(pattern, re.DOTALL), name)
    for pattern, name in (
        (rb"\x93NUMPY", "an array that numpy has saved (.npy)"),
        (rb"PK(\x03\x04|\x05\x06)", "a zip archive (.zip, .npz, .pt)"),
        (rb"\x1f\x8b\x08", "data compressed by gzip"),
        (rb"BZh[1-9]1AY&SY", "data compressed by bzip2"),
        (rb"\xfd7zXZ\0", "data compressed by xz"),
        (rb"\x28\xb5\x2f\xfd", "data compressed by zstd"),
        (rb"7z\xbc\xaf\x27\x1c", "a 7z archive"),
        (rb"Rar!\x1a\x07", "a rar archive"),
        (rb".{257}ustar", "a tar archive"),
        # protocols 2 to 5 with the opcode of a common object; those without a header
        (rb"\x80[\x02-\x05][\x95\]\}\(\)cCBXUGJKMN\x8a\x8c\x8e]", "a Python pickle"),
        (
            rb"\([dl]p\d+\n|[\]\}]q\0|c(numpy|copy_reg|torch|__builtin__)",
            "a Python pickle",
        ),
        (rb"\x89HDF\r\n\x1a\n", "an HDF5 file"),
        (
            rb"MATLAB 5\.0 MAT-file",
            "a MATLAB file (scipy.io.loadmat has arrays for FeatureTable.from_arrays)",
        ),
        (
            rb"MATLAB 7\.3 MAT-file",
            "a MATLAB file of version 7.3 (HDF5 in which rows are columns: write it "
            "again with h5py, new[video] = old[video][:].T)",
        ),
        (rb"\x89PNG\r\n\x1a\n", "a PNG image"),
        (rb"\xff\xd8\xff[\xc0-\xfe]", "a JPEG image"),
        (rb"RIFF....(WEBP|AVI )", "an image or a video"),
        (rb".{5}\0\0\0\{\"", "a safetensors file"),
        (rb"[\x80-\x8f](\xc4\x02|\xa2)nd", "an array packed by msgpack"),
        (
            rb"(\xdc..|\xdd....|[\x91-\x9f])(\xca....\xca....\xca|\xcb.{8}\xcb.{8}\xcb)",
            "a list packed by msgpack",
        ),
        (rb"\xba\x16\x4f\x2f", "a binary model of fastText"),
        (rb"SQLite format 3\0", "an SQLite database"),
        (rb"PAR1|ARROW1|FEA1", "a Parquet or Arrow table"),
        (rb"%PDF-", "a PDF document"),
        (rb"version https://git-lfs", "a pointer of Git LFS in place of the file"),
        (rb"(?i:\s*<(!doctype|html|\?xml))", "a web page or XML"),
    )
]
UTF8_MARK = b"\xef\xbb\xbf"
_ENCODINGS = (
    (b"\xff\xfe\0\0", "UTF-32"),
    (b"\0\0\xfe\xff", "UTF-32"),
    (b"\xff\xfe", "UTF-16"),
    (b"\xfe\xff", "UTF-16"),
)


def foreign_format(head):
    r"""Name of the format that bytes begin like; None where they are no known one.

    Examples
    --------
    >>> foreign_format(b"PK\x03\x04...")
    'a zip archive (.zip, .npz, .pt)'
    """
    return next((name for pattern, name in _FORMATS if pattern.match(head)), None)


def foreign_text(head):
    r"""Name of what the first bytes of a file are, where they are no text in UTF-8.

    Examples
    --------
    >>> foreign_text("cut 1 2".encode("utf-16-le"))
    'text in UTF-16'
    """
    head = head.removeprefix(UTF8_MARK)
    for mark, name in _ENCODINGS:
        if head.startswith(mark):
            return f"text in {name}"
    found = foreign_format(head)
    if found is None and b"\0" in head:
        even, odd = head[::2].count(0), head[1::2].count(0)
        # without a mark: digits and Latin letters are a NUL and another byte
        one_sided = min(even, odd) == 0 and 5 * (even + odd) > len(head)
        found = "text in UTF-16" if one_sided else "binary data"
    return found
