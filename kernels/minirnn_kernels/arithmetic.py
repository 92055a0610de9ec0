"""Integer arithmetic shared by several folders."""


def ceil_div(n: int, d: int) -> int:
    """Return n / d, rounded up."""
    return -(-n // d)


def round_up(n: int, to: int) -> int:
    """Return the smallest multiple of `to` that is at least n."""
    return ceil_div(n, to) * to
