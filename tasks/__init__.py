"""Task declarations of this repository, ready to copy."""
