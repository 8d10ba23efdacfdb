"""Shaking: records and their measures, models of ground motion, fields between stations, hazard, damage."""
