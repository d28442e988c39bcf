"""Wrong answers to 3.1 to 3.4: softmax, attention, rotary positions, the mask."""

from tests.labs.edit import code, edited

SOFTMAX = [
    (
        "naive",
        code("return scores.exp() / scores.exp().sum(dim=-1, keepdim=True)"),
        "The exponential overflows",
    ),
    (
        "global maximum",
        edited("3.1", ("scores.amax(dim=-1, keepdim=True)", "scores.max()")),
        "The largest score of the whole tensor",
    ),
    (
        "capped",
        code("weights = scores.clamp(max=80).exp()\nreturn weights / weights.sum(dim=-1, keepdim=True)"),
        "The scores are capped, so that",
    ),
    (
        "capped on both sides",
        code("weights = scores.clamp(-80, 80).exp()\nreturn weights / weights.sum(dim=-1, keepdim=True)"),
        "capped on both sides",
    ),
    ("first dimension", code("return torch.softmax(scores, dim=0)"), "over the first dimension"),
    ("last but one", code("return scores.softmax(dim=-2)"), "over the last but one dimension"),
    ("not divided", code("return (scores - scores.amax(-1, keepdim=True)).exp()"), "do not sum to 1"),
    (
        "sum of all",
        code("weights = (scores - scores.max()).exp()\nreturn weights / weights.sum()"),
        "The sum was taken over the whole tensor",
    ),
    ("logarithm", code("return torch.log_softmax(scores, dim=-1)"), "The logarithm of the weights"),
    (
        "smallest taken off",
        edited("3.1", ("scores.amax(dim=-1, keepdim=True)", "scores.amin(dim=-1, keepdim=True)")),
        "The smallest score was taken off",
    ),
    (
        "mean taken off",
        edited("3.1", ("scores.amax(dim=-1, keepdim=True)", "scores.mean(dim=-1, keepdim=True)")),
        "The mean was taken off",
    ),
    (
        "nan painted over",
        code("weights = scores.exp()\nreturn torch.nan_to_num(weights / weights.sum(-1, keepdim=True))"),
        "painted over",
    ),
    (
        "divided by the largest",
        code("return torch.softmax(scores / scores.amax(-1, keepdim=True), dim=-1)"),
        "divided by the largest one",
    ),
    (
        "no keepdim",
        edited("3.1", ("weights.sum(dim=-1, keepdim=True)", "weights.sum(dim=-1)")),
        "The sum lost its dimension",
    ),
    (
        "masked places are 0",
        code("return torch.softmax(torch.where(scores.isinf(), 0.0, scores), dim=-1)"),
        "A masked place, -inf, got a weight",
    ),
    ("double", code("return torch.softmax(scores.double(), dim=-1)"), "of float64"),
    (
        "in place",
        code("scores -= scores.amax(dim=-1, keepdim=True)\nreturn torch.softmax(scores, dim=-1)"),
        "changed its argument",
    ),
    ("nothing returned", code("torch.softmax(scores, dim=-1)"), "is a `return` missing"),
]

