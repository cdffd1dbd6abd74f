"""What makes two things the same: each answer, item and suite has an identity, made of all that can change its numbers and of nothing else.

``digests``     bytes, files and lists of parts
``code``        the Python files that a program runs, and the versions of the libraries that they import
``values``      a Python object by what it holds: weights, attributes, closures, hooks
``libraries``   versions that change numbers, and the code of Windtunnel itself
``ingredients`` what an item of a plan is made of: what a resumed run compares

The table in ``docs/running.md`` says where each ingredient enters; ``tests/harness/identity/test_identity.py`` changes them one by one.
"""
