"""Benchmarks of clerk-sync against the sandbox: `make bench`. Each file measures one thing; start in `__main__`."""
