"""The ragged batch: the tokens of all sequences of one forward pass, laid end to end without padding."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import torch
from torch import Tensor


@dataclass(frozen=True)
class RaggedBatch:
    """The input of one forward pass over several sequences, each with any number of new tokens.

    ```
                     sequence 0        sequence 1    sequence 2
    input_ids      [ 5 9 2 7 ]         [ 4 ]         [ 8 8 1 ]       num_tokens = 8
    positions      [ 0 1 2 3 ]         [ 6 ]         [ 2 3 4 ]       absolute, in its own sequence
    cu_seqlens_q   [ 0         4        5             8 ]            where each sequence begins and ends
    context_lens   [ 4                  7             5 ]            cached + new tokens of each
    ```

    Over a paged cache it also says where the keys and values are: with blocks of 4 slots,
    ```
    block_tables   [ [3 0]              [5 1]         [6 2] ]        block by block; [3 0]: the 0 is padding
    slot_mapping   [ 12 13 14 15        6             26 27 8 ]      block id * 4 + position % 4
    ```

    Attributes:
        input_ids: `[num_tokens]`, int64.
        positions: `[num_tokens]`, int64; the last new token of a sequence is at `context_len - 1`.
        cu_seqlens_q: `[num_seqs + 1]`, int32; sequence s owns rows `cu_seqlens_q[s]:cu_seqlens_q[s + 1]`.
        context_lens: `[num_seqs]`, int32.
        logits_indices: `[num_logits]`, int64, the rows whose logits are wanted; None means every row.
        slot_mapping: `[num_tokens]`, int64, where each new token's key and value go; None without a pool.
        block_tables: `[num_seqs, max_blocks]`, int32, padded with 0 behind a sequence's last block.
        num_decodes: leading sequences with exactly one new token, which the decode kernel may take.
    """

    input_ids: Tensor
    positions: Tensor
    cu_seqlens_q: Tensor
    context_lens: Tensor
    logits_indices: Tensor | None = None
    slot_mapping: Tensor | None = None
    block_tables: Tensor | None = None
    num_decodes: int = 0

    @property
    def num_tokens(self) -> int:
        """New tokens over all sequences."""
        return self.input_ids.shape[0]

    @property
    def num_seqs(self) -> int:
        """Sequences in the batch."""
        return self.context_lens.shape[0]

    @classmethod
    def build(
        cls,
        token_ids: Sequence[Sequence[int]],
        num_computed_tokens: Sequence[int] | None = None,
        *,
        all_logits: bool = False,
        device: torch.device | str = "cpu",
    ) -> "RaggedBatch":
        """Lay the new tokens of several sequences end to end.

        Args:
            token_ids: the new tokens of each sequence, at least one each.
            num_computed_tokens: how many tokens of each are cached already; None means none.
            all_logits: logits of every new token instead of only the last of each sequence.
            device: where the tensors are made.

        Raises:
            ValueError: no sequence, a sequence without new tokens, or a length that does not match.
        """
        cached = [0] * len(token_ids) if num_computed_tokens is None else list(num_computed_tokens)
        if not token_ids:
            raise ValueError("a batch needs at least one sequence")
        if len(cached) != len(token_ids):
            raise ValueError(f"num_computed_tokens has {len(cached)} entries for {len(token_ids)} sequences")
        for index, (ids, done) in enumerate(zip(token_ids, cached, strict=True)):
            if not len(ids):
                raise ValueError(f"sequence {index} has no new token; leave it out of the batch")
            if done < 0:
                raise ValueError(f"sequence {index} has num_computed_tokens={done}; it cannot be negative")

        lengths = [len(ids) for ids in token_ids]
        ends = list(accumulate(lengths))
        positions = [done + i for done, n in zip(cached, lengths, strict=True) for i in range(n)]
        context_lens = [done + n for done, n in zip(cached, lengths, strict=True)]
        return cls(
            input_ids=torch.tensor(
                [token for ids in token_ids for token in ids], dtype=torch.int64, device=device
            ),
            positions=torch.tensor(positions, dtype=torch.int64, device=device),
            cu_seqlens_q=torch.tensor([0, *ends], dtype=torch.int32, device=device),
            context_lens=torch.tensor(context_lens, dtype=torch.int32, device=device),
            logits_indices=None if all_logits else torch.tensor([end - 1 for end in ends], device=device),
        )

    @classmethod
    def prefill(
        cls, prompts: Sequence[Sequence[int]], *, all_logits: bool = False, device: torch.device | str = "cpu"
    ) -> "RaggedBatch":
        """Whole prompts from nothing: `build` with no token cached."""
        return cls.build(prompts, all_logits=all_logits, device=device)

    @classmethod
    def decode(
        cls,
        last_token_ids: Sequence[int],
        num_computed_tokens: Sequence[int],
        *,
        device: torch.device | str = "cpu",
    ) -> "RaggedBatch":
        """One new token for each sequence, behind `num_computed_tokens` cached ones."""
        return cls.build([[token] for token in last_token_ids], num_computed_tokens, device=device)

    @classmethod
    def uniform(cls, windows: Tensor) -> "RaggedBatch":
        """Equal windows for training, `[num_seqs, length]`: every row's logits, all from position 0."""
        num_seqs, length = windows.shape
        device = windows.device
        return cls(
            input_ids=windows.reshape(-1),
            positions=torch.arange(length, device=device).repeat(num_seqs),
            cu_seqlens_q=torch.arange(0, (num_seqs + 1) * length, length, dtype=torch.int32, device=device),
            context_lens=torch.full((num_seqs,), length, dtype=torch.int32, device=device),
        )
