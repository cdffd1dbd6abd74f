"""Fingerprints of models, programs and data. A fingerprint covers all that can change a number, and nothing else.

``digests``       digests of files and of lists of parts
``code``          the Python files that a program runs, and the libraries that they import
``values``        digests of Python objects: weights, attributes, closures, hooks
``torch_values``  digests of tensors and modules of torch
``programs``      fingerprints of models that are Python programs
``libraries``     versions of libraries that change numbers, and the code of Windtunnel itself

The table in ``docs/running.md`` lists which ingredient enters where; ``tests/harness/identity/test_identity.py``
changes them one by one.
"""
