"""Sampling presets by name. Torch-free.

What `SamplingParams.preset(name, **changes)` starts from. They differ in how far from the likeliest token
they dare to go; how long the output may be, and where it ends, is for the caller to add.
"""

from collections.abc import Mapping
from types import MappingProxyType

PRESETS: Mapping[str, Mapping[str, float]] = MappingProxyType(
    {
        # The same answer each time: the likeliest token.
        "greedy": {"temperature": 0.0},
        # For facts and code: nearly greedy, and a poor second choice is out of reach.
        "precise": {"temperature": 0.3, "top_p": 0.9},
        # For everyday text.
        "balanced": {"temperature": 0.7, "top_p": 0.95},
        # For stories: flatter than the model, while min-p cuts off what makes no sense at all.
        "creative": {"temperature": 1.1, "min_p": 0.05},
        # Against loops, in which small models end: what was said once is less likely to be said again.
        "varied": {"temperature": 0.9, "top_p": 0.95, "repetition_penalty": 1.15, "frequency_penalty": 0.2},
        # The model as it is: its own distribution, nothing cut off.
        "raw": {"temperature": 1.0},
    }
)
