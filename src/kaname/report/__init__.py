"""Figures, maps and self-contained HTML reports, drawn from the published tables.

`kaname.report.html.CatalogueReport` composes a page; each figure is also a function of tables that returns a
matplotlib ``Figure`` (``maps``, ``catalogue``, ``stations``, ``records``). Nothing is imported here, so that
commands which draw nothing stay light.
"""
