"""What several benchmarks share, one idea a module."""
