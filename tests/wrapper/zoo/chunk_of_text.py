VALUE = "on demand"
