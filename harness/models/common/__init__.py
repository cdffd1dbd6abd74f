"""What adapters of all frameworks share: class names, outputs, fingerprints, token windows."""
