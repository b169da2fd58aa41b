import breaks.raises
