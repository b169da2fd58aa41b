"""coldspan in the function's process: a guest that observes the runtime client and reports facts."""

__version__ = "0.1.0"
