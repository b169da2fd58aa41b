import time

until = time.monotonic() + 0.02
while time.monotonic() < until:
    pass
VALUE = "lazy"
