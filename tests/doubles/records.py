"""Records with one function replaced, for tests that plant a mistake in a correct record."""

from dataclasses import replace
from operator import attrgetter


def function_of(record, path):
    """Return the function of a `Kernels` or a `Gates` at a path such as "lstm.backward"."""
    return attrgetter(path)(record)


def with_function(record, path, function):
    """Return a copy of a `Kernels` or a `Gates` whose function at a path such as "lstm.backward" is replaced."""
    cell, part = path.split(".")
    return replace(record, **{cell: replace(record.of(cell), **{part: function})})
