"""English language data for threats and attacks: NLTK packages, parts of speech, stop words."""
