"""Published schemas of the tables that ``kaname bench`` writes."""

from __future__ import annotations

from kaname.core.tables import Column, Schema

_SET = Column("set", "string", "labelled set", required=True)
_SCOPE = Column("scope", "string", "where picks count: in whole records, or in windows", required=True)
_METHOD = Column("method", "string", "method", required=True)
_PHASE = Column("phase", "string", "phase", required=True, choices=("P", "S"))


def _share(name: str, meaning: str) -> tuple[Column, ...]:
    return (
        Column(name, "float", meaning, low=0, high=1),
        Column(f"{name}_low", "float", "lower end of its 95 % Wilson interval"),
        Column(f"{name}_high", "float", "upper end of its 95 % Wilson interval"),
    )


def _count(name: str, meaning: str) -> Column:
    return Column(name, "int", meaning, low=0)


_THRESHOLD = (
    Column("threshold", "float", "least probability or ratio that begins a detection", required=True),
    Column("own", "bool", "whether that is the method's own"),
)

_RATE = (
    Column("per_hour", "float", "false ones per hour", "1/hour", low=0),
    Column("per_hour_low", "float", "lower end of its exact 95 % Poisson interval", "1/hour", low=0),
    Column("per_hour_high", "float", "upper end of its exact 95 % Poisson interval", "1/hour", low=0),
)

PICKING = Schema(
    "picking_scores",
    "Picks against labels by set, method, phase and tolerance.",
    (
        _SET,
        _SCOPE,
        _METHOD,
        _PHASE,
        Column("tolerance_s", "float", "largest distance of a match", "s", required=True, low=0),
        _count("n_label", "labels"),
        _count("n_pick", "picks in records with a label of the phase"),
        _count("n_match", "picks matched with a label, one to one"),
        *_share("recall", "matches per label"),
        *_share("precision", "matches per pick"),
        Column("f1", "float", "harmonic mean of recall and precision", low=0, high=1),
        Column("best_f1", "float", "F1 at the least probability that is best here", low=0, high=1),
        Column("best_min_probability", "float", "that least probability", low=0, high=1),
        _count("n_disputed", "picks that nobody labelled but at least two other methods make"),
        *_share("undisputed_precision", "matches per pick that is not disputed"),
        Column("undisputed_f1", "float", "F1 without the disputed picks", low=0, high=1),
        Column("residual_mean_s", "float", "mean of pick minus label", "s"),
        Column("residual_sd_s", "float", "standard deviation of pick minus label", "s"),
        Column("residual_median_s", "float", "median of pick minus label", "s"),
        Column("residual_mad_s", "float", "median absolute deviation, not scaled", "s"),
        _count("n_stated", "matches with a stated time uncertainty"),
    ),
)

RESIDUALS = Schema(
    "residuals",
    "Picks within 0.5 s of a label, one to one.",
    (
        _SET,
        _SCOPE,
        _METHOD,
        _PHASE,
        Column("residual_s", "float", "pick minus label", "s", required=True),
        Column("time_uncertainty_s", "float", "stated standard deviation", "s", low=0),
        Column("probability", "float", "stated probability", low=0, high=1),
    ),
)

FALSE_PICKS = Schema(
    "false_picks",
    "Picks where there is no earthquake.",
    (
        _SET,
        _METHOD,
        _PHASE,
        Column("noise", "string", "before events, resynthesised or spliced", required=True),
        _count("n_pick", "picks"),
        Column("hours", "float", "length of the noise", "hour", low=0),
        *_RATE,
    ),
)

SWARMS = Schema(
    "swarms",
    "Real events pasted into noise at known rates.",
    (
        _SET,
        _METHOD,
        _PHASE,
        Column("noise", "string", "resynthesised or spliced", required=True),
        Column("events_per_hour", "float", "rate of the events", "1/hour", required=True, low=0),
        _count("n_label", "onsets pasted"),
        _count("n_found", "onsets with a pick within 0.3 s, one to one"),
        *_share("recall", "onsets found"),
        _count("n_pick", "picks"),
        _count("n_true", "picks within 0.5 s of any onset of their phase"),
        *_share("precision", "true picks"),
    ),
)

RELIABILITY = Schema(
    "reliability",
    "Share of true picks (within 0.5 s of a label) by stated probability.",
    (
        _SET,
        _SCOPE,
        _METHOD,
        _PHASE,
        Column("low", "float", "lower edge of the bin"),
        Column("high", "float", "upper edge of the bin"),
        _count("n", "picks"),
        Column("stated", "float", "mean stated probability"),
        *_share("observed", "share that is true"),
    ),
)

