"""What a transformers checkpoint says of itself, and what is made of it: obeyed, refused with the way out, or left aside and said.

The table of all this is in ``docs/models.md``; a test builds a folder for each of its rows. A file here is one thing that a checkpoint
can speak of:

``head``         what a classifier's outputs are: classes, labels that do not exclude each other, one logit, quantities
"""
