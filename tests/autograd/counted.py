"""A context manager that counts the calls of a function's rules."""

from minirnn.autograd.graph import RULES
from tests.autograd.planted import _Rules, swapped


class Counted:
    """The number of calls of each of a function's rules: {argument: calls}."""

    def __init__(self, fn):
        self.calls = {}

        def wrap(i, vjp):
            def counting(*args, **params):
                self.calls[i] = self.calls.get(i, 0) + 1
                return vjp(*args, **params)

            return counting

        self.replaced = swapped(RULES, {fn: _Rules(RULES[fn], wrap)})

    def __enter__(self):
        self.replaced.__enter__()
        return self.calls

    def __exit__(self, *error):
        self.replaced.__exit__(*error)
