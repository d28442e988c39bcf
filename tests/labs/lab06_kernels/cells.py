"""Cells of lab 6's source, for tests that run them."""

from tests.labs.submissions import lab_and_solution


def cell_with(fragment: str) -> str:
    """The code of the lab's one cell that holds this fragment."""
    cells = [cell.source for cell in lab_and_solution("06_kernels")[1].cells if cell.cell_type == "code"]
    (found,) = [source for source in cells if fragment in source]
    return str(found)
