"""A release, made with the programs that `make test` builds: every file but what takes long to compile. Archives unpack
into an empty root and run there; the artifact for SAM becomes a stack; licences, formula, metadata, provenance and
signatures say what is so; and mistakes are refused."""

from .proof import prove

__all__ = ["prove"]
