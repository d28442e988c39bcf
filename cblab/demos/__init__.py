"""One short script for each idea, to be run as `python -m cblab.demos.<name>`."""