_SCALE = "/ math.sqrt(q.shape[2])"
_REPEAT = "k, v = k.repeat_interleave(group, dim=1), v.repeat_interleave(group, dim=1)"
_MASKED = 'softmax(scores.masked_fill(~mask, float("-inf")))'
_SUM = 'torch.einsum("hqk,khd->qhd", weights, v)'
ATTENTION = [
    ("no scale", edited("3.2", (_SCALE, "")), "The scores are not scaled"),
    ("scale without root", edited("3.2", (_SCALE, "/ q.shape[2]")), "are divided by head_dim"),
    ("multiplied", edited("3.2", (_SCALE, "* math.sqrt(q.shape[2])")), "are multiplied by √head_dim"),
    (
        "scale of all heads",
        edited("3.2", (_SCALE, "/ math.sqrt(q.shape[1] * q.shape[2])")),
        "1 / √(num_heads · head_dim)",
    ),
    ("wrong dimension", edited("3.2", (_SCALE, "/ math.sqrt(q.shape[1])")), "The scale is 1 / √num_heads:"),
    (
        "scaled afterwards",
        edited("3.2", (_SCALE, ""), (_SUM, f"{_SUM} {_SCALE}")),
        "The result is scaled, not the scores",
    ),
    ("mask inverted", edited("3.2", ("~mask", "mask")), "the wrong way round"),
    ("no mask", edited("3.2", (_MASKED, "softmax(scores)")), "The mask is not used"),
    ("masked with 0", edited("3.2", ('float("-inf")', "0.0")), "Masked scores are 0"),
    ("masked afterwards", edited("3.2", (_MASKED, "softmax(scores) * mask")), "applied after the softmax"),
    (
        "repeat",
        edited("3.2", (_REPEAT, "k, v = k.repeat(1, group, 1), v.repeat(1, group, 1)")),
        "go round the KV heads",
    ),
    (
        "values repeated",
        edited("3.2", ("v.repeat_interleave(group, dim=1)", "v.repeat(1, group, 1)")),
        "the values are not: repeat both",
    ),
    (
        "first KV head",
        edited(
            "3.2",
            (_REPEAT, "k, v = k[:, :1].expand(-1, q.shape[1], -1), v[:, :1].expand(-1, q.shape[1], -1)"),
        ),
        "All query heads use KV head 0",
    ),
    ("keys averaged", edited("3.2", (_SUM, 'torch.einsum("hqk,khd->qhd", weights, k)')), "here it is `k`"),
    (
        "values compared",
        edited("3.2", ('"qhd,khd->hqk", q, k)', '"qhd,khd->hqk", q, v)')),
        "The scores are products of values",
    ),
    (
        "over the queries",
        edited("3.2", (_MASKED, 'scores.masked_fill(~mask, float("-inf")).softmax(dim=1)')),
        "The softmax runs over the queries",
    ),
    ("heads first", edited("3.2", ("khd->qhd", "khd->hqd")), "Heads come first"),
    ("joined", edited("3.2", (_SUM, f"{_SUM}.flatten(1)")), "The heads of a query are joined"),
    ("groups not matched", edited("3.2", (_REPEAT, "")), "bring the query heads together with their KV"),
]

_FREQUENCIES = "theta ** (-torch.arange(half) / half)"
_CAT = "torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1)"
_HALVES = "first, second = x[..., :half], x[..., half:]"
ROPE = [
    (
        "neighbours",
        edited(
            "3.3",
            (_HALVES, "first, second = x[..., ::2], x[..., 1::2]"),
            (
                _CAT,
                "torch.stack((first * cos - second * sin, second * cos + first * sin), dim=-1).flatten(-2)",
            ),
        ),
        "Neighbouring dimensions are paired",
    ),
    (
        "other way",
        edited("3.3", (_CAT, "torch.cat((first * cos + second * sin, second * cos - first * sin), dim=-1)")),
        "turned the other way",
    ),
    (
        "both subtracted",
        edited("3.3", ("second * cos + first * sin", "second * cos - first * sin")),
        "are subtracted: that is no rotation",
    ),
    (
        "both added",
        edited("3.3", ("first * cos - second * sin", "first * cos + second * sin")),
        "are added: that is no rotation",
    ),
    (
        "counted from 0",
        edited("3.3", ("positions[:, None]", "torch.arange(x.shape[0])[:, None]")),
        "`positions` is not used",
    ),
    ("one too far", edited("3.3", ("positions[:, None]", "(positions + 1)[:, None]")), "one too far"),
    (
        "relative",
        edited("3.3", ("positions[:, None]", "(positions - positions[0])[:, None]")),
        "The first position was taken off",
    ),
    (
        "half the exponent",
        edited("3.3", (_FREQUENCIES, "theta ** (-torch.arange(half) / x.shape[-1])")),
        "half of what is expected",
    ),
    (
        "sign of the exponent",
        edited("3.3", (_FREQUENCIES, "theta ** (torch.arange(half) / half)")),
        "The exponent has the wrong sign",
    ),
    (
        "not divided",
        edited("3.3", (_FREQUENCIES, "theta ** (-2.0 * torch.arange(half))")),
        "without the division by head_dim",
    ),
    (
        "twice the exponent",
        edited("3.3", (_FREQUENCIES, "theta ** (-2 * torch.arange(0, x.shape[-1], 2) / x.shape[-1])")),
        "twice what is expected",
    ),
    (
        "pairs from one",
        edited("3.3", (_FREQUENCIES, "theta ** (-torch.arange(1, half + 1) / half)")),
        "The pairs are counted from 1",
    ),
    (
        "no dimension for the heads",
        edited("3.3", ("(positions[:, None] * frequencies)[:, None]", "positions[:, None] * frequencies")),
        "The angles lack the heads' dimension",
    ),
    ("one speed", edited("3.3", (_FREQUENCIES, "torch.ones(half)")), "All pairs turn equally fast"),
    ("fixed theta", edited("3.3", ("theta **", "10_000.0 **")), "`theta` is not used"),
    (
        "degrees",
        edited(
            "3.3", ("angles.cos(), angles.sin()", "torch.deg2rad(angles).cos(), torch.deg2rad(angles).sin()")
        ),
        "taken for degrees",
    ),
    (
        "halves swapped",
        edited("3.3", (_CAT, "torch.cat((second * cos + first * sin, first * cos - second * sin), dim=-1)")),
        "The halves of the result are swapped",
    ),
    (
        "interleaved result",
        edited(
            "3.3",
            (_CAT, "torch.stack((first * cos - second * sin, second * cos + first * sin), -1).flatten(-2)"),
        ),
        "interleaved in the result",
    ),
    (
        "positions of heads",
        edited(
            "3.3",
            (
                "(positions[:, None] * frequencies)[:, None]",
                "torch.arange(x.shape[1])[:, None] * frequencies",
            ),
        ),
        "depends on the head",
    ),
    (
        "added",
        edited("3.3", (_CAT, "x + torch.cat((cos, sin), dim=-1)")),
        "were added to x",
    ),
    (
        "in place",
        edited(
            "3.3",
            (f"return {_CAT}", f"x[:] = {_CAT}\nreturn x"),
        ),
        "changed its argument",
    ),
]

