"""`minirnn doctor`: it prints its findings."""

import numpy as np

from tests.commands.command_line import minirnn


def test_doctor_prints_what_it_found():
    result = minirnn("doctor")
    assert result.exit_code == 0
    assert np.__version__ in result.stdout
    assert "kernels: numpy" in result.stdout
