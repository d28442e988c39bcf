"""The exercises of each lab: ``labNN_name`` holds the tuple ``EXERCISES``, a package beside it the checks.

A course's own labs may lie outside of this package, in the folder that CBLAB_LABS names.
"""

import os

if _own := os.environ.get("CBLAB_LABS"):
    __path__.append(_own)
