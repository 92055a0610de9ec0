"""Machine code written as LLVM IR: vectors, the gates on them, the tiles of products, Numba intrinsics."""
