"""Speech made from speech: rooms, noise, simulated conversations, for training and corpora. Arrays in, arrays out."""
