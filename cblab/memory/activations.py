"""What the forward pass leaves behind for the backward pass, with and without computing it again."""


def activation_bytes(num_layers: int, input_bytes: int, inner_bytes: int, segment: int | None) -> int:
    """Return the most bytes of activations that training holds at once.

    Args:
        num_layers: of the model.
        input_bytes: the input of one layer.
        inner_bytes: what else autograd keeps of one layer.
        segment: None keeps everything. Otherwise the layers are taken in segments of so many (the last may
            be shorter): only the input of each segment is kept, and the backward pass computes one segment
            at a time again. It then holds all of that segment as well, but no input twice.

    Raises:
        ValueError: a segment of less than one layer.
    """
    if segment is None:
        return num_layers * (input_bytes + inner_bytes)
    if segment < 1:
        raise ValueError(f"a segment holds at least one layer, got {segment}")
    num_segments = -(-num_layers // segment)
    longest = min(segment, num_layers)
    return num_segments * input_bytes + longest * inner_bytes + (longest - 1) * input_bytes


def transformer_layer_bytes(
    batch: int, length: int, hidden_size: int, num_heads: int, *, keeps_scores: bool
) -> int:
    """Return the bytes that one GPT layer keeps in 16-bit training: Korthikanti and others, 2022, equation 1.

    The formula is `s b h (34 + 5 a s / h)`: the second term is the attention's scores, softmax and dropout
    mask, which a fused kernel (FlashAttention) computes again instead of keeping. Models without dropout or
    with another MLP keep somewhat less or more.
    """
    tokens = batch * length
    scores = 5 * num_heads * length if keeps_scores else 0
    return tokens * (34 * hidden_size + scores)
