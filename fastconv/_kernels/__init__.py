"""Cython over csrc: steps, the buffer pool, the threads (`runtime`), and one module per kernel family.

Everything here is private. An operation's `plan` calls the step builders of a family; nothing else does.
"""
