"""Lab 4: the references for what its students write, the door to the engine, and the checks."""
