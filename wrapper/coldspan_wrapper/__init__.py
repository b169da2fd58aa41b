"""coldspan in the function's process: a guest that observes the runtime client and reports facts (docs/architecture.md)."""

__version__ = "0.1.0"
