"""An engine that everything happens to, and what must be true of it all the same.

`World` holds one engine with a tiny pool and a handful of things that can be done to it: add a request, abort
one, step, let the model fail, let time pass, drain. After each the books are checked, and every token is held
against an oracle that knows no cache. Two drivers pick what is done: hypothesis, which shrinks what it finds
(`tests/core/test_engine_machine.py`), and plain random numbers, which are fast (`drive`).
"""

import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import count
from typing import Any, Literal

import torch
from torch import Tensor

from cblab.attention.batch import RaggedBatch
from cblab.attention.dense import Attend, RaggedCausalAttention
from cblab.core.clock import SimulatedClock
from cblab.core.config import EngineConfig
from cblab.core.errors import ForwardPassError
from cblab.core.outputs import CompletionOutput, RequestOutput
from cblab.core.parts import Parts
from cblab.core.plan import StepPlan
from cblab.core.request import Request, RequestStatus
from cblab.core.sampler import SamplerOutput, SamplingRow, sample
from cblab.core.sampling_params import SamplingParams
from cblab.model import TinyLLM
from cblab.tokenization import CharacterTokenizer
from tests.core.parity import Watched

TOKENIZER = CharacterTokenizer("abcdefghij")
EOS = TOKENIZER.eos_token_id
CONTEXT_LIMIT = 22
AGING_S = 5.0

# What two drivers choose from. Chosen evenly, so what is to be frequent stands here more than once.
SETUPS: dict[str, Sequence[Any]] = {
    "num_blocks": (2, 3, 4, 5, 6, 8),
    "block_size": (1, 2, 3, 4),
    "prefix_caching": (True, True, False),
    "policy": ("fcfs", "priority"),
    "num_host_blocks": (0, 2, 8),  # none: preempted requests compute everything again
    "max_num_seqs": (4, 1, 2, 3),
    "spare_budget": (0, 3, 20),
    "chunk": (None, 1, 2, 5),
    "watermark": (0.0, 0.0, 0.3),
}
WISHES: dict[str, Sequence[Any]] = {
    "stem": ("abcdefghij", "abcdefghij", "abcdjihgfe", "cccccccccc"),
    "stem_length": (1, 4, 8, 2, 3, 6, 10, 0),
    "tail": ("", "", "a", "b", "ab", "ff"),
    "as_text": (True, False),
    "n": (1, 1, 1, 2, 3),
    "greedy": (True, False),
    "seed": (1, 2),
    "max_tokens": (4, 8, 1, 2, 3, 12, None),
    "stop_ids": ((), (), (0, 1)),
    "stop": ((), (), ("ab", "c")),
    "is_scored": (False, False, False, True),
    "salt": ("", "b"),
    "priority": (0, 0, -2, 1),
    "deadline": (None, None, None, 3.0, 9.0),
    "trouble": (
        *[None] * 8,
        "callback raises",
        "processor raises",
        "callback aborts itself",
        "callback aborts another",
        "callback adds",
        "callback adds and aborts",
    ),
    "trouble_at": (1, 2, 4),
}

Trouble = Literal[
    "callback raises",
    "processor raises",
    "callback aborts itself",
    "callback aborts another",
    "callback adds",
    "callback adds and aborts",
]


@dataclass(frozen=True)
class Setup:
    """An engine's settings, from `SETUPS`."""

    num_blocks: int
    block_size: int
    prefix_caching: bool
    policy: Literal["fcfs", "priority"]
    num_host_blocks: int
    max_num_seqs: int
    spare_budget: int
    chunk: int | None
    watermark: float

    @property
    def num_slots(self) -> int:
        """Tokens that the pool holds."""
        return self.num_blocks * self.block_size

    @property
    def config(self) -> EngineConfig:
        """The same in the engine's words."""
        return EngineConfig(
            block_size=self.block_size,
            num_blocks=self.num_blocks,
            num_host_blocks=self.num_host_blocks,
            preemption_mode="swap" if self.num_host_blocks else "recompute",
            max_num_seqs=self.max_num_seqs,
            max_num_batched_tokens=self.max_num_seqs + self.spare_budget,
            prefill_chunk_size=self.chunk,
            enable_prefix_caching=self.prefix_caching,
            scheduling_policy=self.policy,
            priority_aging_s=AGING_S,
            watermark=self.watermark,
        )


