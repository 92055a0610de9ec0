"""The kernels for NVIDIA GPUs: the host's side in Python, the device's side in `src/`."""
