"""From slices to tokens: encoders, their weights, extraction, and the cache on disk.

Importing this package is cheap; the modules that need torch import it themselves.
"""
