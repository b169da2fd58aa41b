VALUE = sum(range(200_000))
