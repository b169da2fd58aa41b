"""Builds the layer: the tree that lands in /opt, as a directory or as a zip (docs/architecture.md)."""
