import pytest

from stages.account import Account
from stages.errors import FolioError


def account(kept: int, **dropped: int) -> Account:
    tally = Account("chunks")
    tally.keep(kept)
    for reason, count in dropped.items():
        tally.drop(reason, count)
    return tally


def test_what_went_in_is_what_was_kept_and_dropped() -> None:
    tally = account(5, too_short=2, duplicate=3)
    tally.keep()
    tally.drop("too_short")
    # 5 + 1 kept, 2 + 1 too short, 3 duplicates
    assert tally.total == 12
    assert tally.as_dict() == {"in": 12, "kept": 6, "dropped": {"too_short": 3, "duplicate": 3}}


def test_the_commonest_reason_comes_first() -> None:
    tally = account(1, rare=1, common=7, middling=3)
    assert list(tally.as_dict()["dropped"]) == ["common", "middling", "rare"]
    assert tally.reasons() == "7 common, 3 middling, 1 rare"


def test_an_account_without_drops_has_no_reasons() -> None:
    assert account(1).reasons() == "none"


@pytest.mark.parametrize(
    ("kept", "dropped", "share"),
    [
        (1, 0, 1.0),
        (5, 5, 0.5),
        (1, 99, 0.0),
        # Exactly the share asked for, though 0.07 * 100 and 0.55 * 100 are above 7 and 55 in floating point.
        (7, 93, 0.07),
        (55, 45, 0.55),
    ],
)
def test_enough_was_kept(kept: int, dropped: int, share: float) -> None:
    account(kept, too_short=dropped).require(share, "chunk.keep_share")


@pytest.mark.parametrize(("kept", "dropped", "share"), [(4, 6, 0.5), (0, 0, 0.0), (0, 3, 0.0)])
def test_too_little_was_kept(kept: int, dropped: int, share: float) -> None:
    with pytest.raises(FolioError, match=f"kept {kept} of {kept + dropped} chunks"):
        account(kept, too_short=dropped).require(share, "chunk.keep_share")


def test_the_failure_names_the_setting_and_every_reason() -> None:
    with pytest.raises(FolioError) as failure:
        account(1, too_short=2, duplicate=5).require(0.5, "chunk.keep_share")
    assert str(failure.value) == (
        "kept 1 of 8 chunks, less than chunk.keep_share=0.5 asks; dropped: 5 duplicate, 2 too_short"
    )
