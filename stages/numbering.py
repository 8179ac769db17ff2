"""How items, titles, captions and notes begin."""

import re

from stages.lines import MARK

BULLET = re.compile(r"[•▪■◦●○‣⁃∙·–—*\-\uf000-\uf0ff](?=\s|$)\s*")
ENUMERATOR = re.compile(r"(?:\(?(?:\d{1,3}|[a-zA-Z]|[ivxl]{1,5})[.)]|\(\d{1,3}[a-z]?\)|\[\d{1,3}\])(?=\s|$)")
NUMBERED = re.compile(
    r"(?P<number>(?:[A-Z]{1,2}[.-])?\d{1,3}(?:[.–-]\d{1,3}){0,5})\.?\s+(?=[\"“‘(]?\w)"
    r"|(?P<part>(?:CHAPTER|PART|TITLE|BOOK|Chapter|Part|Title)\s+(?:[A-Z]+|[IVXLC]+|\d+)\b)"
    r"|(?P<annex>(?:APPENDIX|ANNEX|Appendix|Annex)\s+(?:[A-Z]|[IVX]+|\d+)\b)"
    r"|(?P<section>(?:SECTION|SEC|Section|Sec|§)\.?\s*(?P<count>\d{1,4}(?:\.\d+)*)\b)"
)
CALL = re.compile(f"{MARK[0]}(\\d+){MARK[1]}")
CAPTION = re.compile(r"(?:Figure|Table|Exhibit|Fig\.|FIGURE|TABLE|EXHIBIT)\s+[A-Z]?-?\d")
