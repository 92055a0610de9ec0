"""Where the two import packages live; everything else about the build is in pyproject.toml.

`minirnn_kernels` stands in kernels/, beside its README, and keeps its own import name: an import called `kernels`
belongs to another package on PyPI.
"""

from setuptools import find_packages, setup

setup(
    py_modules=["minirnn_pytest"],
    packages=find_packages(include=["minirnn", "minirnn.*"]) + find_packages("kernels"),
    package_dir={"minirnn_kernels": "kernels/minirnn_kernels"},
)
