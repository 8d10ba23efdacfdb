"""Let schemathesis ask `kaname serve` everything it can think of, for some minutes; none may be a 500.

Run with ``python benchmarks/fuzz_serve.py SCHEMATHESIS [MINUTES]``, where ``SCHEMATHESIS`` is the program in
an environment of its own: after ``python -m venv st && st/bin/pip install schemathesis`` it is
``st/bin/schemathesis``. It is given an OpenAPI description made of the same table that answers and WADL are
made of, long and short names, and the records, stations and events that ObsPy ships. Ends with its exit code.
"""

from __future__ import annotations

import json
import math
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import obspy

from kaname.archive.inventory import publish
from kaname.archive.store import Archive
from kaname.center.parameters import SERVICES, Parameter

BODY = (
    r"((quality|level|format|minimumlength|nodata)=\w{0,9}\n){0,2}"
    r"((BW|GR|\*) (RJOB|UH\?|\*) (--|\*) (EHZ|\?H\*|\*) (2009-08-24|2010-05-27|\*) (2010-05-28|\*)\n){0,4}"
)


def schema(parameter: Parameter) -> dict[str, Any]:
    """Return what a value of a parameter looks like."""
    match parameter.kind:
        case "time":
            return {"type": "string", "format": "date-time"}
        case "float" | "int":
            bounds = {"minimum": parameter.low, "maximum": parameter.high}
            kind = "number" if parameter.kind == "float" else "integer"
            return {"type": kind, **{k: v for k, v in bounds.items() if math.isfinite(v)}}
        case "bool":
            return {"type": "boolean"}
        case "choice":
            return {"type": "string", "enum": list(parameter.choices)}
        case "codes":
            return {
                "type": "string",
                "pattern": r"^(BW|GR|RJOB|UH\*|EH\?|--|\*|[A-Z0-9]{1,5})(,[A-Z*?]{1,3})?$",
            }
    return {"type": "string"}


def description() -> dict[str, Any]:
    """Return all services, and what else answers, as OpenAPI 3."""
    paths: dict[str, Any] = {}
    for service in SERVICES.values():
        at = f"/fdsnws/{service.name}/1"
        asked = [
            {"name": name, "in": "query", "schema": schema(p)}
            for p in service.parameters
            for name in (p.name, p.short)
            if name
        ]
        for method in service.methods:
            get = {"parameters": asked, "responses": {"default": {"description": "any"}}}
            body = {"content": {"text/plain": {"schema": {"type": "string", "pattern": f"^{BODY}$"}}}}
            post = {"requestBody": body, "responses": get["responses"]}
            paths[f"{at}/{method}"] = {"get": get, **({"post": post} if service.post else {})}
        for name in ("version", "application.wadl", *service.lists):
            paths[f"{at}/{name}"] = {"get": {"responses": {"default": {"description": "any"}}}}
    fields = [("id", "string"), ("start", "string"), ("end", "string"), ("points", "integer")]
    wave = [{"name": n, "in": "query", "required": n == "id", "schema": {"type": t}} for n, t in fields]
    file = [{"name": "path", "in": "path", "required": True, "schema": {"type": "string"}}]
    for path, parameters in (("/waveform.json", wave), ("/mirror/files/{path}", file), ("/", [])):
        paths[path] = {"get": {"parameters": parameters, "responses": {"default": {"description": "any"}}}}
    return {"openapi": "3.0.3", "info": {"title": "kaname serve", "version": "1"}, "paths": paths}


def main() -> int:
    """Serve, and let it be asked."""
    program, minutes = sys.argv[1], float(sys.argv[2]) if len(sys.argv) > 2 else 10.0
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        data = Path(obspy.__file__).parent / "signal" / "tests" / "data"
        obspy.read().write(str(folder / "rjob.mseed"), format="MSEED")
        with Archive(folder / "archive") as archive:
            archive.add([folder / "rjob.mseed", *sorted(data.glob("BW.UH*.cut.slist.gz"))])
            publish(archive)
        obspy.read_inventory().write(str(folder / "stations.xml"), format="STATIONXML")
        obspy.read_events().write(str(folder / "events.xml"), format="QUAKEML")
        (folder / "openapi.json").write_text(json.dumps(description()))
        serve = [
            str(Path(sys.executable).with_name("kaname")),
            "serve",
            str(folder / "archive"),
            "--port",
            "0",
        ]
        serve += ["--stations", str(folder / "stations.xml"), "--events", str(folder / "events.xml")]
        with subprocess.Popen(serve, stdout=subprocess.PIPE, text=True) as server:
            try:
                assert server.stdout is not None
                url = re.findall(r"http://\S+", server.stdout.readline())[0]
                asking = [program, "run", str(folder / "openapi.json"), "--url", url, "--workers", "2"]
                asking += ["--checks", "not_a_server_error", "--max-time", str(round(60 * minutes))]
                asking += [
                    "--max-examples",
                    "100000",
                    "--phases",
                    "fuzzing",
                    "--continue-on-failure",
                    "--no-shrink",
                ]
                return subprocess.run(asking, check=False).returncode
            finally:
                server.terminate()


if __name__ == "__main__":
    sys.exit(main())
