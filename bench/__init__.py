"""Benchmarks of clerk-sync against the sandbox: `make bench`. One idea a file; `__main__` is the map."""
