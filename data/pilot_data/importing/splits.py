"""Which split a group belongs to: a keyed hash of its name, so that rows added later move nobody. Pure.

u(group) = BLAKE2b-64(group; key = seed) / 2^64          split = the first whose cumulated share exceeds u
"""

import hashlib
import math
from collections.abc import Mapping

from pilot_data.dataset import SplitName
from pilot_data.errors import DataError

Shares = Mapping[SplitName, float]
NAMES: tuple[SplitName, ...] = ("train", "val", "test")
DEFAULT = "train=.8,val=.1,test=.1"


def parse_shares(text: str) -> Shares:
    """`train=.8,val=.1,test=.1` as shares. Raises DataError when they are not positive or do not add up to 1."""
    shares: dict[SplitName, float] = {}
    for part in text.split(","):
        name, _, share = part.strip().partition("=")
        known = next((n for n in NAMES if n == name), None)
        if known is None or known in shares:
            raise DataError(
                f"--splits {text!r}: {name!r} is not one of {', '.join(NAMES)}, each once", f"e.g. {DEFAULT}"
            )
        shares[known] = _share(share, text)
    if "train" not in shares or not math.isclose(sum(shares.values()), 1, abs_tol=1e-6):
        raise DataError(f"--splits {text!r}: train must be there, and the shares must add up to 1", f"e.g. {DEFAULT}")
    return shares


def _share(text: str, whole: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = math.nan
    if not 0 < share <= 1:
        raise DataError(
            f"--splits {whole!r}: {text!r} is not a share between 0 and 1", "leave out a split to have none"
        )
    return share


def split_of(group: str, seed: int, shares: Shares) -> SplitName:
    """The split of a group; it depends on nothing but the three arguments."""
    key = str(seed).encode()
    u = int.from_bytes(hashlib.blake2b(group.encode(), digest_size=8, key=key).digest()) / 2**64
    cumulated = 0.0
    for name in NAMES:
        cumulated += shares.get(name, 0.0)
        if u < cumulated:
            return name
    # Shares that add up to a hair less than 1.
    return max(shares, key=NAMES.index)
