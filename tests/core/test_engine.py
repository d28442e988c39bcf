"""The engine's own behaviour, over a model that says what a table says."""

import logging
import threading
from typing import Any

import pytest
import torch
from torch import Tensor

from cblab.attention.batch import RaggedBatch
from cblab.attention.dense import Attend
from cblab.core.clock import LinearCostModel, SimulatedClock
from cblab.core.engine import Engine
from cblab.core.errors import ForwardPassError
from cblab.core.outputs import CompletionOutput
from cblab.core.plan import StepPlan
from cblab.core.request import Request, RequestStatus
from cblab.core.sampling_params import SamplingParams
from tests.core.table_model import TOKENIZER, TableModel, run, table_engine

ALPHABET = "abcdefghijklmnopqrstuvwxyz"


def greedy(**changes: Any) -> SamplingParams:
    return SamplingParams(**{"temperature": 0, "max_tokens": 5, **changes})


def answer(prompt: bytes, params: SamplingParams, **settings: Any) -> CompletionOutput:
    """The one sample of the one request of an engine that spells the alphabet."""
    engine = table_engine(settings.pop("following", ALPHABET), **settings)
    request_id = engine.add_request(prompt, params)
    return run(engine)[request_id].outputs[0]


def model_of(engine: Engine) -> TableModel:
    assert isinstance(engine.runner.model, TableModel)
    return engine.runner.model


def spoil_logits_after(engine: Engine, character: str) -> None:
    """Make the logits of every row NaN whose token is this one."""
    model = model_of(engine)
    inner = model.forward

    def forward(batch: RaggedBatch, attend: Attend) -> Tensor:
        logits = inner(batch, attend)
        assert batch.logits_indices is not None
        logits[batch.input_ids[batch.logits_indices] == ord(character)] = torch.nan
        return logits

    model.forward = forward  # type: ignore[method-assign]


class TestStopping:
    def test_max_tokens(self) -> None:
        got = answer(b"ab", greedy(max_tokens=3))
        assert (got.text, got.finish_reason, got.stop_reason) == ("cde", "length", None)

    def test_the_context_limit(self) -> None:
        got = answer(b"a" * 60, greedy(max_tokens=None), max_position_embeddings=64)
        assert (got.text, got.finish_reason) == ("bcde", "length")
        got = answer(b"a" * 6, greedy(max_tokens=None), max_model_len=9)
        assert (got.text, got.finish_reason) == ("bcd", "length")

    def test_eos_of_the_model_and_of_the_tokenizer(self) -> None:
        eos = TOKENIZER.eos_token_id
        assert eos is not None
        own = answer(b"a", greedy(), eos_token_ids=(ord("c"),))
        assert (own.text, own.token_ids, own.finish_reason, own.stop_reason) == ("b", [98, 99], "stop", None)
        tokenizers = answer(b"a", greedy(), following={97: 98, 98: eos})
        assert (tokenizers.text, tokenizers.token_ids) == ("b", [98, eos])

    def test_ignore_eos_ignores_eos_and_no_stop_token(self) -> None:
        params = greedy(ignore_eos=True, stop_token_ids=[ord("d")])
        got = answer(b"a", params, eos_token_ids=(ord("c"),))
        assert (got.text, got.token_ids, got.stop_reason) == ("bc", [98, 99, 100], ord("d"))

    def test_a_stop_token_wins_over_length_at_the_last_token(self) -> None:
        assert answer(b"a", greedy(max_tokens=1, stop_token_ids=[98])).finish_reason == "stop"

    def test_a_stop_string_across_tokens_is_never_shown(self) -> None:
        engine = table_engine(ALPHABET)
        engine.add_request(b"a", greedy(stop=["def", "xyz"], max_tokens=9))
        shown = []
        while engine.has_unfinished:
            shown += [output.outputs[0].new_text for output in engine.step()]
        assert shown == ["b", "c", "", "", ""]  # d and e are held back until f decides
        got = answer(b"a", greedy(stop="def", max_tokens=9))
        assert (got.text, got.stop_reason, got.token_ids) == ("bc", "def", [98, 99, 100, 101, 102])
        assert answer(b"a", greedy(stop="def", include_stop_str_in_output=True, max_tokens=9)).text == "bcdef"

    def test_text_held_back_is_shown_when_the_request_ends_otherwise(self) -> None:
        got = answer(b"a", greedy(stop="dex", max_tokens=4))
        assert (got.text, got.finish_reason) == ("bcde", "length")

    def test_half_a_character_waits_and_is_never_lost(self) -> None:
        first, second = "é".encode()
        engine = table_engine({97: first, first: second, second: first})
        engine.add_request(b"a", greedy(max_tokens=3))
        texts = []
        while engine.has_unfinished:
            texts += [output.outputs[0].new_text for output in engine.step()]
        assert texts == ["", "é", "\N{REPLACEMENT CHARACTER}"]

    def test_min_tokens_keeps_every_end_away(self) -> None:
        params = greedy(min_tokens=3, stop_token_ids=[ord("c")], max_tokens=6)
        got = answer(b"a", params)
        # After b the stop token c is suppressed; all other tokens tie, and the first one is taken.
        assert got.token_ids[:2] == [98, 0]
        assert len(got.token_ids) == 6

    def test_a_deadline_aborts_what_is_running_and_what_is_waiting(self) -> None:
        clock = SimulatedClock(LinearCostModel(seconds_per_step=1.0))
        engine = table_engine(ALPHABET, clock=clock, max_num_seqs=1)
        runs = engine.add_request(b"a", greedy(max_tokens=20), deadline=3.5)
        waits = engine.add_request(b"b", greedy(max_tokens=20), deadline=2.5)
        outputs = run(engine)
        assert outputs[runs].outputs[0].text == "bcde"
        assert outputs[runs].outputs[0].finish_reason == "abort"
        assert outputs[runs].outputs[0].stop_reason == "deadline"
        assert outputs[waits].outputs[0].token_ids == []
        with pytest.raises(ValueError, match="deadline is in seconds from now and must be positive, got 0"):
            engine.add_request(b"a", deadline=0)


