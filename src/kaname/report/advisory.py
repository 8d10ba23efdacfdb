"""The forecast in words, in English and Japanese: what may follow, how surely, and what is not said."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd


@dataclass(frozen=True)
class Situation:
    """What the words are about.

    Parameters
    ----------
    issued, start, end
        When the catalogue ends, and the period, UTC.
    largest
        ``time`` and ``magnitude`` of the largest earthquake of the month before; none: nothing happened.
    table
        What `kaname.discovery.seismicity.forecasting.probabilities` returns, and ``usual``, the share of
        earlier periods as long that had one or more (NaN: too few).
    generic
        Whether the forecast rests on parameters of another region.
    completeness
        Magnitude below which the forecast says nothing.
    n_target
        Earthquakes that the model learned from.
    since
        When the catalogue begins.
    missed
        Where the completeness changes with time: the magnitude below which earthquakes were missed at the
        worst time of the last 30 days.
    """

    issued: Any
    start: Any
    end: Any
    largest: dict[str, Any] | None
    table: pd.DataFrame
    generic: bool
    completeness: float
    n_target: int
    since: Any
    missed: float | None = None


def percent(p: float) -> str:
    """Return a probability as people read it: no more digits than are known, never 0 or 100 %."""
    if p < 0.001:
        return "less than 0.1 %"
    if p < 0.0995:
        return f"{100 * p:.1f} %"
    if p > 0.99:
        return "more than 99 %"
    return f"{100 * p:.0f} %"


def often(share: float) -> str:
    """Return how many of the earlier periods had an earthquake, as people read it."""
    if np.isnan(share):
        return "not known"
    return "none" if share == 0 else percent(share)


def spread(low: float, high: float) -> str:
    """Return an interval of probabilities as people read it; empty where both ends read the same."""
    few, many = percent(low), percent(high)
    if few == many:
        return ""
    if few.startswith("less"):
        return f"at most {many}"
    return f"{few.removesuffix(' %')} to {many}"


def percent_ja(p: float) -> str:
    """Return `percent` in Japanese."""
    return percent(p).replace("less than 0.1 %", "0.1 %未満").replace("more than 99 %", "99 %以上")


def english(s: Situation) -> list[str]:
    """Return the paragraphs in English."""
    days = _days(s)
    period = "this day" if days == 1 else f"these {days} days"
    first = s.table.iloc[0]
    out = [
        f"From {_moment(s.start)} to {_moment(s.end)} UTC the chance of one or more earthquakes of magnitude "
        f"{first.magnitude_min:g} or more in this area is {percent(first.probability)}."
        + (
            f" Of all periods as long since {pd.Timestamp(s.since):%Y-%m-%d} {often(first.usual)} had one "
            "or more."
            if np.isfinite(first.usual)
            else ""
        )
    ]
    if s.largest is not None:
        out.append(
            "The largest earthquake of the last 30 days in this area had magnitude "
            f"{s.largest['magnitude']:.1f} ({_moment(s.largest['time'])} UTC). Many earthquakes follow large "
            "ones; most are smaller, and they become rarer with time. A larger one can follow too."
        )
    else:
        out.append("No earthquake above the magnitude of completeness is known of the last 30 days here.")
    for row in s.table.itertuples():
        if row.count_high == 0:
            number = "most likely none"
        else:
            number = f"{row.count_low} to {row.count_high} of them are likely (95 %)"
        known = spread(row.probability_low, row.probability_high)
        out.append(
            f"Magnitude {row.magnitude_min:g} or more in {period}: {percent(row.probability)}"
            + (f" (the data leave open {known})" if known else "")
            + f"; {number}."
        )
    if s.missed is not None:
        out.append(
            "After large earthquakes small ones are missed for a while. The forecast counts with that: "
            + (
                f"in the last 30 days, at the worst time, those below magnitude {s.missed:.1f}."
                if s.missed > s.completeness
                else "in the last 30 days none were missed for that reason."
            )
        )
    if s.generic:
        out.append(
            f"Earthquakes known here: {s.n_target}, too few to learn from. This forecast rests mainly on how "
            "earthquakes behave in another region. Take it as a rough guide."
        )
    out.append(
        "This is a statement of chance, not a prediction: nobody can say when, where and how large the next "
        "earthquake will be. A low chance is not safety; buildings that were damaged may be dangerous in a "
        "smaller earthquake too. The forecast knows nothing of earthquakes after "
        f"{_moment(s.issued)} UTC and should be renewed after any strong earthquake. It says nothing of "
        "shaking, tsunamis or landslides, and it is not an official advisory: follow the authorities."
    )
    return out


def japanese(s: Situation) -> list[str]:
    """Return the paragraphs in Japanese."""
    days = _days(s)
    first = s.table.iloc[0]
    out = [
        f"{_moment_ja(s.start)}（日本時間）から{days}日間に、この地域でマグニチュード（M）{first.magnitude_min:g}以上の"
        f"地震が1回以上起こる確率は{percent_ja(first.probability)}です。"
        + (
            f"{pd.Timestamp(s.since).year}年以降の同じ長さの期間のうち、1回以上あったのは{percent_ja(first.usual)}です。"
            if np.isfinite(first.usual)
            else ""
        )
    ]
    if s.largest is not None:
        out.append(
            f"この地域では、過去30日間の最大の地震はM{s.largest['magnitude']:.1f}"
            f"（{_moment_ja(s.largest['time'])}、日本時間）でした。大きな地震の後には、大小さまざまな地震が"
            "続きます。その多くはより小さく、時間とともに減っていきますが、"
            "さらに大きな地震が起こることもあります。"
        )
    else:
        out.append("この地域では、過去30日間に、解析の対象となる大きさの地震は知られていません。")
    for row in s.table.itertuples():
        if row.count_high == 0:
            number = "起こらない可能性が最も高い"
        else:
            number = f"回数は95 %の確からしさで{row.count_low}～{row.count_high}回"
        known = _spread_ja(row.probability_low, row.probability_high)
        out.append(
            f"M{row.magnitude_min:g}以上：{percent_ja(row.probability)}"
            + (f"（データから決めきれない幅を含めると{known}）" if known else "")
            + f"、{number}。"
        )
    if s.missed is not None:
        out.append(
            "大きな地震の後しばらくは、小さな地震の検出漏れがあります。この予測ではそれを考慮しています。"
            + (
                f"過去30日間では、最も多い時でM{s.missed:.1f}未満の地震が漏れていました。"
                if s.missed > s.completeness
                else "過去30日間には、そのような検出漏れはなかったとみています。"
            )
        )
    if s.generic:
        out.append(
            f"この地域で使える地震は{s.n_target}個しかないため、主に他の地域の平均的な性質に基づいています。"
            "おおまかな目安とお考えください。"
        )
    out.append(
        "これは確率であって予知ではありません。次の地震の日時、場所、大きさを言い当てることはできません。"
        "確率が低くても安全という意味ではありません。揺れの強かった地域では、より小さな地震でも、傷んだ建物や斜面に"
        f"注意してください。{_moment_ja(s.issued)}（日本時間）より後の地震は考慮していません。強い地震があった"
        "ときは計算し直す必要があります。揺れの強さ、津波、土砂災害については何も述べていません。公式の発表ではありません。"
        "気象庁や自治体の情報に従ってください。"
    )
    return out


def _spread_ja(low: float, high: float) -> str:
    few, many = percent(low), percent_ja(high)
    if not spread(low, high):
        return ""
    return f"{many}以下" if few.startswith("less") else f"{few.removesuffix(' %')}～{many}"


def _days(s: Situation) -> int:
    return max(1, round(float((pd.Timestamp(s.end) - pd.Timestamp(s.start)) / pd.Timedelta(1, "D"))))


def _moment(time: Any) -> str:
    return f"{pd.Timestamp(time):%Y-%m-%d %H:%M}"


def _moment_ja(time: Any) -> str:
    t = pd.Timestamp(time) + pd.Timedelta(9, "h")
    return f"{t.year}年{t.month}月{t.day}日{t.hour}時{t.minute:02d}分"
