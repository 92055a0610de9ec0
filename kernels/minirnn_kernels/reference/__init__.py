"""The kernels in NumPy: what every other record is compared with."""
