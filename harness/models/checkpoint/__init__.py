"""The settings of a transformers checkpoint: applied, refused with a fix, or ignored with a note.

``docs/models.md`` has a table of all of them; a test builds a folder for each row. The modules:

``files``        files: other formats, adapters, missing parts
``settings``     config.json and generation_config.json, except the head: contradictions, quantisation, outputs of a pass
``head``         outputs of a classifier: classes, independent labels, a single logit, quantities
``weights``      tensors: prefixes of names, tied, missing and unused ones
``tokens``       tokenizer: spaces, chat templates, tokens without embeddings
``sentences``    settings of a sentence encoder: pooling, length, case and prompt
"""