class TestRefusals:
    @pytest.mark.parametrize(
        ("prompt", "params", "message"),
        [
            ([], {}, "the prompt is empty"),
            ([1, 259], {}, "token id 259: the vocabulary has 259"),
            ([-1], {}, "token id -1"),
            (
                [1] * 64,
                {},
                r"64 tokens: the context limit is 64 \(max_model_len\), and one of them must be new",
            ),
            ([1] * 63, {}, "63 tokens and can never fit: the KV cache holds 32. Raise num_blocks"),
            ([1], {"n": 9, "temperature": 1}, "n=9 samples exceed max_num_seqs=8"),
            ([1], {"stop_token_ids": [300]}, "stop_token_ids holds the token id 300: the vocabulary has 259"),
            ([1], {"logit_bias": {259: 1.0}}, "logit_bias holds the token id 259"),
            ([1], {"allowed_token_ids": [400]}, "allowed_token_ids holds the token id 400"),
        ],
    )
    def test_what_can_never_run_is_refused_when_it_is_added(
        self, prompt: list[int], params: dict[str, Any], message: str
    ) -> None:
        engine = table_engine(ALPHABET, num_blocks=8)
        with pytest.raises(ValueError, match=message):
            engine.add_request(prompt, greedy(**params))
        assert not engine.has_unfinished

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"priority": "high"}, "priority must be a finite number, .* got 'high'"),
            ({"cache_salt": ["a"]}, "cache_salt must be a string, got"),
            ({"request_id": 3}, "request_id must be a string, got 3"),
            ({"prompt": [1.5]}, r"a prompt is a text or a sequence of token ids, got \[1.5\]"),
            ({"prompt": None}, "a prompt is a text or a sequence of token ids, got None"),
        ],
    )
    def test_arguments_of_the_wrong_kind(self, arguments: dict[str, Any], message: str) -> None:
        engine = table_engine(ALPHABET)
        with pytest.raises(ValueError, match=message):
            engine.add_request(**{"prompt": [1], **arguments})
        assert not engine.has_unfinished

    def test_an_id_that_is_taken(self) -> None:
        engine = table_engine(ALPHABET)
        engine.add_request(b"a", greedy(), request_id="mine")
        with pytest.raises(ValueError, match="request_id 'mine' is taken"):
            engine.add_request(b"b", greedy(), request_id="mine")
        assert run(engine)["mine"].outputs[0].text == "bcdef"
        engine.add_request(b"b", greedy(), request_id="mine")  # it is free again
        assert run(engine)["mine"].outputs[0].text == "cdefg"

    def test_text_without_a_tokenizer(self) -> None:
        engine = table_engine(ALPHABET)
        without = type(engine)(TableModel({97: 98}), None, engine.config)
        with pytest.raises(ValueError, match="the prompt 'ab' is text and the engine has no tokenizer"):
            without.add_request("ab")
        with pytest.raises(ValueError, match="stop strings"):
            without.add_request([97], SamplingParams(stop="x"))
        request_id = without.add_request([97], greedy(max_tokens=1))
        assert run(without)[request_id].outputs[0].token_ids == [98]
        assert run(without) == {}

    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            ({"max_model_len": 65}, "max_model_len=65 exceeds the model's own limit of 64"),
            ({"dtype": "bfloat16"}, "dtype='bfloat16', but the model has been loaded in float32"),
            ({"attention_backend": "cuda9"}, "unknown attention_backend 'cuda9'"),
        ],
    )
    def test_settings_that_do_not_go_with_the_model(self, settings: dict[str, Any], message: str) -> None:
        with pytest.raises(ValueError, match=message):
            table_engine(ALPHABET, **settings)


