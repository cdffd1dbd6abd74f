"""The kinds of items, a folder each: what an item of the kind plans, its records, its rows and their names, its view."""
