"""The offline interface: prompts in, outputs in their order out."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import cblab
from cblab import LLM, SamplingParams
from cblab.attention.batch import RaggedBatch
from cblab.attention.layout import LayerKV
from cblab.attention.paged import paged_decode_torch
from cblab.attention.spec import AttentionSpec
from cblab.core.beam_search import BeamSearchParams
from cblab.core.errors import ForwardPassError
from cblab.core.intake import Prompt
from cblab.core.parts import Parts
from cblab.model import TinyLLM, load_model
from cblab.tokenization import load_tokenizer
from tests.core.table_model import TOKENIZER, TableModel, chain

GREEDY = SamplingParams(temperature=0, max_tokens=5)


def alphabet(**settings: Any) -> LLM:
    on_forward = settings.pop("on_forward", None)
    model = TableModel(chain("abcdefghijklmnopqrstuvwxyz"), on_forward=on_forward)
    return LLM(model, TOKENIZER, **{"num_blocks": 32, "block_size": 4, "max_num_seqs": 8, **settings})


def test_one_prompt_or_many_as_text_or_ids_always_give_a_list() -> None:
    llm, ids = alphabet(), TOKENIZER.encode("ab")
    many: list[Prompt] = ["a", ids, [99]]
    for output in (*llm.generate("ab", GREEDY), *llm.generate(ids, GREEDY), *llm.generate([ids], GREEDY)):
        assert (output.outputs[0].text, output.prompt_token_ids) == ("cdefg", ids)
    outputs = llm.generate(many, GREEDY)
    assert [one.outputs[0].text for one in outputs] == ["bcdef", "cdefg", "defgh"]
    assert [one.prompt for one in outputs] == ["a", None, None]
    assert llm.generate([], GREEDY) == []


def test_outputs_are_in_the_prompts_order_whoever_ends_first() -> None:
    params = [SamplingParams(temperature=0, max_tokens=n) for n in (7, 1, 4)]
    texts = [one.outputs[0].text for one in alphabet().generate(["a", "h", "p"], params)]
    assert texts == ["bcdefgh", "i", "qrst"]


def test_parameters_come_as_one_for_all_or_one_each() -> None:
    with pytest.raises(ValueError, match="2 prompts but 3 sampling parameters: give one for all or one each"):
        alphabet().generate(["a", "b"], [GREEDY] * 3)
    assert len(alphabet().generate("a")[0].outputs[0].token_ids) == 16


def test_arrays_and_tensors_are_lists_of_ids() -> None:
    ids = torch.tensor(TOKENIZER.encode("ab"))
    for prompts in (ids, ids[None], ids.numpy(), list(ids.numpy())):
        (output,) = alphabet().generate(prompts, GREEDY)  # type: ignore[arg-type]
        assert output.outputs[0].text == "cdefg"


@pytest.mark.parametrize(
    ("prompts", "params", "message"),
    [
        (None, GREEDY, "prompts are a text or a list of token ids, one or a list of them, got None"),
        (["a", None], GREEDY, "prompt 1: a prompt is a text or a sequence of token ids, got None"),
        (
            "a",
            {"temperature": 0},
            "params must be SamplingParams, .* got {'temp",
        ),
        (
            ["a", "b"],
            [GREEDY, 0.8],
            "params must be SamplingParams, .* got 0.8",
        ),
    ],
)
def test_arguments_of_the_wrong_kind_are_named(prompts: Any, params: Any, message: str) -> None:
    llm = alphabet()
    with pytest.raises(ValueError, match=message):
        llm.generate(prompts, params)
    assert llm.engine.requests == {}


def test_a_prompt_that_fails_alone_is_warned_of_and_tells_a_stream_why() -> None:
    def fail(*_: object) -> Tensor:
        raise ZeroDivisionError("mine")

    params = [GREEDY, SamplingParams(temperature=0, logits_processors=[fail])]
    llm = alphabet()
    with pytest.warns(UserWarning, match=r"prompt 1 failed: ZeroDivisionError\('mine'\)"):
        outputs = llm.generate(["a", "b"], params)
    assert [one.outputs[0].finish_reason for one in outputs] == ["length", "error"]
    events = [one for one in llm.stream(["a", "b"], params) if one.finish_reason]
    assert {one.prompt_index: type(one.error) for one in events} == {0: type(None), 1: ZeroDivisionError}


def test_a_prompt_that_is_refused_takes_all_along_and_leaves_nothing_behind() -> None:
    llm = alphabet()
    prompts: list[Prompt] = ["a", [999], "b"]
    with pytest.raises(ValueError, match=r"prompt 1: the prompt holds the token id 999"):
        llm.generate(prompts, GREEDY)
    assert llm.engine.requests == {}
    assert llm.generate("a", GREEDY)[0].outputs[0].text == "bcdef"
    assert not llm.engine.has_unfinished


def test_streams_give_each_piece_as_soon_as_it_is_there() -> None:
    events = list(alphabet().stream(["a", "x"], SamplingParams(temperature=0, max_tokens=2)))
    assert [(one.prompt_index, one.text, one.token_ids, one.finish_reason) for one in events] == [
        (0, "b", (98,), None),
        (1, "y", (121,), None),
        (0, "c", (99,), "length"),
        (1, "z", (122,), "length"),
    ]


def test_each_sample_of_a_stream_ends_once() -> None:
    params = SamplingParams(n=3, seed=1, temperature=1e9, max_tokens=9, stop_token_ids=range(200))
    events = list(alphabet().stream("a", params))
    ends = [one.sample_index for one in events if one.finish_reason]
    assert sorted(ends) == [0, 1, 2]
    assert {one.finish_reason for one in events} <= {None, "stop", "length"}


def test_a_stream_goes_on_while_another_call_steps_the_same_engine() -> None:
    llm = alphabet()
    stream = llm.stream("a", SamplingParams(temperature=0, max_tokens=6))
    assert next(stream).text == "b"
    assert llm.generate("h", GREEDY)[0].outputs[0].text == "ijklm"
    assert "".join(one.text for one in stream) == "cdefg"


def test_a_stream_that_is_dropped_gives_its_blocks_back() -> None:
    llm = alphabet()
    stream = llm.stream(["a", "b"], SamplingParams(temperature=0, max_tokens=20))
    next(stream)
    del stream
    llm.generate("c", GREEDY)
    assert not llm.engine.has_unfinished
    assert llm.engine.block_manager.stats().used == 0


def test_a_stream_that_is_dropped_before_it_begins_leaves_nothing_behind() -> None:
    llm = alphabet()
    stream = llm.stream(["a", "b"], SamplingParams(temperature=0, max_tokens=20))
    del stream
    assert llm.engine.requests == {}
    closed = llm.stream("a", GREEDY)
    next(closed)
    closed.close()
    assert llm.engine.requests == {}
    assert llm.engine.block_manager.stats().used == 0
    llm.beam_search("a", BeamSearchParams(2, 3))


def test_a_step_that_breaks_is_raised_and_the_next_call_works() -> None:
    broken = [True]

    def fail(batch: RaggedBatch) -> None:
        if broken and batch.num_seqs == 1:
            broken.clear()
            raise OSError("unplugged")

    llm = alphabet(on_forward=fail)
    params = [SamplingParams(temperature=0, max_tokens=n) for n in (1, 4)]
    with pytest.raises(ForwardPassError, match="unplugged"):
        llm.generate(["a", "b"], params)
    assert [one.outputs[0].text for one in llm.generate(["a", "b"], params)] == ["b", "cdef"]


def test_scores_are_the_models_own_probabilities() -> None:
    (score,) = alphabet().score([list(b"abx")], num_top=1)
    normalizer = torch.logsumexp(torch.tensor([10.0] + [0.0] * 258), 0).item()
    assert score.logprobs[0] is None
    assert score.total_logprob == pytest.approx(10 - 2 * normalizer, abs=1e-4)
    assert score.perplexity == pytest.approx(torch.exp(torch.tensor(normalizer - 5)).item(), rel=1e-4)


def test_settings_by_name_and_unknown_ones_are_refused() -> None:
    with pytest.raises(TypeError, match="no setting 'max_num_seq'; did you mean 'max_num_seqs'"):
        alphabet(max_num_seq=3)
    with pytest.raises(TypeError, match="no setting 'zzz'; known: block_size, num_blocks"):
        alphabet(zzz=3)
    with pytest.raises(ValueError, match=r"max_num_seqs .9. exceeds max_num_batched_tokens .8."):
        alphabet(max_num_seqs=9, max_num_batched_tokens=8)


def test_it_loads_a_checkpoint_by_its_folder(checkpoint: Path) -> None:
    llm = LLM(checkpoint, num_blocks=16)
    loaded = LLM(load_model(checkpoint, dtype="float32"), load_tokenizer(checkpoint), num_blocks=16)
    bare = LLM(checkpoint, skip_tokenizer_init=True, num_blocks=16)
    ids = load_tokenizer(checkpoint).encode("hello")
    tokens = [one.generate(ids, GREEDY)[0].outputs[0].token_ids for one in (llm, loaded, bare)]
    assert tokens[0] == tokens[1] == tokens[2]
    assert bare.tokenizer is None
    assert LLM(checkpoint, dtype="bfloat16", num_blocks=16).engine.cache.dtype == "bfloat16"
    with pytest.raises(FileNotFoundError, match="nowhere"):
        LLM(checkpoint.parent / "nowhere")


def test_the_smallest_model_runs_in_the_whole_engine() -> None:
    torch.manual_seed(0)
    model = TinyLLM(vocab_size=40)
    prompts = [[1, 2, 3], [7] * 9, [4]]
    llm = LLM(model, num_blocks=8, block_size=4, prefill_chunk_size=2, watermark=0.0)
    for output, prompt in zip(llm.generate(prompts, GREEDY), prompts, strict=True):
        ids = list(prompt)
        for _ in range(5):  # the whole sequence again for each token
            ids += (
                LLM(model, num_blocks=8)
                .generate(ids, SamplingParams(temperature=0, max_tokens=1))[0]
                .outputs[0]
                .token_ids
            )
        assert output.outputs[0].token_ids == ids[len(prompt) :]


def test_a_readers_own_parts_run_and_the_engine_says_so() -> None:
    calls: list[str] = []

    def decode(
        q: Tensor, kv: LayerKV, block_tables: Tensor, context_lens: Tensor, spec: AttentionSpec
    ) -> Tensor:
        calls.append("decode")
        return paged_decode_torch(q, kv, block_tables, context_lens, spec)

    llm = alphabet(parts=Parts(paged_decode=decode))
    assert llm.generate("a", GREEDY)[0].outputs[0].text == "bcdef"
    assert len(calls) == 2 * 4  # layers × steps after the first
    assert llm.engine.backend.name == "torch with own paged_decode"
    assert alphabet().engine.backend.name == "numba"


def test_the_caller_is_never_left_in_inference_mode() -> None:
    for _ in alphabet().stream(["a", "b"], GREEDY):
        assert not torch.is_inference_mode_enabled()
        assert torch.is_grad_enabled()


def test_the_package_has_it_under_its_name() -> None:
    assert cblab.LLM is LLM
