"""The pytest plugin: a `gradcheck` fixture. Loaded by every pytest run where minirnn is installed: it imports nothing.

    def test_my_layer(gradcheck):
        gradcheck(forward, backward, inputs)

It takes the arguments of `minirnn.gradcheck.check`, returns its report if that passes, and otherwise fails the test
with the report as the message.
"""

from __future__ import annotations

import pytest


@pytest.fixture(name="gradcheck")
def _gradcheck():
    """`gradcheck(forward, backward, inputs, **options)` -> Report; the test fails unless the verdict is PASS."""

    def run(*args, **options):
        __tracebackhide__ = True
        from minirnn.gradcheck import check

        report = check(*args, **options)
        if not report:
            pytest.fail(str(report), pytrace=False)
        return report

    return run
