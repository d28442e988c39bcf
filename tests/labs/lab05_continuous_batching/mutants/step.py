"""Wrong answers to 5.8: one whole step."""

from tests.labs.edit import Mutant, edited

_NOTHING = "if not shares:\n    return []\n"
_SAMPLES = "samples = end == request.num_tokens"
_ROW = "(request.token_ids(start, end), start, engine.block_table(request), samples)"
_TOKENS = "tokens = engine.sample(engine.forward(engine.build(rows)))"
_ADVANCE = "for request, num_new in shares:\n    request.num_computed_tokens += num_new\n"
_PAIRS = "for request, token in zip(due, tokens, strict=True):\n"
_APPEND = "request.output_token_ids.append(token)\n"
_ENDS = "if token in request.stop_token_ids or request.num_tokens == request.max_length:"
_RETURN = "return [(request.request_id, token) for request, token in zip(due, tokens, strict=True)]"


def _one(old: str, new: str) -> tuple[str, ...]:
    return edited("5.8", (old, new))


STEP: list[Mutant] = [
    ("no way out", _one(_NOTHING, ""), "A step without any request"),
    ("always samples", _one(_SAMPLES, "samples = True"), "Every scheduled request is sampled from"),
    ("prompt done", _one(_SAMPLES, "samples = end >= request.num_prompt_tokens"), "as soon as its prompt"),
    (
        "decodes alone",
        _one(_SAMPLES, "samples = end == request.num_tokens and len(request.output_token_ids) > 0"),
        "The end of a prompt is not sampled from",
    ),
    (
        "all tokens",
        _one("request.token_ids(start, end), start", "request.token_ids(0, end), start"),
        "all tokens from",
    ),
    (
        "last tokens",
        _one("request.token_ids(start, end), start", "request.token_ids()[-num_new:], start"),
        "the sequence's last tokens",
    ),
    (
        "end as start",
        _one("token_ids(start, end), start,", "token_ids(start, end), end,"),
        "A row's second entry",
    ),
    (
        "prompt alone",
        _one("request.token_ids(start, end), start", "request.prompt_token_ids[start:end], start"),
        "from the prompt alone",
    ),
    (
        "a pass each",
        _one(
            _TOKENS,
            "tokens = [t for row in rows for t in engine.sample(engine.forward(engine.build([row])))]",
        ),
        "once for each request",
    ),
    (
        "two passes",
        _one(
            _TOKENS,
            "tokens = []\n"
            "for part in ([r for r in rows if len(r[0]) == 1], [r for r in rows if len(r[0]) > 1]):\n"
            "    if part:\n"
            "        tokens += engine.sample(engine.forward(engine.build(part)))",
        ),
        "in two passes",
    ),
    ("not advanced", _one(_ADVANCE, ""), "is not moved on"),
    (
        "advanced by one",
        _one("request.num_computed_tokens += num_new", "request.num_computed_tokens += 1"),
        "is moved on by 1",
    ),
    (
        "advanced if due",
        _one(
            "request.num_computed_tokens += num_new",
            "request.num_computed_tokens += num_new * (request in due)",
        ),
        "only for requests that were sampled",
    ),
    (
        "to the end",
        _one("request.num_computed_tokens += num_new", "request.num_computed_tokens = request.num_tokens"),
        "All known tokens count as computed",
    ),
    (
        "the new one too",
        _one(_APPEND, f"{_APPEND}    request.num_computed_tokens += 1\n"),
        "The sampled token counts as computed",
    ),
    (
        "to the first",
        _one(_PAIRS, "for (request, _), token in zip(shares, tokens):\n"),
        "Tokens go to the first requests",
    ),
    (
        "dealt to the first",
        edited(
            "5.8",
            (_PAIRS, "for (request, _), token in zip(shares, tokens):\n"),
            (_RETURN, "return [(request.request_id, token) for (request, _), token in zip(shares, tokens)]"),
        ),
        "dealt to the first of the plan",
    ),
    (
        "tokens run out",
        edited(
            "5.8",
            (_TOKENS, "tokens = iter(engine.sample(engine.forward(engine.build(rows))))\ngot = []"),
            (
                _PAIRS,
                "for request, _ in shares:\n    token = next(tokens)\n"
                "    got.append((request.request_id, token))\n",
            ),
            (_RETURN, "return got"),
        ),
        "they run out",
    ),
    ("not appended", _one(_APPEND, "pass\n"), "is not appended to `output_token_ids`"),
    (
        "stop not appended",
        _one(
            _APPEND,
            "if token not in request.stop_token_ids:\n        request.output_token_ids.append(token)\n",
        ),
        "A token that ends the answer",
    ),
    ("stop ignored", _one(_ENDS, "if request.num_tokens == request.max_length:"), "`stop_token_ids` is not"),
    ("length ignored", _one(_ENDS, "if token in request.stop_token_ids:"), "`max_length` is not looked at"),
    (
        "one too long",
        _one("request.num_tokens == request.max", "request.num_tokens > request.max"),
        "one token too long",
    ),
    (
        "output alone",
        _one("request.num_tokens == request.max", "len(request.output_token_ids) >= request.max"),
        "with the output alone",
    ),
    ("never finishes", _one("engine.finish(request)", "pass"), "`finish` is never called"),
    ("nothing", _one(_RETURN, ""), "`step` returns nothing"),
    ("tokens alone", _one(_RETURN, "return tokens"), "Only the tokens came back"),
]
