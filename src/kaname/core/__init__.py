"""Nouns every room shares: waveform, tables, time, units, geography, errors, step, execution."""