@dataclass(frozen=True)
class Wish:
    """What one request asks for, and the trouble that it makes at its token `trouble_at`; from `WISHES`."""

    stem: str
    stem_length: int
    tail: str
    as_text: bool
    n: int
    greedy: bool
    seed: int
    max_tokens: int | None
    stop_ids: tuple[int, ...]
    stop: tuple[str, ...]
    is_scored: bool
    salt: str
    priority: int
    deadline: float | None
    trouble: Trouble | None
    trouble_at: int

    @property
    def text(self) -> str:
        """The prompt; never empty."""
        return self.stem[: self.stem_length] + self.tail or "j"

    @cached_property
    def ids(self) -> tuple[int, ...]:
        """The prompt's token ids."""
        return tuple(TOKENIZER.encode(self.text))

    @property
    def num_new(self) -> int:
        """Tokens that it may have at most; 0 is a prompt that is only scored."""
        room = CONTEXT_LIMIT - len(self.ids)
        return room if self.max_tokens is None else min(self.max_tokens, room)

    @cached_property
    def params(self) -> SamplingParams:
        """Sampling parameters, without the trouble."""
        return SamplingParams(
            n=self.n,
            temperature=0.0 if self.greedy and self.n == 1 else 1.0,
            seed=self.seed,
            max_tokens=self.max_tokens,
            stop_token_ids=self.stop_ids,
            stop=self.stop,
            prompt_logprobs=0 if self.is_scored else None,
        )

    def can_run(self, setup: Setup) -> bool:
        """Whether an engine is to take it in at all."""
        length = len(self.ids)
        return length <= setup.num_slots and length < CONTEXT_LIMIT and self.n <= setup.max_num_seqs

    def end(self, tokens: Sequence[int]) -> Literal["stop", "length"] | None:
        """Why an output ends with the last of these tokens; None if it goes on."""
        if tokens and tokens[-1] in (EOS, *self.stop_ids):
            return "stop"
        if any(TOKENIZER.decode(tokens).endswith(stop) for stop in self.stop):
            return "stop"
        return "length" if len(tokens) >= self.num_new else None

    def shown(self, tokens: Sequence[int]) -> str:
        """The text of an output that has ended with these tokens."""
        stopped = bool(tokens) and tokens[-1] in (EOS, *self.stop_ids)
        text = TOKENIZER.decode(tokens[:-1] if stopped else tokens)
        ends = [text.find(stop) for stop in self.stop if stop in text]
        return text[: min(ends)] if ends else text


class Oracle:
    """TinyLLM without a cache: the logits behind a sequence, and what a request must therefore yield.

    Logits are computed once a sequence and kept. The weights make the context matter more than the last
    token, so that one key or value read from the wrong place changes them.
    """

    def __init__(self) -> None:
        generator = torch.Generator().manual_seed(5)
        self.model = TinyLLM(TOKENIZER.vocab_size, hidden_size=8, max_position_embeddings=CONTEXT_LIMIT)
        spreads = {
            "embed_tokens": 1.0,
            "q_proj": 0.4,
            "k_proj": 0.4,
            "v_proj": 0.6,
            "o_proj": 0.6,
            "lm_head": 0.7,
        }
        with torch.no_grad():
            for name, spread in spreads.items():
                weight = getattr(self.model, name).weight
                weight.copy_(torch.randn(weight.shape, generator=generator) * spread)
        self._logits: dict[tuple[int, ...], Tensor] = {}
        self._said: dict[tuple[Any, ...], list[int]] = {}

    @torch.inference_mode()
    def logits(self, tokens: tuple[int, ...]) -> Tensor:
        """Logits `[vocab_size]` of the token that follows."""
        if tokens not in self._logits:
            batch = RaggedBatch.prefill([tokens])
            attend = RaggedCausalAttention(self.model.attention_specs, batch.cu_seqlens_q)
            self._logits[tokens] = self.model(batch, attend)[0]
        return self._logits[tokens]

    def output(self, wish: Wish, index: int) -> list[int]:
        """All tokens of a request's sample, if nothing cuts it short."""
        is_greedy = wish.params.is_greedy
        # What a sample says depends on these alone; where it ends is cut off afterwards.
        said = self._said.setdefault((wish.ids, is_greedy or (wish.seed, index)), [])
        plain = SamplingParams(temperature=0.0 if is_greedy else 1.0)
        for length in range(CONTEXT_LIMIT + 1):
            if wish.end(said[:length]) is not None:
                return said[:length]
            if length == len(said):
                row = SamplingRow(plain, list(wish.ids), said, wish.seed, index, frozenset())
                said.append(sample(self.logits((*wish.ids, *said))[None], [row]).token_ids[0])
        raise AssertionError(f"no end of {wish}")

    def prompt_logprobs(self, ids: tuple[int, ...]) -> list[float]:
        """Log-probability of each prompt token but the first."""
        rows = [self.logits(ids[:i]).log_softmax(dim=-1)[ids[i]] for i in range(1, len(ids))]
        return [float(row) for row in rows]


