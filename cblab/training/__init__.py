"""What makes the bundled models: a seeded corpus, a tokenizer, and a small trainer written to be read.

Start with `trainer.py` (the loop), then `data.py` (text to windows), `tasks.py` (what counts in the loss),
`optimizer.py`, `checkpoint.py` and `callbacks.py`. `settings.py` holds every number of a run and is the only
file that needs pydantic; `recipe.py` puts the parts together, and `python -m cblab.training` is its command
line.
"""
