"""Hazard and damage, with OpenQuake beside us in a process of its own."""
