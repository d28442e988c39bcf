"""What a lab's notebook imports: checks, hints, predictions, and the student's own parts."""

from cblab.lab.api import best, check, hint
from cblab.lab.mine import mine
from cblab.lab.predictions import predict, reveal

__all__ = ["best", "check", "hint", "mine", "predict", "reveal"]