ORACLE = Oracle()  # it only remembers: nothing that one test does can be seen by another


class ModelError(RuntimeError):
    """What `FailingModel` raises."""


class FailingModel:
    """TinyLLM, whose next forward pass can be told to raise: before anything is written, or after."""

    def __init__(self, model: TinyLLM) -> None:
        self.model = model
        self.config = model.config
        self.fails: Literal["before", "after"] | None = None

    @property
    def attention_specs(self) -> tuple[Any, ...]:
        return self.model.attention_specs

    def parameters(self) -> Iterator[torch.nn.Parameter]:
        return self.model.parameters()

    def __call__(self, batch: RaggedBatch, attend: Attend) -> Tensor:
        fails, self.fails = self.fails, None
        if fails == "before":
            raise ModelError("the model fails before it has begun")
        logits = self.model(batch, attend)
        if fails == "after":
            raise ModelError("the model fails when all is written")
        return logits


def group_of(request_id: str) -> str:
    """The user's request that a sample belongs to."""
    return request_id.split("#")[0]


class World:
    """One engine, its unfinished requests, and what has been done to them.

    Every public method is a thing to do; each of them leaves all checks behind it. `counts` says what came of
    it. Time passes by one second a step.
    """

    def __init__(self, setup: Setup, parts: Parts | None = None, oracle: Oracle = ORACLE) -> None:
        self.setup, self.oracle = setup, oracle
        self.model = FailingModel(oracle.model)
        self.clock = SimulatedClock(lambda plan: 1.0)
        self._parts = replace(parts or Parts(), sampler=self._sample)
        self.watched = Watched(
            self.model, setup.config, tokenizer=TOKENIZER, parts=self._parts, clock=self.clock
        )
        self.engine = self.watched.engine
        self.wishes: dict[str, Wish] = {}  # the unfinished ones
        self.num_added = 0
        self.arrivals: dict[str, tuple[float, int]] = {}  # when, and as the how-manieth
        self.aborted: set[str] = set()
        self.broken: set[str] = set()  # they were in a step that failed
        self.exhausted: set[str] = set()
        self.shown: dict[tuple[str, int], tuple[list[int], str]] = {}
        self.wrong_logits: list[str] = []
        self.counts: Counter[str] = Counter()
        self._num_plans = 0

    # Things to do.

    def add(self, wish: Wish) -> None:
        """Ask for something; what can never run is refused, and leaves nothing behind."""
        self._add(wish)
        self.check()

    def add_taken_id(self, wish: Wish, which: int) -> None:
        """Ask under an id that an unfinished request or one of its samples has."""
        # Most telling: a request whose first sample, which has its id, has ended before the others.
        ids = sorted(set(self.wishes) - set(self.engine.requests)) or sorted(self.engine.requests)
        if ids:
            self._refused(wish, ids[which % len(ids)])
            self.check()

    def abort(self, which: int) -> None:
        """Abort a request or one of its samples, or an id that nobody has."""
        ids = sorted([*self.wishes, *self.engine.requests, "nobody"])
        request_id = ids[which % len(ids)]
        self.engine.abort(request_id)
        if request_id != "nobody":
            self.aborted.add(request_id)
            self.counts["aborts"] += 1
        self.check()

    def fail_next(self, when: Literal["before", "after"]) -> None:
        """Let the model's next forward pass raise."""
        self.model.fails = when

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.clock.advance_to(self.clock.now() + seconds)

    def step(self) -> None:
        """Let the engine do one step."""
        ending = self._ending()
        try:
            outputs = self.engine.step()
        except ForwardPassError as error:
            if not isinstance(error.__cause__, ModelError):
                raise
            self.broken |= {one.request_id for one in self.watched.plans[-1].scheduled}
            self.counts["failed steps"] += 1
            outputs = list(error.outputs)
        self.counts["steps"] += 1
        for plan in self.watched.plans[self._num_plans :]:
            self._check_plan(plan)
        self._num_plans = len(self.watched.plans)
        for output in outputs:
            self._check_output(output)
        left = ending & set(self.engine.requests)
        assert not left, f"aborted or late, and a step later still there: {left}"
        self.check()

    def drain(self) -> None:
        """Step until nothing is left: whoever is first gets on by a token a step, so it cannot take long."""
        limit = 10
        while self.engine.has_unfinished:
            # Callbacks may have added some.
            limit = max(limit, sum(w.n * (len(w.ids) + w.num_new + 3) for w in self.wishes.values()))
            assert limit > 0, f"no end in sight for {sorted(self.engine.requests)}"
            self.step()
            limit -= 1
        assert not self.wishes, f"never heard of again: {sorted(self.wishes)}"
        self.watched.assert_whole()

    def finish(self) -> Counter[str]:
        """Drain, and return what has happened."""
        self.drain()
        return self.counts + self.watched.counts() + Counter(evictions=self.watched.blocks["evict"])

    # What is true after each of them.

    def check(self) -> None:
        """Check everything that must be true between two things."""
        self.engine.check_integrity()
        assert not self.wrong_logits, self.wrong_logits[0]
        unfinished = {group_of(one) for one in self.engine.requests}
        assert unfinished <= set(self.wishes)
        # An engine that is not stepping carries out an abort at once, and tells it with the next step.
        assert set(self.wishes) - unfinished <= {group_of(one) for one in self.aborted}
        running = list(self.engine.scheduler.running)
        assert len(running) <= self.setup.max_num_seqs
        stats = self.engine.block_manager.stats()
        assert stats.used + stats.free + stats.cached == self.setup.num_blocks == stats.num_blocks
        for number, one in enumerate(running):
            for other in running[:number]:
                self._check_shared_blocks(one, other)

    def _check_shared_blocks(self, one: Request, other: Request) -> None:
        """Blocks are shared by samples of one prompt, and by prompts of one salt through the prefix cache."""
        tables = [set(self.engine.block_manager.block_table(each.request_id)) for each in (one, other)]
        if group_of(one.request_id) != group_of(other.request_id) and (
            not self.setup.prefix_caching or one.cache_salt != other.cache_salt
        ):
            assert not tables[0] & tables[1], f"{one.request_id} and {other.request_id} share blocks"

    def _check_plan(self, plan: StepPlan) -> None:
        ids = [one.request_id for one in plan.scheduled]
        assert len(set(ids)) == len(ids) <= self.setup.max_num_seqs
        assert plan.num_tokens <= self.setup.config.max_num_batched_tokens
        assert all(1 <= one.num_new_tokens <= (self.setup.chunk or 1 << 30) for one in plan.scheduled)
        assert not (plan.admitted and plan.preempted), "a step that preempts admits nobody"
        # Nobody overtakes: who is admitted comes before all who wait, who is preempted after all who run.
        place = {one: self._place(one) for one in (*ids, *plan.preempted)}
        waiting = [self._place(one.request_id) for one in self.engine.scheduler.waiting]
        last = max((place[one] for one in plan.admitted), default=(-1e9, 0))
        assert last <= min(waiting, default=(1e9, 0)), "whoever is admitted overtakes one who waits"
        if plan.preempted and ids:
            first = min(place[one] for one in plan.preempted)
            assert max(place[one] for one in ids) <= first, "one who is preempted overtakes"
        self.exhausted |= set(plan.exhausted)
        self.counts["exhaustions"] += len(plan.exhausted)

    def _place(self, request_id: str) -> tuple[float, int]:
        """Where a request stands in line."""
        time, number = self.arrivals[group_of(request_id)]
        return (time if self.setup.policy == "priority" else 0.0), number

    def _check_output(self, output: RequestOutput) -> None:
        name = output.request_id
        assert name in self.wishes, f"{name} has ended already, or was never asked for"
        wish = self.wishes[name]
        assert output.prompt_token_ids == list(wish.ids)
        assert output.prompt == (wish.text if wish.as_text else None)
        assert [one.index for one in output.outputs] == list(range(wish.n))
        for one in output.outputs:
            tokens, text = self.shown.get((name, one.index), ([], ""))
            assert one.token_ids == [*tokens, *one.new_token_ids]
            assert one.text == text + one.new_text
            self.shown[name, one.index] = list(one.token_ids), one.text
            self._check_sample(wish, name, one)
        assert output.finished == all(one.finish_reason for one in output.outputs)
        if output.finished:
            self._check_finished(wish, output)
            del self.wishes[name]

    def _check_sample(self, wish: Wish, name: str, one: CompletionOutput) -> None:
        """Hold one sample's tokens, text and reason against the oracle's."""
        expected = self.oracle.output(wish, one.index)
        tokens = one.token_ids
        assert tokens == expected[: len(tokens)], f"{name}: {tokens} is not how {expected} begins"
        request_id = f"{name}#{one.index}" if one.index else name
        if one.finish_reason is None:
            assert wish.end(tokens) is None
            return
        assert one.text == wish.shown(tokens)
        reasons = self._possible_ends(wish, request_id, tokens)
        assert one.finish_reason in reasons, (
            f"{request_id} has ended by {one.finish_reason}, not by {reasons}"
        )
        is_late = one.stop_reason == "deadline"
        assert not is_late or (one.finish_reason == "abort" and self._is_late(name)), f"{name} is not late"

    def _possible_ends(self, wish: Wish, request_id: str, tokens: list[int]) -> set[str]:
        """Every reason for which a sample may have ended with these tokens."""
        reasons = set()
        natural = wish.end(tokens)
        troubled = wish.trouble is not None and len(tokens) == wish.trouble_at
        if troubled and wish.trouble == "callback raises":
            reasons.add("error")
        elif natural is not None:
            reasons.add(natural)
        if troubled and wish.trouble == "processor raises" and natural is None:
            reasons.add("error")
        if request_id in self.broken or group_of(request_id) in self.broken:
            reasons.add("error")
        if {request_id, group_of(request_id)} & self.aborted or self._is_late(group_of(request_id)):
            reasons.add("abort")
        if request_id in self.exhausted and len(wish.ids) + len(tokens) == self.setup.num_slots + 1:
            reasons.add("length")
        return reasons

    def _check_finished(self, wish: Wish, output: RequestOutput) -> None:
        reasons = [one.finish_reason for one in output.outputs]
        self.counts.update(f"ended by {reason}" for reason in reasons)
        self.counts["requests"] += 1
        assert (output.error is not None) == ("error" in reasons)
        if wish.is_scored and not {"abort", "error"} & set(reasons):
            assert output.prompt_logprobs is not None
            first, *others = output.prompt_logprobs
            assert first is None
            ours = [one.logprob for one in others if one is not None]
            torch.testing.assert_close(
                torch.tensor(ours), torch.tensor(self.oracle.prompt_logprobs(wish.ids)), atol=1e-4, rtol=0
            )

    def _is_late(self, name: str) -> bool:
        wish = self.wishes[name]
        started = self.arrivals[name][0] - wish.priority * AGING_S * (self.setup.policy == "priority")
        return wish.deadline is not None and self.clock.now() >= started + wish.deadline

    def _ending(self) -> set[str]:
        """Samples that the next step must end before it computes anything."""
        late = {name for name in self.wishes if self._is_late(name)}
        return {
            one
            for one in self.engine.requests
            if {one, group_of(one)} & self.aborted or group_of(one) in late
        }

    def _sample(self, logits: Tensor, rows: Sequence[SamplingRow]) -> SamplerOutput:
        """Sample from the oracle's logits, having held the engine's against them.

        So no rounding ever decides a token, and tokens can be compared exactly.
        """
        tokens = [(*row.prompt_token_ids, *row.output_token_ids) for row in rows]
        expected = torch.stack([self.oracle.logits(one) for one in tokens])
        furthest = (logits - expected).abs().amax(dim=-1).tolist()
        for one, difference in zip(tokens, furthest, strict=True):
            if not difference < 1e-4:
                self.wrong_logits.append(f"the logits behind {one} are off by {difference}")
        return sample(expected, rows)

    # Adding.

    def _add(self, wish: Wish) -> str | None:
        # An id is free again when its request has ended, and what happened to that one is forgotten.
        name = next(f"r{i}" for i in count() if f"r{i}" not in self.wishes)
        if not wish.can_run(self.setup):
            self._refused(wish, name)
            return None
        self._submit(wish, name)
        for happened in (self.aborted, self.broken, self.exhausted):
            happened -= {one for one in happened if group_of(one) == name}
        self.shown = {key: value for key, value in self.shown.items() if key[0] != name}
        time = self.clock.now() + wish.priority * AGING_S * (self.setup.policy == "priority")
        self.arrivals[name] = time, self.num_added
        self.num_added += 1
        self.wishes[name] = wish
        return name

    def _submit(self, wish: Wish, name: str) -> None:
        params = wish.params
        if wish.trouble == "processor raises":
            params = replace(params, logits_processors=(self._raising_processor(wish),))
        self.engine.add_request(
            wish.text if wish.as_text else list(wish.ids),
            params,
            request_id=name,
            priority=wish.priority,
            cache_salt=wish.salt,
            deadline=wish.deadline,
            on_token=self._callback(wish, name),
        )

    def _refused(self, wish: Wish, name: str) -> None:
        before = dict(self.engine.requests)
        try:
            self._submit(wish, name)
        except ValueError:
            self.counts["refusals"] += 1
        else:
            raise AssertionError(f"{name!r} was to be refused: {wish}")
        assert self.engine.requests == before

    def _callback(self, wish: Wish, name: str) -> Callable[[Request, int], None] | None:
        if wish.trouble is None or not wish.trouble.startswith("callback"):
            return None

        def on_token(request: Request, token_id: int) -> None:
            assert request.output_token_ids[-1] == token_id
            assert request.status is RequestStatus.RUNNING
            if len(request.output_token_ids) == wish.trouble_at:
                self._make_trouble(wish, request)

        return on_token

    def _make_trouble(self, wish: Wish, request: Request) -> None:
        self.counts[str(wish.trouble)] += 1
        if wish.trouble == "callback raises":
            raise RuntimeError("the callback raises")
        if wish.trouble == "callback aborts itself":
            self._abort_within(request.request_id)
        if wish.trouble == "callback aborts another":
            self._abort_within(sorted(self.engine.requests)[self.num_added % len(self.engine.requests)])
        if wish.trouble in ("callback adds", "callback adds and aborts"):
            name = self._add(replace(wish, trouble=None, n=1))
            if name is not None and wish.trouble == "callback adds and aborts":
                self._abort_within(name)

    def _abort_within(self, request_id: str) -> None:
        self.engine.abort(request_id)
        self.aborted.add(request_id)
        self.counts["aborts"] += 1

    def _raising_processor(self, wish: Wish) -> Callable[[Any, Sequence[int], Tensor], Tensor]:
        def processor(prompt_token_ids: Any, output_token_ids: Sequence[int], logits: Tensor) -> Tensor:
            if len(output_token_ids) == wish.trouble_at:
                self.counts["processor raises"] += 1
                raise RuntimeError("the processor raises")
            return logits

        return processor


