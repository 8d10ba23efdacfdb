"""Training of the networks that ship; needs the extra ``train``."""
