"""Kaname: from raw earthquake records to open data, catalogues, models, forecasts and discoveries."""

__version__ = "0.1.0"
