"""Lab 1: its texts, the reference for what its students write, and the checks."""
