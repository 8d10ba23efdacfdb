"""Files of the national networks' strong-motion formats, laid out as the networks' own files are, for tests.

Everything in them is made up. The reader under test shares nothing with these writers.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from obspy import Stream
from strong_motion_files import GRAVITY


def _write(path: str, lines: list[str], end: str = "\r\n") -> None:
    Path(path).write_bytes("".join(line + end for line in lines).encode("latin-1"))


def _rows(stream: Stream, width: int, digits: int) -> list[str]:
    """A row per sample, channels side by side."""
    return ["".join(f"{value:{width}.{digits}f}" for value in row) for row in zip(*(t.data for t in stream))]


def _largest(data: np.ndarray) -> float:
    return float(data[np.argmax(np.abs(data))])


def cwb(stream: Stream, path: str, *, zone: str = "(GMT+08)") -> None:
    """CWB: time, up, north and east in columns of ten."""
    first = stream[0].stats
    local = first.starttime + 8 * 3600
    named = {"Z": "U", "N": "N", "E": "E"}
    lines = [
        "#Earthquake Information",
        f"#Origin Time{zone}: 2013/09/01-12:10:30",
        "#EpicenterLongitude(E): 121.69",
        "#EpicenterLatitude(N): 24.14",
        "#Depth(km): 10.0",
        "#Magnitude(Ml): 6.0",
        "",
        "#Station Information",
        f"#StationCode: {first.station}",
        "#StationName: Nowhere",
        "#StationLongitude(E): 121.092",
        "#StationLatitude(N): 22.860",
        "#InstrumentKind: FBA",
        f"#StartTime{zone}: {local.strftime('%Y/%m/%d-%H:%M:%S.%f')[:-3]}",
        f"#RecordLength(sec): {first.npts / first.sampling_rate:g}",
        f"#SampleRate(Hz): {first.sampling_rate:g}",
        "#AmplitudeUnit:  gal. DCoffset(corr)",
        *(
            f"#AmplitudeMAX. {named[t.stats.channel[-1]]}: {t.data.max():8.3f}~ {t.data.min():8.3f}"
            for t in stream
        ),
        "#DataSequence: Time " + "; ".join(f"{named[t.stats.channel[-1]]}(+)" for t in stream),
        "#Data: 4F10.3 ",
    ]
    rows = _rows(stream, 10, 3)
    _write(path, [*lines, *(f"{k / first.sampling_rate:10.3f}{row}" for k, row in enumerate(rows))])


def nsmn(stream: Stream, path: str, *, earthquake: str = "2013/09/01 04:10:30 (GMT)") -> None:
    """Turkey: north-south, east-west and up-down, as wide as they happen to be."""
    first = stream[0].stats
    names = {"N": "N-S", "E": "E-W", "Z": "U-D"}
    peaks = " ".join(f"({names[t.stats.channel[-1]]}) {np.abs(t.data).max():.6f}" for t in stream)
    lines = [
        "STRONG GROUND MOTION RECORDS OF TURKIYE",
        "PLACE                   : NOWHERE MÜDÜRLÜGÜ",
        f"EARTHQUAKE DATE         : {earthquake}",
        "EPICENTER COORDINATES   : 36.91980N-27.44350E",
        "EARTHQUAKE DEPTH (km)   : 19.44",
        "EARTHQUAKE MAGNITUDE    : 6.5 Mw",
        f"STATION ID              : {first.station}",
        "STATION COORDINATES     : 38.99478N-29.40040E",
        "STATION ALTITUDE (m)    : 735",
        "RECORDER TYPE           : Guralp cmg5td",
        "RECORDER SERIAL NO      : 5B02",
        f"RECORD TIME             : {first.starttime.strftime('%d/%m/%Y %H:%M:%S.%f')} (GMT)",
        f"NUMBER OF DATA          : {first.npts}",
        f"SAMPLING INTERVAL (sec) : {1 / first.sampling_rate:g}",
        f"RAW PGA VALUES (gal)    : {peaks}",
        "Copyright EARTHQUAKE DEPARTMENT",
        "DISASTER AND EMERGENCY MANAGEMENT PRESIDENCY",
        "       " + "          ".join(names[t.stats.channel[-1]] for t in stream),
    ]
    rows = [f"{a:12.6f}{b:14.6f}{c:13.6f}" for a, b, c in zip(*(t.data for t in stream))]
    _write(path, [*lines, *rows])


def unam(
    stream: Stream,
    path: str,
    *,
    origin: str = "04:10:30",
    day: str = "2013/09/01",
    words: tuple[str, ...] = ("N00E", "N90E", "V"),
    first_sample: str | None = None,
) -> None:
    """Mexico: version 2.0 of the standard acceleration file."""
    first = stream[0].stats
    start = first.starttime.strftime("%H:%M:%S.%f")[:-3] if first_sample is None else first_sample
    n = len(stream)

    def each(value: object) -> str:
        return f"/{value}" * n

    stars, rule, scale = "*" * 86, "=" * 80, "---------+" * 8
    place = [
        ("NOMBRE DE LA ESTACION", "NINGUNA PARTE"),
        ("CLAVE DE LA ESTACION", first.station),
        ("LOCALIZACION DE LA ESTACION", "EN NINGUNA PARTE: AL LADO"),
        *[("", "DE LA CARRETERA")] * 4,
        ("COORDENADAS DE LA ESTACION", "18.567007 LAT. N"),
        ("", "101.977162 LONG. W"),
        ("ALTITUD (msnm)", "340"),
        ("TIPO DE SUELO", "ROCA"),
        *[("", "")] * 2,
        ("INSTITUCION RESPONSABLE", "INSTITUTO DE INGENIERIA UNAM "),
        ("", ""),
    ]
    instrument = [
        ("MODELO DEL ACELEROGRAFO", "ETNA EpiSensor"),
        ("NUMERO DE SERIE DEL ACELEROGRAFO", "4575"),
        ("NUMERO DE CANALES", str(n)),
        ("ORIENTACION C1-C6 (rumbo;orientacion)", "".join(f"/{w}" for w in words)),
        ("ORIENTACION C7-C12 (rumbo;orientacion)", ""),
        ("VEL. DE MUESTREO, C1-C6 (muestras/s)", each(first.sampling_rate)),
        ("VEL. DE MUESTREO, C7-C12 (muestras/s)", ""),
        ("ESC. COMPLETA DE SENSORES, C1-C6, (g)", each(2)),
        ("ESC. COMPLETA DE SENSORES, C7-C12 (g)", ""),
        ("FREC. NAT. DE SENSORES, C1-C6, (Hz)", each(200)),
        ("FREC. NAT. DE SENSORES, C7-C12 (Hz)", ""),
        ("AMORTIGUAMIENTO DE SENSORES, C1-C6", each(" ")),
        ("AMORTIGUAMIENTO DE SENSORES, C7-C12", ""),
        ("INTERVALO DE MUESTREO, C1-C6 (s)", each(1 / first.sampling_rate)),
        ("INTERVALO DE MUESTREO, C7-C12 (s)", ""),
        ("UMBRAL DE DISPARO, C1-C6 (Gal)", each(0.5)),
        ("UMBRAL DE DISPARO, C7-C12 (Gal)", ""),
        ("MEMORIA DE PREEVENTO (s)", "50"),
        ("TIEMPO DE POSEVENTO (s)", "60"),
    ]
    earthquake = [
        ("FECHA DEL SISMO [GMT]", day),
        ("HORA EPICENTRO (GMT)", origin),
        ("MAGNITUD(ES)", "/Mb=5.2/Ms=5.8/Mc=5.0"),
        ("COORDENADAS DEL EPICENTRO", "18.3353 LAT. N"),
        ("", "98.6763 LONG. W"),
        ("PROFUNDIDAD FOCAL (Km)", "38.5"),
        ("FUENTE DE LOS DATOS EPICENTRALES", "SSN"),
        ("", "INSTITUTO DE GEOFISICA, UNAM"),
    ]
    record = [
        ("HORA DE LA PRIMERA MUESTRA (GMT)", start),
        ("EXACTITUD DEL TIEMPO (s)", "0.5"),
        ("DURACION DEL REGISTRO (s), C1-C6", each(f"{first.npts / first.sampling_rate:.2f}") + "   "),
        ("DURACION DEL REGISTRO (s), C7-C12", ""),
        ("NUM. TOTAL DE MUESTRAS, C1-C6", each(first.npts)),
        ("NUM. TOTAL DE MUESTRAS, C7-C12", ""),
        ("ACEL. MAX.(Gal), C1-C6", "".join(f"/{_largest(t.data):.2f}" for t in stream)),
        ("ACEL. MAX., C1-C6, EN LA MUESTRA", each(1)),
        ("ACEL. MAX.(Gal), C7-C12", ""),
        ("ACEL. MAX., C7-C12,EN LA MUESTRA", ""),
        ("UNIDADES DE LOS DATOS", "Gal (cm/s/s)"),
        ("FACTOR DE DECIMACION", "1"),
        ("FORMATO DATOS (FORTRAN,10 campos/dato)", f"{n}F10.4"),
    ]
    lines = [stars, "                       INSTITUTO DE INGENIERIA, UNAM", "", "", "", stars]
    lines += ["ARCHIVO ESTANDAR DE ACELERACION:", "VERSION DEL FORMATO                    : 2.0"]
    lines += ["NOMBRE DEL ARCHIVO                     : CANA1309.011", "", "", "", "", rule]
    for title, section, n_blank in (
        ("DATOS DE LA ESTACION:", place, 1),
        ("DATOS DEL ACELEROGRAFO: ", instrument, 2),
        ("DATOS DEL SISMO:", earthquake, 1),
        ("DATOS DE ESTE REGISTRO:", record, 2),
    ):
        lines += [title, *(f"{name:<39}: {value}" for name, value in section), *[""] * n_blank, rule]
    lines += ["CALIDAD DEL ACELEROGRAMA:", "REGISTRO DIGITAL COMPLETO", "", "", rule]
    lines += ["COMENTARIOS:", *[""] * 14, rule, "DATOS DE ACELERACION:", scale]
    lines += ["".join(f"{f'CANAL-{k}':>10}" for k in range(1, n + 1)), "".join(f"{w:>10}" for w in words)]
    assert len(lines) == 108
    _write(path, [*lines, scale, *_rows(stream, 10, 4)])


def bhrc(stream: Stream, path: str, *, volume: str = "VOL1DS") -> None:
    """Iran: volume 1 without times, cut at 70 columns; the origin time stands for the start."""
    lines: list[str] = []
    for k, trace in enumerate(stream, 1):
        s = trace.stats
        word = {"1": "L", "Z": "V", "2": "T"}[s.channel[-1]]
        integers = [0] * 100
        integers[27] = s.npts
        reals = [0.0] * 50
        reals[:5] = [0.0193, 0.64, s.npts / s.sampling_rate, 0.0, 0.1]
        reals[8] = s.sampling_rate
        lines += [
            f"* {volume} FILE:  {s.station}/01",
            "Inst Type = SSA-2",
            f"Origin Time : {s.starttime.strftime('%Y/%m/%d   %H:%M:%S')}",
            "",
            word,
            " " * 70,
            f"COMP {word}{k}".ljust(70),
            "Nowhere Shahr             Station   37.485 N 45.891 E   Altitude 1333m   Azimuth L 324   T 54 ",
            "Epicenter 38.520 N 46.860 E   FD 12 Km mb      Ms      Mw6.1   M        ML   (BHRC   )",
            "INSTR PERIOD =  .019 SEC   DAMPING =  .640".ljust(70),
            f"NO. OF POINTS = {s.npts:6d}      DURATION = {s.npts / s.sampling_rate:7.3f}".ljust(70),
            "UNITS ARE SECONDS AND G/10",
            " " * 70,
        ]
        for values, width, per_line in ((integers, 5, 16), (reals, 13, 8)):
            text = [f"{v:{width}d}" if width == 5 else _fortran(v).rjust(13) for v in values]
            lines += ["".join(text[j : j + per_line])[:70] for j in range(0, len(text), per_line)]
        numbers = [_fortran(v / (0.1 * GRAVITY)).rjust(13) for v in trace.data]
        lines += ["".join(numbers[j : j + 10]) for j in range(0, len(numbers), 10)]
        lines.append("/&")
    _write(path, lines, end="\n")


def _fortran(value: float) -> str:
    """E13.6 as Fortran writes it, without a digit before the point."""
    if value == 0:
        return ".000000E+00"
    mantissa, power = f"{value:.5e}".split("e")
    digits = mantissa.replace("-", "").replace(".", "")
    return f"{'-' if value < 0 else ''}.{digits}E{int(power) + 1:+03d}"


def _volume_1(text: list[str], count: int, reals: tuple[float, ...], blank: str) -> list[str]:
    integers = [0] * 100
    integers[27] = count
    numbers = [*reals, *[0.0] * (50 - len(reals))]
    lines = text + ["".join(f"{v:5d}" for v in integers[j : j + 16]) for j in range(0, 100, 16)]
    form = [f"{v:10.3f}" if blank == "0" else _point(f"{v:10.3f}") for v in numbers]
    return lines + ["".join(form[j : j + 8]) for j in range(0, 50, 8)]


def _point(number: str) -> str:
    """The number without a zero before its point, as wide as before."""
    return number.replace(" 0.", "  .").replace("-0.", " -.")


def _pairs(trace: object, times: np.ndarray, *, zero: bool) -> list[str]:
    values = trace.data / (0.1 * GRAVITY)  # type: ignore[attr-defined]
    cells = [f"{t:7.3f}{v:7.3f}" for t, v in zip(times, values)]
    if not zero:
        cells = [_point(c[:7]) + _point(c[7:]) for c in cells]
    return ["".join(cells[j : j + 5]) for j in range(0, len(cells), 5)]


def csmip_v1(stream: Stream, path: str, *, kind: str, stretch: float = 0.0) -> None:
    """CSMIP volume 1: ``film`` (pairs), ``even`` (in g, an interval) or ``rate`` (in g, rate and format)."""
    lines: list[str] = []
    for k, trace in enumerate(stream, 1):
        s, t = trace.stats, trace.stats.starttime
        word = {"N": "360 DEG", "E": "90 DEG", "Z": "UP"}[s.channel[-1]]
        peak = _largest(trace.data) / GRAVITY
        clock = f"{t.strftime('%m/%d/%y, %H:%M:')}{t.second + t.microsecond / 1e6:04.1f} UTC"
        units = "SEC AND G/10." if kind == "film" else "G."
        text = [
            "UNCORRECTED ACCELEROGRAM DATA              PROCESSED: 02/08/94, CDMG QN94A403   ",
            "MADE UP EARTHQUAKE",
            "SEPTEMBER 1, 2013 21:10 PDT             (ORIGIN(CIT): 09/01/13, 04:10:30.5 GMT) ",
            f"{s.station}-S3492-94021.02               TRIGGER TIME: {clock}",
            f"STATION NO. {s.station}   33.929N, 118.260W     SMA-1  S/N 3492",
            "NOWHERE - 116TH ST. SCHOOL",
            f"CHAN  {k}: {word}",
            "MADE UP EARTHQUAKE",
            "HYPOCENTER(CIT): 34.215N, 118.538W, H=18KM. ML=6.6, MW=6.7(CIT); MS=6.7(NEIC)",
            "INSTR PERIOD =  .0397 SEC,  DAMPING =  .592,  SENSITIVITY = 1.77 CM/G.",
            f"NO. OF POINTS = {s.npts:6d}  RECORD LENGTH =  7.000 SEC",
            f"UNITS OF UNCOR ACCEL ARE {units}     MAX  = {peak:7.3f} G, AT   1.576 SEC.",
            "RMS ACCEL OF COMPLETE RECORD =  .021 G.",
        ]
        lines += _volume_1([x.ljust(80) for x in text], s.npts, (0.040, 0.592, 7.0), "")
        in_g = [_point(f"{v:9.6f}") for v in trace.data / GRAVITY]
        if kind == "film":
            part = np.arange(s.npts) / (s.npts - 1)
            lines += _pairs(
                trace, np.arange(s.npts) / s.sampling_rate + stretch * np.sin(np.pi * part), zero=False
            )
        elif kind == "even":
            lines.append(f"{s.npts:5d} POINTS OF ACCEL DATA EQUALLY SPACED AT .010 SEC.  (UNITS: G)")
            lines += ["".join(in_g[j : j + 8]) for j in range(0, s.npts, 8)]
        else:
            lines.append(
                f"{s.npts:6d} Accelerogram points at {s.sampling_rate:g} pts/sec in units of g .      "
                "Format: (8f9.6)  "
            )
            lines += ["".join(in_g[j : j + 8]) for j in range(0, s.npts, 8)]
        lines.append(f"/&  ----------  END OF DATA FOR CHANNEL  {k}  ----------")
    _write(path, lines)


def renadic(stream: Stream, path: str, *, words: dict[str, str] | None = None) -> None:
    """Chile: CSMIP volume 1 in pairs, with neither place nor earthquake."""
    lines: list[str] = []
    for k, trace in enumerate(stream, 1):
        s, t = trace.stats, trace.stats.starttime
        word = (words or {"N": "NS", "E": "EW", "Z": "V"})[s.channel[-1]]
        peak = _largest(trace.data) / GRAVITY
        clock = (
            f"{t.month}/{t.day}/{t.year} {t.hour}:{t.minute:02d}:{t.second + t.microsecond / 1e6:06.3f} GMT"
        )
        text = [
            "UNCORRECTED ACCELEROGRAM DATA              PROCESSED: 05/28/2010",
            "NINGUNO 2013",
            "09/01/2013 4:10:15 (GMT)                (ORIGIN: 09/01/2013 4:10:15 GMT)",
            f"                                   TRIGGER TIME: {clock}",
            "STATION NO.          0.000N    0.000E  ETNA      S/N  121 (4  CHNS OF 4  AT STA)",
            f"VIÑA - EL SALTO S/N {s.station}",
            f"CHAN  {k}: {word}".ljust(18) + "(STA CHN:  1)               ",
            "UNIVERSIDAD DE CHILE - RENADIC",
            "HYPOCENTER:   0.000N    0.000E  H=   0.0KM   MW= 8.8",
            "INSTR PERIOD = 0.0190 SEC,  DAMPING =0.6500,  SENSITIVITY =1.249 VDC/G",
            f"NO. OF POINTS = {s.npts:6d}  RECORD LENGTH =  7.000 SEC",
            f"UNITS OF UNCOR ACCEL ARE SEC AND G/10.     MAX  = {peak:6.3f} G, AT   1.355 SEC",
            "RMS ACCEL OF COMPLETE RECORD = 0.041 G",
        ]
        lines += _volume_1(text, s.npts, (0.019, 0.65, 7.0), "0")
        lines += _pairs(trace, np.arange(s.npts) / s.sampling_rate, zero=True)
        lines.append(f"/&  ----------  END OF DATA FOR CHANNEL {k}  ----------")
    _write(path, lines)
