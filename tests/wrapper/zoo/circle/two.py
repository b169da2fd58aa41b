import sys

VALUE = "circle.one" in sys.modules
