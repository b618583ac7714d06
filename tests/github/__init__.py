"""What the GitHub step says and does, held against a port of the runner's own parsers."""
