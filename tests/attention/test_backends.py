import pytest
import torch

from cblab.attention import KVLayout, get_backend, paged_decode_torch, paged_prefill_torch


@pytest.mark.parametrize(("name", "device"), [("torch", "cpu"), ("auto", "mps")])
def test_a_backend_is_two_kernels_and_the_layout_that_they_read(name: str, device: str) -> None:
    backend = get_backend(name, device)
    assert (backend.name, backend.layout) == ("torch", KVLayout.NHD)
    assert (backend.decode, backend.prefill) == (paged_decode_torch, paged_prefill_torch)


@pytest.mark.parametrize(("device", "name"), [("cpu", "numba"), ("cuda", "triton"), ("mps", "torch")])
def test_auto_is_the_fastest_of_the_device(device: str, name: str) -> None:
    if name == "triton":
        pytest.importorskip("triton", reason="Triton has no package for this system")
    assert get_backend("auto", device).name == name
    assert get_backend("auto", torch.device(device)) is get_backend(name, device)


def test_an_unknown_name_is_refused_with_those_known() -> None:
    with pytest.raises(
        ValueError, match="unknown attention_backend 'mine'; there are: auto, torch, numba, triton"
    ):
        get_backend("mine", "cpu")
