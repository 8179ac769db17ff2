"""Text, Markdown and HTML files: one sheet of blocks each."""

import codecs
import re
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from pathlib import Path

from stages.blocks import Block, Kind, clean
from stages.errors import FolioError
from stages.sheet import Sheet

MIB = 2**20
LONGEST = 64 * MIB  # a file
LONGEST_MARKDOWN = 8 * MIB  # its reader takes a second per MiB and 70 bytes of memory per byte

UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
DECLARED = re.compile(rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?\s*([\w.:-]{1,40})", re.IGNORECASE)
# Python's codecs for the character sets of the web; the others (rot13, unicode_escape ...) are no text's.
WEB = re.compile(r"utf-8|ascii|iso8859-\d+|cp\d+|koi8-[ru]|gb2312|gbk|gb18030|big5\w*|shift_jis\w*|euc_\w+|mac-\w+")

FRONT_MATTER = re.compile(r"---[ \t]*\n(?=[\w-]+[ \t]*:).*?\n(?:---|\.\.\.)[ \t]*(?:\n|\Z)", re.DOTALL)
# What begins one of these hides all that follows up to its end; in prose it is a mention of the tag.
RAW = re.compile(r"<(?=(title|textarea|style|xmp|iframe|noembed|noframes|script|plaintext)\b(?!.*</\1))", re.I | re.S)


def read(path: Path) -> list[Sheet]:
    """Return the one sheet of a .txt, .md, .markdown, .html or .htm file.

    Raises:
        FolioError: the file is too large, or its character set is neither UTF-8 nor declared.
    """
    limit = LONGEST_MARKDOWN if READERS[path.suffix.lower()] is _markdown else LONGEST
    if path.stat().st_size > limit:
        raise FolioError(f"{path} is larger than {limit // MIB} MiB; split it")
    ...
