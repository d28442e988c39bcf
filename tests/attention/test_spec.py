import subprocess
import sys

import pytest

from cblab.attention import AttentionSpec


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_kv_heads": 4}, r"num_heads \(6\) must be a multiple of num_kv_heads \(4\)"),
        ({"num_kv_heads": 0}, "num_kv_heads must be at least 1, got 0"),
        ({"head_dim": 0}, "head_dim must be at least 1, got 0"),
        ({"sliding_window": 0}, "sliding_window must be at least 1 or None, got 0"),
    ],
)
def test_impossible_shapes_are_refused(changes: dict[str, int], message: str) -> None:
    fields = {"num_heads": 6, "num_kv_heads": 2, "head_dim": 8, "scale": 0.5}
    with pytest.raises(ValueError, match=message):
        AttentionSpec(**{**fields, **changes})  # type: ignore[arg-type]


def test_specs_and_configs_come_without_torch() -> None:
    script = (
        "import sys, cblab.attention.spec, cblab.attention, cblab.model, cblab.model.families\n"
        "cblab.model.ModelConfig.from_dict, cblab.attention.AttentionSpec\n"
        "assert 'torch' not in sys.modules\n"
        "cblab.model.Decoder, cblab.attention.RaggedBatch\n"
        "assert 'torch' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
