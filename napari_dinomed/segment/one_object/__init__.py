"""One connected object from its clicks: cues on a grid of cells, weighed by a network."""
