"""The exercises of each lab: ``labNN_name`` holds the tuple ``EXERCISES``, ``labNN_name_…`` what they need.

A course's own labs may lie outside of this package, in the folder that CBLAB_LABS names.
"""

import os

if _own := os.environ.get("CBLAB_LABS"):
    __path__.append(_own)
