"""Lab 3: the reference for what its students write, its random workload, and the checks."""
