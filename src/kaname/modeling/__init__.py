"""Shaking: records and their measures, models of ground motion, fields between stations, hazard and damage."""
