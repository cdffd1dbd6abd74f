"""What a transformers checkpoint says of itself, and what is made of it: obeyed, refused with the way out, or left aside and said.

The table of all this is in ``docs/models.md``; a test builds a folder for each of its rows. A file here is one thing that a checkpoint
can speak of:

``files``        which files there are: other formats, adapters, missing parts
``settings``     config.json and generation_config.json, but for the head: contradictions, quantised weights, what a pass gives
``head``         what a classifier's outputs are: classes, labels that do not exclude each other, one logit, quantities
``weights``      the tensors: prefixes of names, tied ones, missing and left-over ones
``tokens``       the tokenizer: spaces, chat templates, tokens without weights
``sentences``    a sentence encoder's pooling, length, case and prompt
"""
