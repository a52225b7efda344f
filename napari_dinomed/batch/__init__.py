"""Many volumes at once: teaching from them, and applying a model to them."""
