"""Code shared by adapters of all frameworks: class names, outputs, fingerprints, token windows."""
