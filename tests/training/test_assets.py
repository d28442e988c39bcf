import pytest

from cblab import assets


def test_the_names_of_the_bundled_models() -> None:
    assert (assets.BUNDLED_MODEL, assets.DRAFT_MODEL) == ("story-4m", "story-draft")


def test_another_name_is_refused() -> None:
    with pytest.raises(
        ValueError, match="no bundled model is called 'gpt-5'; the bundled ones are story-4m, story-draft"
    ):
        assets.path("gpt-5")


@pytest.mark.parametrize("name", ["../assets", ".", ""])
def test_no_way_out_of_the_folder(name: str) -> None:
    with pytest.raises(ValueError, match="no bundled model"):
        assets.path(name)
