"""Sweeps from Python: the same as the commands, with a result to look at."""
