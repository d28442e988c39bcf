# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Some other name
#     language: python
#     name: python3
# ---

# %% [markdown]
# # A toy

# %% tags=["setup"]
import math

from cblab.lab import best, check, predict, reveal

# %% predict="90.a"
### BEGIN SOLUTION
doubled = 6
### END SOLUTION
predict("90.a", doubled, unit="things")


# %% exercise="90.1"
def double(values: list[int]) -> list[int]:
    """Each of `values` twice as large."""
    ### BEGIN SOLUTION
    return [2 * value for value in values]
    ### END SOLUTION


# %% check="90.1"

# %%
print(best("90.1")([1, 2, 3]))

# %%
reveal("90.a", math.prod([2, 3]))


# %% exercise="90.2"
def total(values: list[int]) -> int:
    """The sum of the doubles."""
    ### BEGIN SOLUTION
    return sum(double(values))
    ### END SOLUTION


# %% check="90.2"

# %% exercise="90.3"
# 1.5 * 2**30 bytes are how many GiB?
### BEGIN SOLUTION
size_gib = 1.5
### END SOLUTION

# %% check="90.3"


# %% exercise="90.4"
class Counter:
    """Counts up from `start`."""

    def __init__(self, start: int) -> None:
        ### BEGIN SOLUTION
        self.value = start
        ### END SOLUTION

    def add(self, step: int) -> int:
        """Raises ValueError for a negative step."""
        ### BEGIN SOLUTION
        if step < 0:
            raise ValueError("negative")
        self.value += step
        return self.value
        ### END SOLUTION


# %% check="90.4"
check("90.4")

# %% tags=["raises-exception"]
print(1 / 0)

# %% [markdown] manual="90.5" points=3
# Why?
#
# <!-- BEGIN SOLUTION -->
# Because.
# <!-- END SOLUTION -->
