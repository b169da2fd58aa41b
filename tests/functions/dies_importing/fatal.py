import os
import time

until = time.monotonic() + 0.05
while time.monotonic() < until:
    pass
os._exit(4)
