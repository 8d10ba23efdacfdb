"""Files of the strong-motion formats, written as their descriptions have them, for tests."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from obspy import Stream, Trace, UTCDateTime

GRAVITY = 980.665


def _columns(values: Sequence[float], form: str, per_line: int) -> list[str]:
    text = [form % v for v in values]
    return ["".join(text[k : k + per_line]) for k in range(0, len(text), per_line)]


def _write(path: str, lines: Sequence[str]) -> None:
    Path(path).write_text("\r\n".join(lines) + "\r\n", encoding="latin-1")


def cosmos(stream: Stream, path: str, *, raw: bool) -> None:
    """COSMOS V0 (counts, one sample a line) or V2 (cm/s2, eight a line)."""
    lines: list[str] = []
    for trace in stream:
        s, t = trace.stats, trace.stats.starttime
        integers, reals = np.full(100, -999), np.full(100, -999.0)
        integers[[0, 1, 2, 7, 10, 39, 40, 41, 42, 43, 44]] = [
            0 if raw else 2, 1, 50 if raw else 4, 11, 5, t.year, t.julday, t.month, t.day, t.hour, t.minute,
        ]  # fmt: skip
        integers[53] = {"N": 360, "E": 90, "Z": 400}[s.channel[-1]]
        reals[[0, 1, 2, 9, 10, 11, 12]] = [34.0, -118.5, 100.0, 34.2, -118.6, 12.0, 6.1]
        reals[[21, 29, 39, 40, 41, 46]] = [1.0, t.second + t.microsecond / 1e6, 100.0, 0.7, 1.25, 1.0]
        reals[[53, 56, 61, 62]] = [0.1, 40.0, 1000.0 / s.sampling_rate, s.npts / s.sampling_rate]
        peak = trace.data[np.argmax(np.abs(trace.data))]
        unit = "counts" if raw else "cm/sec2"
        lines += [
            f"{'Raw acceleration counts' if raw else 'Corrected acceleration'}   "
            "(Format v01.20 with 13 text lines)",
            "Record of Made Up Earthquake of Sun Sep 01, 2013 04:10 UTC",
            "Hypocenter: 34.2 -118.6 H= 12km Mw=6.1",
            "Origin: 2013/09/01 04:10:30.0 UTC",
            f"Statn No: 05-000011  Code:{s.network}-{s.station}   CGS  Nowhere",
            "Coords: 34.0000 -118.5000  Site geology: alluvium",
            "Recorder: Granite  ( 3 Chns of 3 at Sta) Sensor: Episensor",
            "Rcrd start time: 2013/09/01 04:10:35.700 UTC (Q=5) RcrdId: (see comment)",
            "Sta Chan   1: 90 Deg (Rcrdr Chan  1) Location:Ground",
            f"Raw record length = 7.000 sec, Uncor max = {peak:10.0f}, at 1.0 sec.",
            f"Processed:2019/06/28 02:27:47 UTC (CGS) Max = {peak:9.{0 if raw else 3}f} {unit}, at 1.0 sec.",
            "Record filtered below 0.1 Hz (periods over 10 secs), and above 40.0 Hz",
            "Values used when parameter or data value is unknown/unspecified:   -999, -999.00",
            " 100 Integer-header values follow on  10 lines, Format= (10I8)",
            *_columns(integers, "%8d", 10),
            " 100 Real-header values follow on  20 lines, Format= (5F15.6)",
            *_columns(reals, "%15.6f", 5),
            '   2 Comment line(s) follow, each starting with a "|":',
            "| RcrdId: made up",
            f"|<SCNL>{s.station}.{s.channel}.{s.network}.--    <AUTH> 2019/05/28 02:27:47.000",
            f"{s.npts:8d} accel. pts, approx 7 secs, units= {unit}({50 if raw else 4:02d}),"
            f"Format={'(1I8)' if raw else '(8F10.3)'}",
            *_columns(trace.data, "%8d" if raw else "%10.3f", 1 if raw else 8),
            f"End-of-data for Chan{s.channel}",
        ]
    _write(path, lines)


def smc(stream: Stream, path: str) -> None:
    """SMC of a corrected accelerogram."""
    (trace,) = stream
    s, t = trace.stats, trace.stats.starttime
    integers, reals = np.full(48, -32768), np.full(50, 1.7e38)
    integers[[1, 2, 3, 4, 5, 6]] = [t.year, t.julday, t.hour, t.minute, t.second, t.microsecond // 1000]
    integers[[12, 13, 14, 15, 16, 29]] = [
        90,
        {"N": 360, "E": 90}[s.channel[-1]],
        101,
        2,
        s.npts,
        int(s.station),
    ]
    reals[[1, 2, 3, 4, 5]] = [s.sampling_rate, 37.0, -121.9, 18.0, 6.9]
    reals[[10, 11, 20, 21, 22, 32]] = [37.7, -122.4, 50.0, 25.6, 0.6, 0.1]
    _write(
        path,
        [
            "2 CORRECTED ACCELEROGRAM".ljust(80),
            "*",
            "MADE",
            "     2013  09  01    0410 Made Up, CA",
            "Moment Mag=      6.9 Ms=          Ml=",
            "station = Nowhere                        component=    360",
            f"epicentral dist =     89.0       pk     ={np.abs(trace.data).max():9.1f}",
            "inst type=SMA-1      data source = USGS",
            "*",
            "*",
            "*",
            *_columns(integers, "%10d", 8),
            *[line.replace("1.7000000E+38", "0.1700000E+39"[-13:]) for line in _columns(reals, "%15.7E", 5)],
            "|",
            "|made up",
            *["".join(_exponent(v) for v in trace.data[k : k + 8]) for k in range(0, s.npts, 8)],
        ],
    )


def _exponent(value: float) -> str:
    mantissa, power = (f"{value:.4e}").split("e")
    return f"{mantissa}E{int(power):+d}".rjust(10)


def csmip(stream: Stream, path: str) -> None:
    """CSMIP volume 2, three components."""
    lines: list[str] = []
    for k, trace in enumerate(stream, 1):
        s, t = trace.stats, trace.stats.starttime - 7 * 3600
        word = {"N": "360 DEG", "E": "90 DEG", "Z": "UP"}[s.channel[-1]]
        n, step = s.npts, 1 / s.sampling_rate
        peak = trace.data[np.argmax(np.abs(trace.data))]
        reals = np.zeros(100)
        reals[:2] = [0.04, 0.6]
        zeros = [0.0] * n
        lines += [
            f"CORRECTED ACCELEROGRAM   {s.station}-S4384-83123.01       CHAN  {k}:  {word}     FROM",
            "UNCORRECTED ACCELEROGRAM DATA              PROCESSED:  6/06/83, CDMG QC83A456",
            "MADE UP EARTHQUAKE",
            "SEPTEMBER 1, 2013 21:10 PDT             (ORIGIN(BRK): 09/01/13, 04:10:30.5 UTC)",
            f"{s.station}-S4384-83123.01               TRIGGER TIME: {t.strftime('%m/%d/%y, %H:%M:')}"
            f"{t.second + t.microsecond / 1e6:04.1f} PDT",
            f"STATION NO. {s.station}   35.908N, 120.458W     SMA-1  S/N 4384",
            "NOWHERE FAULT ZONE 14",
            f"CHAN  {k}:  {word}",
            "MADE UP EARTHQUAKE",
            "HYPOCENTER(BRK): 36.25N,120.28W, H=9KM. PRELIMINARY SOLUTION.  ML=6.5(BRK)",
            "INSTR PERIOD =  .0407 SEC,  DAMPING =  .630,  SENSITIVITY = 1.87 CM/G.",
            "                        RECORD LENGTH =  7.000 SEC.",
            "                                     UNCOR MAX  =  -.275 G, AT  1.947 SEC.",
            "RMS ACCEL OF (UNCOR) RECORD  =  .030 G.",
            "ACCELEROGRAM BANDPASS FILTERED WITH RAMPS AT  .050- .100 AND 23.00-25.00 CYC/SEC",
            f"  {n} POINTS OF INSTRUMENT- AND BASELINE-CORRECTED ACCEL, VELOC AND DISPL DATA",
            f"AT EQUALLY-SPACED INTERVALS OF   {step:6.3f}  SEC.",
            f"PEAK ACCELERATION = {peak:9.3f}    CM/SEC/SEC  AT   1.940   SEC.",
            "PEAK   VELOCITY   =     0.000      CM/SEC    AT    0.000   SEC.",
            "PEAK DISPLACEMENT =     0.000        CM      AT    0.000   SEC.",
            "INITIAL VELOCITY  =     -.052   CM/SEC;   INITIAL DISPLACEMENT =    -.110   CM",
            "MADE UP EARTHQUAKE",
            "",
            f"{s.station}-S4384-83123.01      NOWHERE FAULT ZONE 14   CHAN  {k}:  {word}",
            "",
            *_columns(np.zeros(100), "%5d", 16),
            *_columns(reals, "%10.3f", 8),
        ]
        for name, unit, values in (
            ("ACCEL", "CM/SEC/SEC", trace.data),
            ("VELOC", "CM/SEC", zeros),
            ("DISPL", "CM", zeros),
        ):
            lines.append(f" {n} POINTS OF {name} DATA EQUALLY SPACED AT {step:5.3f} SEC.  (UNITS: {unit})")
            lines += _columns(values, "%10.3f", 8)
        lines.append(f"/&  ----------  END OF DATA FOR CHANNEL  {k}  ----------")
    _write(path, lines)


def geonet(stream: Stream, path: str, *, corrected: bool) -> None:
    """GeoNet V2A, or V1A without velocity and displacement."""
    lines: list[str] = []
    for trace in stream:
        s, t = trace.stats, trace.stats.starttime
        word = {"1": "N28W", "2": "S62W", "Z": "Up"}[s.channel[-1]]
        millimetres = trace.data * 10.0
        peak = millimetres[np.argmax(np.abs(millimetres))]
        integers, reals = np.zeros(40), np.zeros(60)
        integers[[0, 1, 2, 3, 4, 5]] = [2013, 9, 1, 4, 10, 305]
        integers[[8, 9, 18, 19, 38, 39]] = [
            t.year, t.month, t.day, t.hour, t.minute, t.second * 1000 + t.microsecond // 1000,
        ]  # fmt: skip
        integers[[33, 34, 35]] = [s.npts, *([s.npts] * 2 if corrected else [0, 0])]
        reals[[0, 1, 25]] = [200.0, 0.7, 1 / s.sampling_rate]
        lines += [
            f"{'Corrected' if corrected else 'Uncorrected'} accelerogram "
            f"20130901_041030_{s.station}_20 GNS Science",
            f"Site {s.station}      42 37 10S  173 03 13E     Cusp file:  20130901_041030_{s.station}",
            "Nowhere Farm",
            "Instrument Cusp_10462",
            "Resolution: 18-bit   Instr Period: 0.0050 s   Damping: 0.700",
            f"Accelerogram 20130901_041030_{s.station}_20                 Processed 2016 December 09",
            "5 km south-west of Nowhere",
            "2013 September 01         04:10:30 UT",
            "Epicentre  42 41 33S 173 01 19E  Bearing S18W  Dist    9km  Depth   15km Mw 7.82",
            f"Number of points  {s.npts}    Duration {s.npts / s.sampling_rate:.2f} sec",
            f"Instrument corrected data at {1 / s.sampling_rate:.3f} sec intervals",
            "Band-pass filter transition bands are .10-.25 Hz and 24.50-25.50 Hz",
            f"Component {word}  Longitudinal Accelerometer Axis",
            f"Acceleration:  peak {peak:10.1f} mm/s/s at  44.88 sec     rms    719.0 mm/s/s",
            "Velocity:      peak     0.00 mm/s   at  46.58 sec     rms    96.10 mm/s",
            "Displacement:  peak    0.000 mm     at  46.36 sec     rms   38.013 mm",
            *_columns(integers, "%8d", 10),
            *_columns(reals, "%8.2f", 10),
            *_columns(millimetres, "%8.1f", 10),
        ]
        if corrected:
            lines += [*_columns([0.0] * s.npts, "%8.1f", 10)] * 2
    _write(path, lines)


def esm(stream: Stream, path: str) -> None:
    """DYNA 1.2 of one component."""
    (trace,) = stream
    s, t = trace.stats, trace.stats.starttime
    peak = trace.data[np.argmax(np.abs(trace.data))]
    stated = {
        "EVENT_NAME": "NOWHERE",
        "EVENT_ID": "MADE-UP",
        "EVENT_DATE_YYYYMMDD": "20130901",
        "EVENT_TIME_HHMMSS": "041030",
        "EVENT_LATITUDE_DEGREE": "38.1000",
        "EVENT_LONGITUDE_DEGREE": "23.5400",
        "EVENT_DEPTH_KM": "9.0",
        "MAGNITUDE_W": "",
        "MAGNITUDE_L": "4.6",
        "NETWORK": s.network,
        "STATION_CODE": s.station,
        "STATION_LATITUDE_DEGREE": "37.6",
        "STATION_LONGITUDE_DEGREE": "22.7",
        "LOCATION": s.location,
        "VS30_M/S": "",
        "DATE_TIME_FIRST_SAMPLE_YYYYMMDD_HHMMSS": t.strftime("%Y%m%d_%H%M%S.%f")[:-3],
        "SAMPLING_INTERVAL_S": f"{1 / s.sampling_rate:.6f}",
        "NDATA": str(s.npts),
        "STREAM": s.channel,
        "UNITS": "cm/s^2",
        "PGA_CM/S^2": f"{peak:.6f}",
        "LOW_CUT_FREQUENCY_HZ": "0.100",
        "HIGH_CUT_FREQUENCY_HZ": "30.000",
        "LATE/NORMAL_TRIGGERED": "LT",
        "DATA_TYPE": "ACCELERATION",
        "USER5": "",
    }
    _write(path, [*(f"{k}: {v}" for k, v in stated.items()), *(f"{v:.6f}" for v in trace.data)])


def usc(stream: Stream, path: str, *, stretch: float = 0.0) -> None:
    """USC volume 1; ``stretch`` bends the times of the samples [s]."""
    (trace,) = stream
    s, t = trace.stats, trace.stats.starttime
    integers, reals = np.zeros(100), np.zeros(50)
    integers[[8, 9, 10, 11, 12, 13, 14]] = [17, 34, 6, 52, 118, 22, 47]
    integers[[21, 22, 23, 24, 26, 27]] = [t.month, t.day, t.year, t.hour * 100 + t.minute, 90, s.npts]
    reals[[0, 1, 2, 3, 4, 5, 11]] = [0.037, 0.57, (s.npts - 1) / s.sampling_rate, 0.2, 0.1, 1.7, 6.7]
    part = np.arange(s.npts) / (s.npts - 1)
    times = np.arange(s.npts) / s.sampling_rate + stretch * np.sin(np.pi * part)
    pairs = [f"{a:7.3f}{b:7.3f}" for a, b in zip(times, trace.data / (0.1 * GRAVITY))]
    text = [
        "FILE     0 OF UNCORRECTED ACCELEROGRAM DATA OF VOLUME I:",
        "MADE UP EARTHQUAKE".ljust(72) + "21",
        "SEP 1, 2013 -0410 GMT".ljust(72) + "22",
        "IBB102  94.170.0 N".ljust(72) + "18",
        f"STATION USC# {int(s.station):04d}   34 06 52N, 118 22 47W".ljust(72) + "39",
        "1 NOWHERE AVE., LOS ANGELES, CA".ljust(72) + "37",
        "COMP N90E".ljust(72) + "9",
        "MADE UP EARTHQUAKE".ljust(72) + "46",
        "EPICENTER -   34 12 48N, 118 32 13W".ljust(72) + "35",
        "INSTR PERIOD =  .037 SEC  DAMPING =   .573  SENSITIVITY =   1.70CM/G".ljust(72) + "69",
        f"NO. OF POINTS = {s.npts:6d}      DURATION = {(s.npts - 1) / s.sampling_rate:7.3f} SEC".ljust(72)
        + "50",
        "UNITS ARE SEC AND G/10".ljust(72) + "22",
        "RMS ACCLN. OF COMPLETE RECORD =     .179 G/10".ljust(72) + "45",
    ]
    body = [" " + "".join(pairs[k : k + 5]) for k in range(0, len(pairs), 5)]
    _write(path, [*text, *_columns(integers, "%5d", 16), *_columns(reals, "%10.3f", 8), *body])


def stream(
    *codes: str,
    start: UTCDateTime,
    network: str,
    station: str,
    unit: float = 1.0,
    dtype: str = "f8",
    mm: bool = False,
) -> Stream:
    """Channels of 700 samples at 100 Hz: hundredths of ``unit``, or tenths of a millimetre, or integers."""
    traces = []
    for number, code in enumerate(codes):
        rng = np.random.default_rng(number + 7)
        whole = np.cumsum(rng.integers(-50, 51, 700))
        samples = (
            whole.astype(dtype)
            if dtype == "i4"
            else np.round(whole * 0.1, 1) / 10
            if mm
            else np.round(whole * 0.01, 2) * unit
        )
        header = {"network": network, "station": station, "channel": code, "starttime": start}
        traces.append(Trace(samples, {**header, "sampling_rate": 100.0}))
    return Stream(traces)