class TestAbort:
    def test_before_the_first_step_and_of_unknown_and_finished_ids(self) -> None:
        engine = table_engine(ALPHABET)
        gone, stays = engine.add_request(b"a", greedy()), engine.add_request(b"b", greedy())
        engine.abort(gone)
        engine.abort("nobody")
        outputs = run(engine)
        assert outputs[gone].outputs[0].finish_reason == "abort"
        assert outputs[gone].outputs[0].token_ids == []
        assert outputs[stays].outputs[0].text == "cdefg"
        engine.abort(stays)
        assert engine.step() == []

    def test_while_running_it_keeps_what_it_has(self) -> None:
        engine = table_engine(ALPHABET)
        request_id = engine.add_request(b"a", greedy())
        engine.step()
        engine.step()
        engine.abort(request_id)
        (output,) = engine.step()
        assert (output.finished, output.outputs[0].text) == (True, "bc")
        assert engine.block_manager.stats().used == 0

    def test_while_preempted(self) -> None:
        engine = table_engine(ALPHABET, num_blocks=4, enable_prefix_caching=False)
        first, second = (engine.add_request(p, greedy(max_tokens=9)) for p in (b"abcdefg", b"hijklmn"))
        while engine.requests[second].status is not RequestStatus.PREEMPTED:
            engine.step()
        engine.abort(second)
        outputs = run(engine)
        assert outputs[second].outputs[0].text == "opq"[: len(outputs[second].outputs[0].text)]
        assert outputs[first].outputs[0].text == "hijklmnop"

    def test_in_the_callback_of_a_neighbour_in_the_same_step(self) -> None:
        engine = table_engine(ALPHABET)

        def abort_second(_: Request, token_id: int) -> None:
            if token_id == ord("c"):
                engine.abort("second")

        first = engine.add_request(b"a", greedy(), on_token=abort_second)
        engine.add_request(b"h", greedy(), request_id="second")
        outputs = run(engine)
        # The step in which it was aborted had computed its next token: that is dropped.
        assert outputs["second"].outputs[0].text == "i"
        assert outputs["second"].outputs[0].finish_reason == "abort"
        assert outputs[first].outputs[0].text == "bcdef"

    def test_in_its_own_callback(self) -> None:
        engine = table_engine(ALPHABET)
        engine.add_request(b"a", greedy(), request_id="x", on_token=lambda *_: engine.abort("x"))
        assert [one.text for one in run(engine)["x"].outputs] == ["b"]

    def test_of_several_samples_ends_all(self) -> None:
        engine = table_engine(ALPHABET)
        engine.add_request(b"a", SamplingParams(n=3, seed=0, temperature=0.01), request_id="x")
        engine.step()
        engine.abort("x")
        (output,) = engine.step()
        assert [one.finish_reason for one in output.outputs] == ["abort"] * 3
        engine.check_integrity()

    def test_of_one_sample_before_its_prompt_is_computed_leaves_the_others(self) -> None:
        engine = table_engine(ALPHABET, prefill_chunk_size=1)
        params = SamplingParams(n=3, seed=0, temperature=0.01, max_tokens=2)
        engine.add_request(b"abc", params, request_id="g")
        other = engine.add_request(b"h", greedy())
        engine.step()
        engine.abort("g#1")
        outputs = run(engine)
        assert [one.text for one in outputs["g"].outputs] == ["de", "", "de"]
        assert [one.finish_reason for one in outputs["g"].outputs] == ["length", "abort", "length"]
        assert outputs[other].outputs[0].text == "ijklm"

    def test_of_a_request_that_has_just_been_added_in_a_callback(self) -> None:
        engine = table_engine(ALPHABET)

        def add_and_abort(*_: object) -> None:
            if "x" not in engine.requests:
                engine.add_request(b"h", greedy(), request_id="x")
                engine.abort("x")

        engine.add_request(b"a", greedy(max_tokens=1), on_token=add_and_abort)
        assert run(engine)["x"].outputs[0].token_ids == []

    def test_while_the_model_runs_drops_the_token_that_it_computes(self) -> None:
        engine = table_engine(ALPHABET, on_forward=lambda batch: None)
        seen: list[int] = []
        engine.add_request(b"a", greedy(), request_id="x", on_token=lambda _, token: seen.append(token))
        engine.step()
        model_of(engine).on_forward = lambda batch: engine.abort("x")
        (output,) = engine.step()
        assert (output.outputs[0].text, output.outputs[0].finish_reason, seen) == ("b", "abort", [98])

    def test_of_an_idle_engine_takes_effect_at_once_and_is_told_by_the_next_step(self) -> None:
        engine = table_engine(ALPHABET)
        engine.add_request(b"a", greedy(), request_id="x")
        engine.step()
        engine.abort("x")
        assert engine.requests == {}
        assert engine.block_manager.stats().used == 0
        assert engine.has_unfinished
        assert [output.outputs[0].finish_reason for output in engine.step()] == ["abort"]
        assert not engine.has_unfinished

    def test_an_id_is_taken_until_all_its_samples_have_ended(self) -> None:
        engine = table_engine(ALPHABET)
        flat = SamplingParams(n=2, temperature=1e9, seed=0, max_tokens=9, ignore_eos=True)
        engine.add_request(b"a", flat, request_id="g")
        engine.step()
        engine.abort("g")
        with pytest.raises(ValueError, match="request_id 'g' is taken"):
            engine.add_request(b"a", greedy(), request_id="g")
        engine.step()
        engine.add_request(b"a", greedy(), request_id="g")
        assert run(engine)["g"].outputs[0].text == "bcdef"

    def test_neither_an_abort_nor_a_deadline_outlives_its_request(self) -> None:
        clock = SimulatedClock(LinearCostModel(seconds_per_step=1.0))
        engine = table_engine(ALPHABET, clock=clock)
        engine.add_request(b"a", greedy(max_tokens=1), request_id="x", deadline=4)
        run(engine)
        engine.abort("x")
        engine.add_request(b"a", greedy(max_tokens=9), request_id="x")
        assert run(engine)["x"].outputs[0].text == "bcdefghij"


