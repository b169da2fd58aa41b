"""Spans in, figures and waterfalls out; on the user's machine."""
