"""The NVIDIA path: kernels, memory, and captured graphs. Importing it needs no GPU."""
