import pytest

from cblab.attention import KVLayout, get_backend, paged_decode_torch, paged_prefill_torch


@pytest.mark.parametrize(("name", "device"), [("torch", "cpu"), ("auto", "cpu"), ("auto", "mps")])
def test_a_backend_is_two_kernels_and_the_layout_that_they_read(name: str, device: str) -> None:
    backend = get_backend(name, device)
    assert (backend.name, backend.layout) == ("torch", KVLayout.NHD)
    assert (backend.decode, backend.prefill) == (paged_decode_torch, paged_prefill_torch)


def test_an_unknown_name_is_refused_with_those_known() -> None:
    with pytest.raises(ValueError, match="unknown attention_backend 'mine'; there are: auto, torch"):
        get_backend("mine", "cpu")
