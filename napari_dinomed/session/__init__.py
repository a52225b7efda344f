"""A user's work on one volume: labels and prompts, undo, and never losing them."""
