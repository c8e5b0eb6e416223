"""Asks a live Clerk what the tests take for granted: `make live`. Start in `program`."""
