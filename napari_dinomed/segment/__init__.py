"""From prompts and tokens to labels.

Importing this package is cheap; `prompts` needs neither torch nor tokens.
"""
