"""Every picture of the course, drawn from what a reader's own code computed."""

from cblab.viz.batches import padding_grid
from cblab.viz.batching import latency_curves, seat_timeline, token_times, waits_by_length
from cblab.viz.block_pool import block_pool_picture
from cblab.viz.capstone import Answer, EngineReport, Speed, engine_report
from cblab.viz.curves import decode_work, language_bars, tokens_by_vocabulary
from cblab.viz.embedding import embedding_lookup
from cblab.viz.kernels import score_tiles, thread_blocks
from cblab.viz.kv_cache import (
    attention_weights,
    changed_keys,
    cost_per_token,
    score_by_distance,
    slot_strips,
    waste_over_time,
)
from cblab.viz.memory import cache_growth, live_memory, memory_bars
from cblab.viz.paging import PoolStep, block_size_tradeoff, memory_over_time, pool_steps, table_arrows
from cblab.viz.picture import Picture
from cblab.viz.player import Player, player
from cblab.viz.ragged_mask import ragged_mask_picture
from cblab.viz.roofline import batch_picture, roofline_picture
from cblab.viz.text import merge_steps, merge_tree, printable, token_strip
from cblab.viz.timeline import timeline

__all__ = [
    "Answer",
    "EngineReport",
    "Picture",
    "Player",
    "PoolStep",
    "Speed",
    "attention_weights",
    "batch_picture",
    "block_pool_picture",
    "block_size_tradeoff",
    "cache_growth",
    "changed_keys",
    "cost_per_token",
    "decode_work",
    "embedding_lookup",
    "engine_report",
    "language_bars",
    "latency_curves",
    "live_memory",
    "memory_bars",
    "memory_over_time",
    "merge_steps",
    "merge_tree",
    "padding_grid",
    "player",
    "pool_steps",
    "printable",
    "ragged_mask_picture",
    "roofline_picture",
    "score_by_distance",
    "score_tiles",
    "seat_timeline",
    "slot_strips",
    "table_arrows",
    "thread_blocks",
    "timeline",
    "token_strip",
    "token_times",
    "tokens_by_vocabulary",
    "waits_by_length",
    "waste_over_time",
]
