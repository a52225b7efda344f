"""What was taught on some volumes, kept in a file, and applied to others."""
