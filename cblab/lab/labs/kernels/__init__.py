"""Checks of lab 6, kernels: attention over a paged cache, and what each version of it reads."""
