"""Every picture of the course, drawn from what a reader's own code computed."""

from cblab.viz.batches import padding_grid
from cblab.viz.block_pool import block_pool_picture
from cblab.viz.curves import decode_work, language_bars, tokens_by_vocabulary
from cblab.viz.embedding import embedding_lookup
from cblab.viz.picture import Picture
from cblab.viz.ragged_mask import ragged_mask_picture
from cblab.viz.text import merge_steps, merge_tree, printable, token_strip
from cblab.viz.timeline import timeline

__all__ = [
    "Picture",
    "block_pool_picture",
    "decode_work",
    "embedding_lookup",
    "language_bars",
    "merge_steps",
    "merge_tree",
    "padding_grid",
    "printable",
    "ragged_mask_picture",
    "timeline",
    "token_strip",
    "tokens_by_vocabulary",
]
