"""What a user can get wrong about a benchmark."""

__all__ = ["BenchError"]


class BenchError(Exception):
    """A mistake in what was asked, in words for the user."""
