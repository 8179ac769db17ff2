"""What a user can mend: one sentence that names the file or key and the remedy."""


class FolioError(Exception):
    """An expected failure; the entry point prints its message alone and exits with status 1."""
