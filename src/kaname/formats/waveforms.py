"""The waveform readers that ship; importing this module registers them."""
