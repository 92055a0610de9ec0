"""The kernels for CPUs, compiled by Numba, in three rungs: loops, fused gates, whole sequences."""
