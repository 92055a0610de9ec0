"""The pytest plugin: a `gradcheck` fixture.

Every pytest run loads it where minirnn is installed, so it imports minirnn only when a test uses the fixture.

    def test_my_layer(gradcheck):
        gradcheck(forward, backward, inputs)

The fixture takes the arguments of `minirnn.gradcheck.check`. It returns the report if the check passes; otherwise the
test fails with the report as its message.
"""

from __future__ import annotations

import pytest


@pytest.fixture(name="gradcheck")
def _gradcheck():
    """Return `gradcheck(forward, backward, inputs, **options)`. The test fails unless the verdict is PASS."""

    def run(*args, **options):
        __tracebackhide__ = True
        from minirnn.gradcheck import check

        report = check(*args, **options)
        if not report:
            pytest.fail(str(report), pytrace=False)
        return report

    return run
