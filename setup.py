"""The folders of the two import packages. Everything else about the build is in pyproject.toml.

`minirnn_kernels` is in kernels/, next to its README. Its import name is not `kernels` because another package on PyPI
has that name.
"""

from setuptools import find_packages, setup

setup(
    py_modules=["minirnn_pytest"],
    packages=find_packages(include=["minirnn", "minirnn.*"]) + find_packages("kernels"),
    package_dir={"minirnn_kernels": "kernels/minirnn_kernels"},
)
