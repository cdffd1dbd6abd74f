"""What an item of each kind does with samples, and its rows: tasks, attacks, probes."""
