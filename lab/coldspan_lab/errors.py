"""What the lab can fail with. Every message is for the user: it names the option or file and what was expected."""


class LabError(Exception):
    """The lab cannot do what it was asked to."""


class FunctionInvalid(LabError):
    """The function's folder or settings are not what a function needs."""


class LayerInvalid(LabError):
    """The layer tree is not what was said."""


class InterpreterInvalid(LabError):
    """The function's Python cannot be run, or is too old."""


class RuntimeClientMissing(LabError):
    """What is to run the function is not installed where its Python looks for it."""


class FaultUnknown(LabError):
    """There is no fault of that name."""


class PortUnavailable(LabError):
    """A loopback port cannot be listened on."""


class OutputUnwritable(LabError):
    """What a run led to cannot be written where it was asked for."""


class NothingToExport(LabError):
    """No cold start of the run has an import tree."""
