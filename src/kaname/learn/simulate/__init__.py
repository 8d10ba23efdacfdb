"""Training data of our own: simulated records, and augmentation of real ones."""
