"""What lab 7 needs beside its notebook: references, doors to the engine, the workload, and the checks."""
