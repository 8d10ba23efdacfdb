"""Hazard and damage: OpenQuake behind an adapter, and fragility from surveyed damage."""
