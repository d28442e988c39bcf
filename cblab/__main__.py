"""`python -m cblab` is `cblab`."""

from cblab.cli import main

main()
