"""The kernels for CPUs, compiled by Numba, in three stages: loops, fused gates, whole sequences."""