_RIGHT = "key_positions <= query_positions"
MASK = [
    ("top left", code("return torch.ones(num_queries, num_keys).tril().bool()"), "aligned at the top left"),
    ("strict", edited("3.4", (_RIGHT, "key_positions < query_positions")), "does not see its own key"),
    ("one more", edited("3.4", (_RIGHT, "key_positions <= query_positions + 1")), "one key of the future"),
    ("inverted", edited("3.4", (_RIGHT, "key_positions > query_positions")), "The mask is inverted"),
    ("backwards", edited("3.4", (_RIGHT, "key_positions >= query_positions")), "The future is visible"),
    ("all", code("return torch.ones(num_queries, num_keys, dtype=torch.bool)"), "Everything is visible"),
    (
        "new ones hidden",
        code("""
        before = num_keys - num_queries
        return torch.cat((torch.ones(num_queries, before), torch.eye(num_queries)), dim=1).bool()
    """),
        "hidden from one another",
    ),
    (
        "cached ones hidden",
        code("""
        before = num_keys - num_queries
        new = torch.ones(num_queries, num_queries).tril()
        return torch.cat((torch.zeros(num_queries, before), new), dim=1).bool()
    """),
        "The cached keys are hidden",
    ),
    (
        "shifted the wrong way",
        code("return torch.ones(num_queries, num_keys).tril(diagonal=num_queries - num_keys).bool()"),
        "shifted the wrong way",
    ),
    (
        "transposed",
        edited(
            "3.4",
            ("num_keys)[:, None]", "num_keys)[None, :]"),
            ("torch.arange(num_keys)[None, :]", "torch.arange(num_keys)[:, None]"),
        ),
        "Rows and columns are swapped",
    ),
    (
        "floats",
        code("return torch.ones(num_queries, num_keys).tril(num_keys - num_queries)"),
        "of zeros and ones",
    ),
    (
        "integers",
        code("return torch.ones(num_queries, num_keys, dtype=torch.int64).tril(num_keys - num_queries)"),
        "of integers",
    ),
    (
        "additive",
        code("return torch.full((num_queries, num_keys), float('-inf')).triu(num_keys - num_queries + 1)"),
        "holds 0 and -inf",
    ),
    ("square", code("return torch.ones(num_queries, num_queries).tril().bool()"), "The mask is square"),
    ("lists", edited("3.4", (_RIGHT, "(key_positions <= query_positions).tolist()")), "Lists came back"),
]
