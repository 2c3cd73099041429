"""What a GPU is measured with: parity of the CUDA kernels, then their speed beside PyTorch's. `run.sh` does all of it."""
