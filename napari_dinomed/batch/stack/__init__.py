"""A model that is applied to one image too large to be held, block by block."""
