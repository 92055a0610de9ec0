"""The kernels in NumPy: gates, whole sequences and single steps. Every other record is compared with their results."""
