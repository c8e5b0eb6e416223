"""What `make release` makes, one kind of file in each module. scripts/release puts them together.

No module needs more than Python's standard library, except `signing`, when there is a key.
"""
