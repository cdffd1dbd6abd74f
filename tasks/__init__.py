"""Tasks: one file per family, and `catalog`, one YAML file per data set.

A family turns rows into samples, samples into requests, and answers into scores. A task is a family with
settings: see
`catalog.load_task`.
"""