class TestFailures:
    def test_an_exception_in_a_callback_fails_that_request_alone(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        engine = table_engine(ALPHABET)

        def fail(_: Request, token_id: int) -> None:
            if token_id == ord("c"):
                raise KeyError("mine")

        bad = engine.add_request(b"a", greedy(), on_token=fail, request_id="bad")
        good = engine.add_request(b"a", greedy())
        with caplog.at_level(logging.WARNING, "cblab"):
            outputs = run(engine)
        assert outputs[good].outputs[0].text == "bcdef"
        assert (outputs[bad].outputs[0].text, outputs[bad].outputs[0].finish_reason) == ("bc", "error")
        assert isinstance(outputs[bad].error, KeyError)
        assert [record.message for record in caplog.records] == ["bad: error: KeyError('mine')"]

    def test_an_exception_in_a_logits_processor_fails_that_request_alone(self) -> None:
        def fail(_: object, output_token_ids: list[int], logits: Tensor) -> Tensor:
            if len(output_token_ids) == 2:
                raise OSError("no room")
            return logits

        engine = table_engine(ALPHABET)
        bad = engine.add_request(b"a", greedy(logits_processors=[fail]))
        good = engine.add_request(b"a", greedy())
        outputs = run(engine)
        assert outputs[good].outputs[0].text == "bcdef"
        assert (outputs[bad].outputs[0].text, str(outputs[bad].error)) == ("bc", "no room")

    @pytest.mark.parametrize("mode", ["recompute", "swap"])
    def test_an_exception_in_the_forward_pass_leaves_engine_and_cache_usable(self, mode: str) -> None:
        broken = [7]

        def fail(_: RaggedBatch) -> None:
            if broken and len(model_of(engine).batches) == broken[0]:
                broken.clear()
                raise MemoryError("out of it")

        settings = {"preemption_mode": mode, "num_host_blocks": 8} if mode == "swap" else {}
        engine = table_engine(ALPHABET, num_blocks=4, on_forward=fail, **settings)
        for index, prompt in enumerate((b"abcdefg", b"hijklmn", b"bc")):
            engine.add_request(prompt, greedy(max_tokens=9), request_id=str(index))
        with pytest.raises(ForwardPassError, match=r"MemoryError.*the engine goes on") as caught:
            run(engine)
        engine.check_integrity()
        assert isinstance(caught.value.__cause__, MemoryError)
        assert all(output.outputs[0].finish_reason == "error" for output in caught.value.outputs)
        failed = set(caught.value.request_ids)
        assert failed == {output.request_id for output in caught.value.outputs}
        outputs = run(engine)
        expected = {"0": "hijklmnop", "1": "opqrstuvw", "2": "defghijkl"}
        assert {name: one.outputs[0].text for name, one in outputs.items()} == {
            name: text for name, text in expected.items() if name not in failed
        }
        again = engine.add_request(b"abcdefg", greedy())
        assert run(engine)[again].outputs[0].text == "hijkl"

    def test_ctrl_c_in_the_forward_pass_passes_and_leaves_nothing_half_done(self) -> None:
        def interrupt(batch: RaggedBatch) -> None:
            if batch.num_tokens == 2:
                raise KeyboardInterrupt

        engine = table_engine(ALPHABET, on_forward=interrupt)
        engine.add_request(b"ab", greedy())
        with pytest.raises(KeyboardInterrupt):
            engine.step()
        engine.check_integrity()
        (output,) = engine.step()
        assert isinstance(output.error, KeyboardInterrupt)
        assert not engine.has_unfinished
        request_id = engine.add_request(b"abc", greedy())
        assert run(engine)[request_id].outputs[0].text == "defgh"

    def test_ctrl_c_in_a_callback_leaves_no_sample_without_its_token(self) -> None:
        engine = table_engine(ALPHABET)

        def interrupt(*_: object) -> None:
            raise KeyboardInterrupt

        params = SamplingParams(n=3, seed=0, temperature=0.01, max_tokens=4)
        engine.add_request(b"abc", params, on_token=interrupt)
        other = engine.add_request(b"h", greedy())
        with pytest.raises(KeyboardInterrupt):
            engine.step()
        engine.check_integrity()
        assert run(engine)[other].outputs[0].finish_reason == "error"  # it was in the broken step
        after = engine.add_request(b"h", greedy())
        assert run(engine)[after].outputs[0].text == "ijklm"

    @pytest.mark.parametrize("mode", ["recompute", "swap"])
    def test_a_break_in_the_scheduler_fails_what_ran_and_lets_the_waiting_run(self, mode: str) -> None:
        settings = {"preemption_mode": mode, "num_host_blocks": 8} if mode == "swap" else {}
        engine = table_engine(ALPHABET, num_blocks=4, **settings)
        for index, prompt in enumerate((b"abcdefg", b"hijklmn", b"bcdef")):
            engine.add_request(prompt, greedy(max_tokens=9), request_id=str(index))
        while engine.stats().num_preemptions == 0:
            engine.step()
        schedule = engine.scheduler.schedule

        def interrupted(now: float) -> StepPlan:
            schedule(now)
            raise KeyboardInterrupt

        engine.scheduler.schedule = interrupted  # type: ignore[method-assign]
        with pytest.raises(KeyboardInterrupt):
            engine.step()
        engine.scheduler.schedule = schedule  # type: ignore[method-assign]
        engine.check_integrity()
        texts = {name: one.outputs[0].text for name, one in run(engine).items() if one.error is None}
        expected = {"0": "hijklmnop", "1": "opqrstuvw", "2": "ghijklmno"}
        assert texts
        assert texts == {name: expected[name] for name in texts}
        assert engine.block_manager.stats().used == 0

    def test_nan_in_a_prompts_logits_fails_its_own_request(self) -> None:
        engine = table_engine(ALPHABET)
        spoil_logits_after(engine, "c")
        params = greedy(prompt_logprobs=0)
        bad, good = engine.add_request(b"abcd", params), engine.add_request(b"hij", params)
        outputs = run(engine)
        assert outputs[bad].outputs[0].finish_reason == "error"
        assert outputs[good].outputs[0].text == "klmno"

    def test_a_warmup_that_fails_gives_its_blocks_back(self) -> None:
        def fail(_: RaggedBatch) -> None:
            raise OSError("cold")

        engine = table_engine(ALPHABET, on_forward=fail)
        with pytest.raises(OSError, match="cold"):
            engine.warmup()
        engine.check_integrity()
        assert engine.block_manager.stats().used == 0

    def test_nan_logits_fail_their_own_request(self) -> None:
        engine = table_engine(ALPHABET)
        spoil_logits_after(engine, "c")
        bad, good = engine.add_request(b"a", greedy()), engine.add_request(b"h", greedy())
        outputs = run(engine)
        assert outputs[bad].outputs[0].text == "bc"
        assert "nan" in str(outputs[bad].error).lower()
        assert outputs[good].outputs[0].text == "ijklm"

    def test_step_within_step_is_refused(self) -> None:
        engine = table_engine(ALPHABET)

        def step(*_: object) -> None:
            engine.step()

        request_id = engine.add_request(b"a", greedy(), on_token=step)
        assert "step() is running already" in str(run(engine)[request_id].error)


class TestSamples:
    def test_samples_share_the_prompts_blocks_and_copy_the_last_one(self) -> None:
        engine = table_engine(ALPHABET, enable_prefix_caching=False)
        params = SamplingParams(n=3, seed=1, temperature=1e9, max_tokens=2, ignore_eos=True)
        engine.add_request([1, 2, 3, 4, 5, 6], params, request_id="x")
        engine.step()
        # One full and one partly filled block, held by all three.
        tables = [engine.block_manager.block_table(name) for name in ("x", "x#1", "x#2")]
        assert tables == [(0, 1)] * 3
        engine.step()
        tables = [engine.block_manager.block_table(name) for name in ("x", "x#1", "x#2")]
        assert engine.block_manager.stats().copies == 2
        assert not engine.has_unfinished
        assert tables == [()] * 3

    def test_each_sample_copies_before_it_writes_and_the_last_owner_keeps_the_block(self) -> None:
        engine = table_engine(ALPHABET, enable_prefix_caching=False)
        params = SamplingParams(n=3, seed=1, temperature=1e9, max_tokens=3, ignore_eos=True)
        engine.add_request([1, 2, 3, 4, 5, 6], params, request_id="x")
        engine.step()
        engine.step()
        tables = [engine.block_manager.block_table(name) for name in ("x", "x#1", "x#2")]
        assert tables == [(0, 2), (0, 3), (0, 1)]

    def test_samples_differ_by_their_index_alone(self) -> None:
        engine = table_engine(ALPHABET)
        params = SamplingParams(n=4, seed=5, temperature=1e9, max_tokens=6, ignore_eos=True)
        together = engine.add_request(b"ab", params)
        outputs = run(engine)[together].outputs
        assert [one.index for one in outputs] == [0, 1, 2, 3]
        assert len({tuple(one.token_ids) for one in outputs}) == 4
        again = engine.add_request(b"ab", params)
        assert [one.token_ids for one in run(engine)[again].outputs] == [one.token_ids for one in outputs]

    def test_samples_survive_preemption(self) -> None:
        params = SamplingParams(n=3, seed=5, temperature=1e9, max_tokens=12, ignore_eos=True)
        roomy, tight = (table_engine(ALPHABET, num_blocks=n, enable_prefix_caching=False) for n in (32, 7))
        for engine in (roomy, tight):
            engine.add_request(b"abcde", params, request_id="x")
        expected, got = run(roomy)["x"], run(tight)["x"]
        assert tight.stats().num_preemptions > 0
        assert [one.token_ids for one in got.outputs] == [one.token_ids for one in expected.outputs]


class TestScoring:
    @pytest.mark.parametrize("chunk", [None, 1, 2])
    def test_every_prompt_token_has_its_logprob_whatever_the_chunks(self, chunk: int | None) -> None:
        engine = table_engine(ALPHABET, prefill_chunk_size=chunk)
        request_id = engine.add_request(b"abx", greedy(max_tokens=0, prompt_logprobs=1))
        output = run(engine)[request_id]
        normalizer = torch.logsumexp(torch.tensor([10.0] + [0.0] * 258), 0).item()
        assert output.prompt_logprobs is not None
        first, second, third = output.prompt_logprobs
        assert first is None
        assert second is not None
        assert third is not None
        assert second.token_id == ord("b")
        assert second.logprob == pytest.approx(10 - normalizer, abs=1e-5)
        assert second.rank == 1
        assert third.logprob == pytest.approx(-normalizer, abs=1e-5)
        assert max(third.top, key=lambda token: third.top[token]) == ord("c")
        assert output.outputs[0].token_ids == []
        assert output.outputs[0].finish_reason == "length"

    def test_a_cached_prompt_is_scored_all_the_same(self) -> None:
        engine = table_engine(ALPHABET)
        texts = []
        for _ in range(2):
            request_id = engine.add_request(b"abcdefghij", greedy(max_tokens=2, prompt_logprobs=0))
            output = run(engine)[request_id]
            assert output.prompt_logprobs is not None
            texts.append([one and round(one.logprob, 6) for one in output.prompt_logprobs])
            assert output.outputs[0].text == "kl"
        assert texts[0] == texts[1]
        assert None not in texts[0][1:]

    def test_logprobs_of_samples(self) -> None:
        engine = table_engine(ALPHABET)
        request_id = engine.add_request(b"a", greedy(logprobs=2, max_tokens=3))
        output = run(engine)[request_id].outputs[0]
        assert output.logprobs is not None
        assert [one.token_id for one in output.logprobs] == [98, 99, 100]
        assert output.cumulative_logprob == pytest.approx(sum(one.logprob for one in output.logprobs))
        plain = answer(b"a", greedy())
        assert (plain.logprobs, plain.cumulative_logprob) == (None, None)


class TestSteps:
    def test_a_middle_chunk_never_samples(self) -> None:
        engine = table_engine(ALPHABET, prefill_chunk_size=3)
        engine.add_request(b"abcdefgh", greedy(max_tokens=2))
        assert engine.step() == []
        assert engine.step() == []
        (output,) = engine.step()
        assert output.outputs[0].text == "i"
        assert [batch.num_tokens for batch in model_of(engine).batches] == [3, 3, 2]
        wanted = [batch.logits_indices for batch in model_of(engine).batches]
        assert [one.tolist() for one in wanted if one is not None] == [[], [], [1]]

    def test_decodes_and_chunks_share_a_step(self) -> None:
        engine = table_engine(ALPHABET, max_num_batched_tokens=8)
        engine.add_request(b"a", greedy(max_tokens=4))
        engine.step()
        engine.add_request(b"abcdefghijkl", greedy(max_tokens=2))
        engine.step()
        assert model_of(engine).batches[-1].cu_seqlens_q.tolist() == [0, 1, 8]
        assert model_of(engine).batches[-1].num_decodes == 1

    def test_one_that_fills_the_pool_alone_ends_with_length(self) -> None:
        got = answer(b"abcde", greedy(max_tokens=None), num_blocks=2)
        # 8 slots: tokens 0-7 are computed, and the last one gives one more.
        assert (got.text, got.finish_reason) == ("fghi", "length")

    def test_the_prefix_cache_saves_work_and_changes_nothing(self) -> None:
        engine = table_engine(ALPHABET)
        for _ in range(2):
            request_id = engine.add_request(b"abcdefghij", greedy())
            output = run(engine)[request_id]
            assert output.outputs[0].text == "klmno"
        assert output.metrics.num_cached_tokens == 8
        salted = engine.add_request(b"abcdefghij", greedy(), cache_salt="other")
        assert run(engine)[salted].metrics.num_cached_tokens == 0

    def test_a_full_hit_still_computes_one_token(self) -> None:
        engine = table_engine(ALPHABET)
        for expected in (0, 4):  # of 8 tokens in two blocks, the second is computed again
            request_id = engine.add_request(b"abcdefgh", greedy())
            output = run(engine)[request_id]
            assert output.metrics.num_cached_tokens == expected
            assert output.outputs[0].text == "ijklm"

    def test_requests_come_in_from_many_threads_while_it_steps(self) -> None:
        engine = table_engine(ALPHABET)
        added: list[str] = []

        def add() -> None:
            for _ in range(25):
                added.append(engine.add_request(b"a", greedy()))

        threads = [threading.Thread(target=add) for _ in range(4)]
        for thread in threads:
            thread.start()
        finished: dict[str, str] = {}
        while any(thread.is_alive() for thread in threads) or engine.has_unfinished:
            finished |= {one.request_id: one.outputs[0].text for one in engine.step() if one.finished}
        assert finished == dict.fromkeys(added, "bcdef")
        assert len(added) == 100

    def test_final_only_gives_one_output_when_the_last_sample_has_ended(self) -> None:
        engine = table_engine(ALPHABET)
        watched = engine.add_request(b"a", greedy())
        quiet = engine.add_request(b"a", greedy(n=2, temperature=1, seed=0, max_tokens=3), final_only=True)
        engine.step()
        engine.abort(f"{quiet}#1")  # one of two: nothing to tell yet
        seen = []
        while engine.has_unfinished:
            seen += [(one.request_id, one.finished) for one in engine.step()]
            engine.check_integrity()
        assert [one for one in seen if one[0] == quiet] == [(quiet, True)]
        assert len([one for one in seen if one[0] == watched]) == 4

    def test_the_one_output_has_everything(self) -> None:
        engine = table_engine(ALPHABET)
        engine.add_request(b"a", greedy(), final_only=True)
        outputs = []
        while engine.has_unfinished:
            outputs += engine.step()
        (completion,) = outputs[0].outputs
        assert (completion.text, completion.new_text) == ("bcdef", "bcdef")
        assert list(completion.new_token_ids) == completion.token_ids == list(b"bcdef")

    def test_metrics_are_on_the_engines_clock(self) -> None:
        clock = SimulatedClock(LinearCostModel(1.0, 0.0, 0.0, 0.0))
        engine = table_engine(ALPHABET, clock=clock, max_num_seqs=1)
        first, second = engine.add_request(b"a", greedy(max_tokens=3)), engine.add_request(b"a", greedy())
        outputs = run(engine)
        metrics = outputs[second].metrics
        assert outputs[first].metrics.time_to_first_token == 1.0
        assert (metrics.arrival_time, metrics.first_scheduled_time) == (0.0, 3.0)
        assert (metrics.first_token_time, metrics.finish_time) == (4.0, 8.0)

    def test_stats_count_what_happened(self) -> None:
        engine = table_engine(ALPHABET, prefill_chunk_size=3)
        engine.add_request(b"abcdef", greedy())
        engine.add_request(b"abcdef", greedy(max_tokens=1))
        assert engine.stats().num_waiting == 2
        run(engine)
        stats = engine.stats()
        assert (stats.num_waiting, stats.num_running, dict(stats.num_finished)) == (0, 0, {"length": 2})
        assert (stats.num_prompt_tokens, stats.num_generated_tokens) == (12, 6)
        assert (stats.num_prefill_tokens, stats.num_decode_tokens, stats.num_steps) == (12, 4, 6)
        assert stats.blocks.used == 0

    def test_warmup_touches_no_block_request_or_statistic(self) -> None:
        engine = table_engine(ALPHABET)
        request_id = engine.add_request(b"abcdefgh", greedy())
        run(engine)
        before = engine.stats()
        assert engine.warmup() > 0
        assert engine.warmup(whole_pool=True) > 0
        engine.check_integrity()
        after = engine.stats()
        assert (after.num_steps, after.blocks.cached) == (before.num_steps, before.blocks.cached)
        request_id = engine.add_request(b"abcdefgh", greedy())
        assert run(engine)[request_id].metrics.num_cached_tokens == 4
        engine.add_request(b"a", greedy())
        with pytest.raises(
            RuntimeError, match="the engine must be idle, but it has not finished 'request-2'"
        ):
            engine.warmup()

    def test_it_is_quiet_by_default(self, capfd: pytest.CaptureFixture[str]) -> None:
        answer(b"a", greedy())
        assert capfd.readouterr() == ("", "")
