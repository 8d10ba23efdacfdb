"""The quick-start notebook is the example script, and it runs from top to bottom."""

from __future__ import annotations

from pathlib import Path

import jupytext
import nbclient

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "examples" / "quickstart.py"


def test_the_script_runs_as_a_notebook(tmp_path):
    notebook = jupytext.read(SCRIPT)
    nbclient.NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    printed = [o.text for c in notebook.cells for o in c.get("outputs", []) if o.output_type == "stream"]
    assert "BW.UH3" in printed[0]


def test_the_notebook_that_ships_is_the_script():
    script, notebook = jupytext.read(SCRIPT), jupytext.read(SCRIPT.with_suffix(".ipynb"))
    told = [[(c.cell_type, c.source) for c in n.cells] for n in (script, notebook)]
    assert told[0] == told[1], "examples/quickstart.ipynb is out of date; run make notebook"
