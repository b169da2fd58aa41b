import breaks.syntax
