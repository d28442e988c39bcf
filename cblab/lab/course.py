"""Where a student's notebooks are: beside the one that asks, or in a folder of labs."""

from pathlib import Path

from cblab.lab.registry import LabError, lab_names


def notebook_of(lab: str, folder: Path) -> Path | None:
    """The notebook of a lab, by its folder's name, that belongs to a student who works in `folder`.

    That is the folder of all labs, one lab's own, or one above the labs. None where there is no notebook.
    """
    name = f"{lab}.ipynb"
    for place in (folder, folder / lab, folder.parent / lab, folder / "labs" / lab):
        if (place / name).is_file():
            return place / name
    return None


def notebooks_in(folder: Path) -> dict[str, Path]:
    """Lab to notebook, of every lab that has one; LabError where there is none at all."""
    found = {lab: path for lab in lab_names() if (path := notebook_of(lab, folder)) is not None}
    if not found:
        raise LabError(f"{folder} holds no lab's notebook: name the folder that has {lab_names()[0]}/ in it")
    return found
