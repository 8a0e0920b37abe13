"""The text of a file that should hold text."""

import codecs

from nfa.common.errors import Place

OTHERS = {
    b"\x1f\x8b": "packed by gzip; unpack it",
    b"BZh": "packed by bzip2; unpack it",
    b"\xfd7zXZ": "packed by xz; unpack it",
    b"\x28\xb5\x2f\xfd": "packed by zstd; unpack it",
    b"PK\x03\x04": "an Excel file or another zip archive; save the table as .csv, in UTF-8",
    b"\xd0\xcf\x11\xe0": "an old Excel file; save the table as .csv, in UTF-8",
    b"PAR1": "parquet; call it .parquet",
    b"\x93NUMPY": "an array of numpy's; call it .npy",
    b"%PDF": "a PDF; export the table as .csv",
}
"""How files of other kinds begin, and what to do with them."""

MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
"""Byte order marks; that of UTF-32 begins with one of UTF-16."""


def decoded(place: Place, raw: bytes) -> str:
    r"""Return the text of a file: UTF-8, or UTF-16 or UTF-32 with a byte order mark.

    Any other encoding is refused, since its bytes could stand for several texts.

    Raises:
        InputError: the file is of another kind or in another encoding.

    >>> decoded(Place("data", "a.csv"), "é,b".encode("utf-16"))
    'é,b'
    """
    for start, kind in OTHERS.items():
        if raw.startswith(start):
            raise place.error(f"is {kind}")
    code = next((code for mark, code in MARKS if raw.startswith(mark)), "utf-8")
    try:
        text = raw.decode(code)
    except UnicodeDecodeError as error:
        if code != "utf-8":
            raise place.error(f"begins like {code} text, but is none; save it in UTF-8") from error
        line = 1 + raw.count(b"\n", 0, error.start)
        got = f"byte 0x{raw[error.start]:02X} in line {line} is not UTF-8 (Latin-1?)"
        raise place.error(f"is truncated or of another kind: {got}; save it in UTF-8") from error
    if "\0" in text:
        raise place.error("is binary, or in UTF-16 without a byte order mark; save it in UTF-8")
    return text
