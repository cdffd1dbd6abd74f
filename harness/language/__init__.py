"""English for threats and attacks: word data, parts of speech, stop words."""
