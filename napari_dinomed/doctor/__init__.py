"""Is everything here that the program needs, and what to do where it is not."""
