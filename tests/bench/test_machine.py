"""The stamp on a result, and the environment and cores of a process that measures."""

import os
import subprocess
import sys

from minirnn.bench import machine


def test_every_library_gets_its_number_of_threads():
    environment = machine.environment(3)
    assert {environment[name] for name in machine.THREAD_VARIABLES} == {"3"}
    assert environment["PATH"] == os.environ["PATH"]


def test_a_child_finds_the_same_packages(tmp_path):
    program = "import minirnn, minirnn_kernels; print(minirnn.__file__); print(minirnn_kernels.__file__)"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=machine.environment(1), capture_output=True, text=True
    )
    import minirnn
    import minirnn_kernels

    assert done.stdout.split() == [minirnn.__file__, minirnn_kernels.__file__], done.stderr


def test_one_cpu_of_each_core_comes_first(monkeypatch):
    monkeypatch.setattr(machine, "usable_cpus", lambda: [0, 1, 2, 3])
    monkeypatch.setattr(machine, "_siblings", lambda cpu: [cpu - cpu % 2, cpu - cpu % 2 + 1])
    assert machine.cores() == [0, 2, 1, 3]


def test_the_stamp_has_what_a_result_needs():
    stamp = machine.stamp()
    assert stamp["cpu"]
    assert stamp["versions"]["numpy"]
    assert all("kernels" in library for library in stamp["blas"])
    assert stamp["date"].endswith("+00:00")


def test_the_share_of_others_is_the_busy_time_minus_our_own(monkeypatch):
    seen = iter([(100.0, 50.0, 10.0), (200.0, 130.0, 60.0)])
    monkeypatch.setattr(machine, "_times", lambda: next(seen))
    assert machine.Others().share() == 0.3
    monkeypatch.setattr(machine, "_times", lambda: None)
    assert machine.Others().share() is None
