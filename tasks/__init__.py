"""Tasks: a file a family, and `catalog`, a YAML file a data set.

A family turns rows into samples, samples into requests, and answers into scores. A task is a family with its settings filled in: see
`catalog.load_task`.
"""
