import time

from pack import helper

until = time.monotonic() + 0.03
while time.monotonic() < until:
    pass
