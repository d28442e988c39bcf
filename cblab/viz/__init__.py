"""Every picture of the course, drawn from what a reader's own code computed."""

from cblab.viz.batches import padding_grid
from cblab.viz.curves import decode_work, language_bars, tokens_by_vocabulary
from cblab.viz.embedding import embedding_lookup
from cblab.viz.picture import Picture
from cblab.viz.text import merge_steps, merge_tree, printable, token_strip

__all__ = [
    "Picture",
    "decode_work",
    "embedding_lookup",
    "language_bars",
    "merge_steps",
    "merge_tree",
    "padding_grid",
    "printable",
    "token_strip",
    "tokens_by_vocabulary",
]
