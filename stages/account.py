"""What went in, what was kept, and why the rest was dropped."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from stages.errors import FolioError


@dataclass
class Account:
    """A tally under which in = kept + dropped always holds."""

    unit: str
    kept: int = 0
    dropped: Counter[str] = field(default_factory=Counter)

    def keep(self, count: int = 1) -> None:
        """Count `count` units as kept."""
        self.kept += count

    def drop(self, reason: str, count: int = 1) -> None:
        """Count `count` units as dropped for `reason`."""
        self.dropped[reason] += count

    def add(self, kept: int, dropped: Mapping[str, int]) -> None:
        """Add the tally of a part; reasons that dropped nothing do not show."""
        self.kept += kept
        self.dropped.update({reason: count for reason, count in dropped.items() if count})

    @property
    def total(self) -> int:
        """Everything that went in."""
        return self.kept + self.dropped.total()

    def as_dict(self) -> dict[str, Any]:
        """The tally as it stands in metrics/<stage>.json, commonest reason first."""
        return {"in": self.total, "kept": self.kept, "dropped": dict(self.dropped.most_common())}

    def reasons(self) -> str:
        """The reasons as a phrase: `12 duplicate, 3 too_short`."""
        return ", ".join(f"{n} {reason}" for reason, n in self.dropped.most_common()) or "none"

    def require(self, share: float, key: str) -> None:
        """Fail unless at least one unit and at least `share` of them were kept.

        Raises:
            FolioError: names the setting `key`, the counts and every reason.
        """
        if self.kept and self.kept / self.total >= share:
            return
        raise FolioError(
            f"kept {self.kept} of {self.total} {self.unit}, less than {key}={share:g} asks; "
            f"dropped: {self.reasons()}"
        )
