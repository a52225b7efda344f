"""Measuring: simulated clicks, overlap with expert labels, time per click."""
