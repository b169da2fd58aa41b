"""coldspan's own runtime: asks the Runtime API for events, runs the handler, posts or streams what it returns.

It stands where AWS's runtime client, awslambdaric, stands in the managed runtime, and shows a function the same: the
context, the encoding, the errors, the log. What it does it records natively; nothing is patched.

    __main__    from the first line to the loop: process, paths, arguments
    loop        one invocation after the other
    api         the Runtime API over a socket
    context     what the handler gets beside its event
    encoding    events and responses, byte for byte as the managed runtime has them
    errors      what went wrong, for the caller, X-Ray and the log
    handler     finds the function's handler
    logs        the root logger and where its lines go
    snapstart   the function's hooks before a snapshot and after a restore

Imported is what every invocation needs; the rest when it is needed.
"""
