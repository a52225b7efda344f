"""What a user says and makes of one volume: labels, prompts, edits, and their history.

In: clicks, strokes and answers, as voxels (z, y, x). Out: one immutable `Document`, from
which layers, figures and files follow. No torch, no Qt, no files.
"""
