"""The networks as torch modules; they need the extra ``train``."""
