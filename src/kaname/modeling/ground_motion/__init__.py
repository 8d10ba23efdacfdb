"""Models of ground motion, published and learned: scenarios in, distributions of shaking out."""
