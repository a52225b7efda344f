"""All that looks like the clicks, wherever it is."""
