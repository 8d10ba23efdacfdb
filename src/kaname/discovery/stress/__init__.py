"""Stress changes of earthquakes, and whether aftershocks follow them."""
