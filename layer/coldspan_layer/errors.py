"""What a build can fail with."""


class BuildError(Exception):
    """The layer cannot be built. The message is for the user: it names the option or file and what was expected."""
