"""What coldspan costs, measured beside the bare runtime, a static C extension and its peers (docs/performance.md)."""
