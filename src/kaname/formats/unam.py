"""UNAM: the standard acceleration file of Mexico's strong-motion networks, up to twelve channels a file.

*Archivo estandar de aceleracion*, version 2.0, of the Instituto de Ingenieria, UNAM: 109 lines of text,
``NAME : value`` in sections, values of channels 1 to 6 and 7 to 12 behind slashes; then one row per sample in
the Fortran format that is stated, ten columns a channel, in gal. Known from files that the networks hand out.
Times are GMT. The first sample has an hour and no day: it is the day that brings it nearest to the origin
time; without an hour it is the origin time itself, with an unknown uncertainty.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np

from kaname.core.errors import FormatError
from kaname.formats.accelerogram_text import columns, direction, moment, number, whole
from kaname.formats.accelerograms import AccelerogramRead, AccelerogramReader, RecordHeader
from kaname.formats.contract import register

_TITLE = b"ARCHIVO ESTANDAR DE ACELERACION"
_DATA = b"DATOS DE ACELERACION"
_LINE = re.compile(r"^\s*([A-Z][^:]*?)?\s*:\s*(.*?)\s*$")
_RULE = re.compile(rb"^[-+]{20,}\s*$")
_MOST_HEADER_LINES = 200
_MAGNITUDES = {"MW": "Mw", "M": "", "MS": "Ms", "ML": "ML", "MB": "mb", "MC": "Md"}
"""By preference; Mc is of the coda."""
_DAY = np.timedelta64(1, "D")


@register
class UnamReader(AccelerogramReader):
    """Reader of UNAM's standard acceleration files."""

    name = "unam"

    def sniff(self, head: bytes, path: Path) -> bool:
        """Look for the title below the address."""
        return head.startswith(b"***") and _TITLE in head[:2000]

    def parse(self, content: bytes, path: Path) -> AccelerogramRead:
        """Parse the channels of a file."""
        lines = content.replace(b"\r", b"").split(b"\n")
        begin = next((k for k, x in enumerate(lines[:_MOST_HEADER_LINES]) if x.startswith(_DATA)), None)
        rules = [] if begin is None else [k for k in range(begin, begin + 8) if _RULE.match(_at(lines, k))]
        if len(rules) < 2:
            raise FormatError(
                f"{path}: truncated in its header: no {_DATA.decode().lower()} between two rules"
            )
        stated = _stated(lines[:begin])
        unit = stated.get("UNIDADES DE LOS DATOS", "")
        if not unit.lower().startswith("gal"):
            raise FormatError(f"{path}: its unit is {unit!r}, expected Gal")
        counts = [whole(number(n)) for n in _channels(stated, "NUM. TOTAL DE MUESTRAS")]
        layout = re.match(
            r"(\d+)F(\d+)\.", stated.get("FORMATO DATOS (FORTRAN,10 campos/dato)", ""), re.IGNORECASE
        )
        if not counts or not layout or int(layout[1]) != len(counts) or not int(layout[2]):
            raise FormatError(f"{path}: states {len(counts)} channels in format {layout and layout[0]}")
        n = len(counts)
        numbers = columns(
            lines, rules[1] + 1, width=int(layout[2]), per_line=n, count=n * max(counts),
            unended=bool(lines[-1]),
        )  # fmt: skip
        rows = numbers[: len(numbers) // n * n].reshape(-1, n)
        out = AccelerogramRead()
        for k, count in enumerate(counts):
            header = _header(stated, k, count)
            # A sensor has three channels; of several each gets a location, for the file states none.
            out.add(path, replace(header, location=f"{k // 3:02d}" if n > 3 else ""), rows[:count, k])
        return out


def _at(lines: list[bytes], k: int) -> bytes:
    return lines[k] if k < len(lines) else b""


def _stated(lines: list[bytes]) -> dict[str, str]:
    """Values by name; of one that goes on in the next line both, a line each."""
    out: dict[str, str] = {}
    last = ""
    for line in lines:
        found = _LINE.match(line.decode("latin-1"))
        if not found:
            last = ""
        elif found[1]:
            last = found[1]
            out[last] = found[2]
        elif last:
            out[last] += "\n" + found[2]
    return out


def _channels(stated: dict[str, str], name: str) -> list[str]:
    """What is stated for each channel, 1 to 12, under names such as ``NAME, C1-C6 (s)``."""
    values: list[str] = []
    for group in ("C1-C6", "C7-C12"):
        key = next((k for k in stated if k.startswith(name) and re.search(rf"{group}\b", k)), "")
        values += [v.strip() for v in stated.get(key, "").split("\n")[0].split("/")[1:]]
    return values


def _header(stated: dict[str, str], k: int, count: int) -> RecordHeader:
    def of(name: str) -> str:
        values = _channels(stated, name)
        return values[k] if k < len(values) else ""

    word = of("ORIENTACION").partition(";")[0].strip()
    azimuth, vertical = direction(word)
    interval, duration = number(of("INTERVALO DE MUESTREO")), number(of("DURACION DEL REGISTRO"))
    # A decimation after the interval was written would show here.
    agree = not np.isfinite(duration) or abs(count * interval - duration) <= 0.01 * duration + interval
    latitude, longitude = _place(stated.get("COORDENADAS DE LA ESTACION", ""))
    event_latitude, event_longitude = _place(stated.get("COORDENADAS DEL EPICENTRO", ""))
    origin, start, uncertainty = _times(stated)
    sizes = {
        name.upper(): number(value)
        for name, value in re.findall(r"/\s*(M\w?)\s*=\s*(\d+(?:\.\d+)?)", stated.get("MAGNITUD(ES)", ""))
    }
    kind = next((m for m in _MAGNITUDES if m in sizes), "")
    return RecordHeader(
        format="unam",
        stage="uncorrected",
        station=stated.get("CLAVE DE LA ESTACION", ""),
        station_name=stated.get("NOMBRE DE LA ESTACION", ""),
        component=word,
        azimuth_deg=azimuth,
        vertical=vertical,
        start=start,
        start_uncertainty_s=uncertainty,
        sampling_rate=round(1.0 / interval, 6) if interval > 0 and agree else np.nan,
        n_sample=count,
        latitude=latitude,
        longitude=longitude,
        elevation_m=number(stated.get("ALTITUD (msnm)", "")),
        site=stated.get("TIPO DE SUELO", "").split("\n")[0],
        origin_time=origin,
        event_latitude=event_latitude,
        event_longitude=event_longitude,
        event_depth_km=number(stated.get("PROFUNDIDAD FOCAL (Km)", "")),
        magnitude=sizes.get(kind, np.nan),
        magnitude_type=_MAGNITUDES.get(kind, ""),
        instrument=stated.get("MODELO DEL ACELEROGRAFO", ""),
        natural_frequency_hz=number(of("FREC. NAT. DE SENSORES")),
        damping=number(of("AMORTIGUAMIENTO DE SENSORES")),
        peak=of("ACEL. MAX.(Gal)"),
        comments=stated.get("INSTITUCION RESPONSABLE", "").split("\n")[0],
    )


def _times(stated: dict[str, str]) -> tuple[np.datetime64, np.datetime64, float]:
    """Origin time, time of the first sample, and how far that may be off [s]."""
    day = re.match(r"(\d{4})/(\d\d?)/(\d\d?)", stated.get("FECHA DEL SISMO [GMT]", ""))
    if not day:
        return np.datetime64("NaT", "ns"), np.datetime64("NaT", "ns"), np.nan
    clock = re.compile(r"(\d\d?):(\d\d):(\d\d(?:\.\d+)?)")

    def of(name: str) -> np.datetime64:
        found = clock.match(stated.get(name, ""))
        if not found:
            return np.datetime64("NaT", "ns")
        year, month, date, hour, minute, second = map(float, (*day.groups(), *found.groups()))
        return moment(year, month, date, hour, minute, second)

    origin, first = of("HORA EPICENTRO (GMT)"), of("HORA DE LA PRIMERA MUESTRA (GMT)")
    if np.isnat(first):
        return origin, origin, np.nan
    if np.isnat(origin):
        return origin, first, np.nan
    start = min((first - _DAY, first, first + _DAY), key=lambda t: abs(t - origin))
    exact = number(stated.get("EXACTITUD DEL TIEMPO (s)", ""))
    return origin, start, exact if exact >= 0 else 0.0


def _place(text: str) -> tuple[float, float]:
    """Latitude and longitude of ``18.567 LAT. N`` and ``101.977 LONG. W``, in either order."""
    latitude = re.search(r"([\d.]+)\s*LAT\.?\s*([NS])", text)
    longitude = re.search(r"([\d.]+)\s*LONG?\.?\s*([EW])", text)
    return (
        number(latitude[1]) * (-1 if latitude[2] == "S" else 1) if latitude else np.nan,
        number(longitude[1]) * (-1 if longitude[2] == "W" else 1) if longitude else np.nan,
    )