COVERAGE = Schema(
    "coverage",
    "Share of residuals within the stated time uncertainty.",
    (
        _SET,
        _SCOPE,
        _METHOD,
        _PHASE,
        Column("nominal", "float", "share that the normal distribution has within", required=True),
        _count("n", "picks within 0.5 s of a label, one to one, with a stated uncertainty"),
        _count("n_covered", "of these, within"),
        *_share("observed", "share within"),
        Column("within", "bool", "the interval holds the nominal share"),
    ),
)

OPERATING = Schema(
    "operating_points",
    "Recall, precision and false picks by least probability.",
    (
        _SET,
        _SCOPE,
        _METHOD,
        _PHASE,
        Column("min_probability", "float", "least probability of a pick", required=True, low=0, high=1),
        Column("recall", "float", "labels with a pick within 0.5 s"),
        Column("precision", "float", "picks within 0.5 s of a label"),
        Column("f1_01", "float", "F1 at 0.1 s"),
        Column("f1_03", "float", "F1 at 0.3 s"),
        Column("f1_05", "float", "F1 at 0.5 s"),
        Column("per_hour", "float", "false picks before events", "1/hour"),
    ),
)

SPEED = Schema(
    "speed",
    "Processor time of a method on continuous three-component data at 100 Hz.",
    (
        _SET,
        _METHOD,
        Column("hours", "float", "length of the data", "hour"),
        _count("n_pick", "picks"),
        Column("cpu_s", "float", "processor time of the whole process, all threads", "s"),
        Column("station_days_per_cpu_s", "float", "station-days per CPU-second", "day/s"),
    ),
)

DETECTION = Schema(
    "detection_scores",
    "Events with a detection.",
    (
        _SET,
        _METHOD,
        Column("labels", "string", "what analysts read: P and S, or P", required=True),
        *_THRESHOLD,
        _count("n_event", "labelled records"),
        _count("n_found", "records with a detection that overlaps the event, P to coda"),
        *_share("recall", "events found"),
        Column("late_s", "float", "median of begin of the detection minus P", "s"),
    ),
)

FALSE_DETECTIONS = Schema(
    "false_detections",
    "Detections where there is no earthquake.",
    (
        _SET,
        _METHOD,
        *_THRESHOLD,
        Column("noise", "string", "before events, resynthesised or spliced", required=True),
        _count("n_detection", "detections"),
        Column("hours", "float", "length of the noise", "hour", low=0),
        *_RATE,
    ),
)

DENOISING = Schema(
    "denoising_scores",
    "Gain of denoisers on mixtures of real signals and real noise.",
    (
        _METHOD,
        Column("data", "string", "raw, or what was done to the records before mixing", required=True),
        Column("snr_db", "float", "ratio of variances of signal to noise", "dB", required=True),
        _count("n", "channels of mixtures"),
        Column("gain_db", "float", "mean gain", "dB"),
        Column("gain_db_median", "float", "median gain", "dB"),
        Column("gain_db_5", "float", "5th percentile of the gain", "dB"),
        _count("n_onset", "mixtures, in whose vertical the onset is looked at"),
        Column("lag_mean_s", "float", "mean delay of the output against the clean record", "s"),
        Column("lag_within_20_ms", "float", "share of these within 20 ms", low=0, high=1),
        Column("onset_median_s", "float", "median AIC onset in the output, less that in the clean one", "s"),
        Column("onset_within_20_ms", "float", "share of these within 20 ms", low=0, high=1),
    ),
)

BEST_BANDS = Schema(
    "best_bands",
    "Denoisers beside the fixed band-pass that is best on these very mixtures.",
    (
        _METHOD,
        Column("data", "string", "raw, or what was done to the records before mixing", required=True),
        Column("snr_db", "float", "ratio of variances of signal to noise", "dB", required=True),
        _count("n", "channels of mixtures"),
        Column("gain_db", "float", "mean gain", "dB"),
        Column("gain_db_5", "float", "5th percentile of the gain", "dB"),
        Column("best_band", "string", "band-pass of the highest mean gain; none: doing nothing gains more"),
        Column("best_band_db", "float", "its mean gain", "dB"),
        Column("best_band_db_5", "float", "5th percentile of its gain", "dB"),
        Column("better", "float", "share of channels on which the method gains no less", low=0, high=1),
    ),
)

SKIPPED = Schema(
    "skipped",
    "Methods that could not be run, and why.",
    (_METHOD, Column("reason", "string", "why", required=True)),
)
