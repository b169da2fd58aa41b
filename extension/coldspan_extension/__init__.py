"""coldspan's extension process: collects what wrapper and platform report, assembles traces, exports them."""
