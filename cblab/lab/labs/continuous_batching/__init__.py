"""Checks, references and the engine's door of lab 5, continuous batching."""
