"""Shaking between the stations, given what the stations recorded."""
