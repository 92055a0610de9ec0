"""The error for a mistake in the request for a benchmark."""

__all__ = ["BenchError"]


class BenchError(Exception):
    """A mistake in the request; the message is written for the user."""
