"""The error for an invalid request for a benchmark."""

__all__ = ["BenchError"]


class BenchError(Exception):
    """The request for a benchmark is invalid; the message explains the problem to the user."""
