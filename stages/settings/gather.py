"""Settings of the gather stage."""

from stages.option import setting


@setting
class Gather:
    """Which source is read, and whether documents are read for one of them."""

    source: str
    documents: list[str]
