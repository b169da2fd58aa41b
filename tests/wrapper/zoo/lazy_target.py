import os

os.environ["EXECUTED"] = "yes"
VALUE = 3
