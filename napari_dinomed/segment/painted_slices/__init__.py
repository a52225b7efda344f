"""What painted slices teach a small network, which then reads all others."""
