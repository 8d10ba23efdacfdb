"""Networks, their training data and training, the weights that ship, and the engine that runs them fast."""
