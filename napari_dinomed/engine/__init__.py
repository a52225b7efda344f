"""The engine: what is costly runs in a process of its own and is asked by messages.

`messages`, `wire` and `client` need no torch; `engine` and `server` run where torch is.
"""
