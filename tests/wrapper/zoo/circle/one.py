from circle import two

VALUE = two.VALUE
