"""Models of other array frameworks, run through numpy arrays as torch modules with gradients by their inputs."""