def choose(rng: random.Random, table: dict[str, Sequence[Any]]) -> dict[str, Any]:
    """One value of each row."""
    return {name: rng.choice(values) for name, values in table.items()}


def drive(seed: int, num_steps: int, parts: Callable[[], Parts] = Parts) -> Counter[str]:
    """Do random things to one engine after another until they have done so many steps; return what happened.

    Each engine is drained at its end, and its pool must be whole then.
    """
    rng = random.Random(seed)
    total: Counter[str] = Counter()
    while total["steps"] < num_steps:
        world = World(Setup(**choose(rng, SETUPS)), parts())
        for _ in range(rng.choice((10, 40, 120))):
            act(rng, world)
        total += world.finish() + Counter(engines=1)
    return total


def act(rng: random.Random, world: World) -> None:
    """Do one random thing."""
    dice = rng.random()
    if dice < 0.90:
        # Most of the time it works, on several requests. More than a few would only queue.
        wants_more = dice < 0.25 or not world.engine.has_unfinished
        if wants_more and len(world.wishes) < 8:
            world.add(Wish(**choose(rng, WISHES)))
        else:
            world.step()
    elif dice < 0.94:
        world.abort(rng.randrange(8))
    elif dice < 0.96:
        world.add_taken_id(Wish(**choose(rng, WISHES)), rng.randrange(8))
    elif dice < 0.97:
        world.fail_next(rng.choice(("before", "after")))
    elif dice < 0.99:
        world.wait(2.0)
    else:
        world.drain()
