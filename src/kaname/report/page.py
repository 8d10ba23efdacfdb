"""A self-contained page: escaping, tables, figures, style sheet, and writing it all or not at all."""

from __future__ import annotations

import html
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from kaname.core.errors import StorageError
from kaname.report import style

ABSENT = "–"
"""What stands for a value that is not known."""

# Control characters have no place in HTML, and a file name may hold any: shown as what they are.
_VISIBLE = {i: f"\\x{i:02x}" for i in [*range(9), 11, 12, *range(14, 32), *range(127, 160)]}


def text(value: object) -> str:
    """Return ``value`` as text that cannot be taken for markup."""
    return html.escape(str(value).translate(_VISIBLE), quote=True)


def number(value: Any, decimals: int) -> str:
    """Return a number with fixed decimals, or the sign for *not known*."""
    return ABSENT if pd.isna(value) or not np.isfinite(value) else f"{value:.{decimals}f}"


def plus_minus(value: Any, uncertainty: Any, decimals: int) -> str:
    """Return ``value ± uncertainty``, each only as far as it is known."""
    if pd.isna(value) or pd.isna(uncertainty):
        return number(value, decimals)
    return f"{number(value, decimals)} ± {number(uncertainty, decimals)}"


def moment(time: Any, *, decimals: int = 2) -> str:
    """Return ``2010-05-27 16:24:33.21`` (UTC, rounded), or the sign for *not known*."""
    if pd.isna(time):
        return ABSENT
    stamp = pd.Timestamp(time).round(pd.Timedelta(10.0**-decimals, "s"))
    return stamp.strftime("%Y-%m-%d %H:%M:%S") + (
        f".{stamp.microsecond:06d}"[: decimals + 1] if decimals else ""
    )


@dataclass(frozen=True)
class Cell:
    """A cell whose markup is ready, and what it is sorted by."""

    markup: str
    key: Any = ""


def cells(shown: Iterable[str], keys: Iterable[Any]) -> list[Cell]:
    """Return cells of plain texts with sort keys."""
    return [Cell(text(s), k) for s, k in zip(shown, keys)]


def table(
    name: str,
    caption: str,
    headers: Sequence[tuple[str, str]],
    rows: Iterable[Sequence[Cell | str]],
    *,
    sortable: bool = True,
) -> Iterable[str]:
    """Yield a table.

    Parameters
    ----------
    name
        Identifier in the page.
    caption
        What the table holds.
    headers
        Title and explanation of each column; a title that ends with ``#`` heads a column of numbers.
    rows
        Cells, or plain texts.
    sortable
        Whether a click on a title sorts.
    """
    yield f'<div class="scroll" tabindex="0" role="region" aria-labelledby="{name}-caption">'
    yield f'<table id="{name}"{" class=sortable" if sortable else ""}><caption id="{name}-caption">{caption}</caption>'
    yield "<thead><tr>"
    numeric = [title.endswith("#") for title, _ in headers]
    for (title, meaning), right in zip(headers, numeric):
        label = text(title.rstrip("#"))
        inner = f'<button type="button">{label}</button>' if sortable else label
        yield f'<th scope="col"{" class=num" if right else ""} title="{text(meaning)}">{inner}</th>'
    yield "</tr></thead>\n<tbody>"
    for row in rows:
        out = []
        for value, right in zip(row, numeric):
            cell = value if isinstance(value, Cell) else Cell(text(value), value)
            key = f' data-key="{_key(cell.key)}"' if sortable and right else ""
            out.append(f"<td{' class=num' if right else ''}{key}>{cell.markup}</td>")
        yield f"<tr>{''.join(out)}</tr>\n"
    yield "</tbody></table></div>\n"


def _key(value: Any) -> str:
    if isinstance(value, (pd.Timestamp, np.datetime64)):
        return "" if pd.isna(value) else str(pd.Timestamp(value).value)
    try:
        return "" if pd.isna(value) else f"{float(value):.10g}"
    except (TypeError, ValueError):
        return text(value)


def picture(drawing: Figure, alternative: str, caption: str, *, lazy: bool = False) -> str:
    """Return a figure with its caption (markup); ``alternative`` is what a screen reader says."""
    width, height = (round(v * 100) for v in drawing.get_size_inches())
    later = ' loading="lazy" decoding="async"' if lazy else ""
    return (
        f'<figure><div class="frame"><img src="{style.data_uri(drawing)}" alt="{text(alternative)}" width="{width}" '
        f'height="{height}"{later}></div><figcaption>{caption}</figcaption></figure>\n'
    )


def items(pairs: Iterable[tuple[str, str]]) -> str:
    """Return a list of names and values (markup)."""
    return "<dl>" + "".join(f"<div><dt>{text(k)}</dt><dd>{v}</dd></div>" for k, v in pairs) + "</dl>\n"


def write_page(path: str | os.PathLike[str], title: str, body: Iterable[str]) -> Path:
    """Write a self-contained page piece by piece, and put it in place in one atomic rename.

    Parameters
    ----------
    path
        File to write; its folder is made when absent.
    title
        Title of the page.
    body
        Pieces of markup; taken one at a time, so that a long page never stands in memory.

    Raises
    ------
    StorageError
        When the disk refuses; the previous page, if any, is untouched.
    """
    target = Path(path)
    partial = target.with_name(f".{target.name}.{os.getpid()}.part")
    done = False
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        # A file name that is not UTF-8 reaches us as lone surrogates: written as \udcXX, not refused.
        with partial.open("w", encoding="utf-8", errors="backslashreplace", newline="\n") as file:
            file.write(_HEAD.replace("{title}", text(title)))
            file.writelines(body)
            file.write(_FOOT)
        partial.replace(target)
        done = True
    except OSError as error:
        raise StorageError(f"cannot write {target}: {error.strerror or error}; is the disk full?") from error
    finally:
        if not done:
            partial.unlink(missing_ok=True)
    return target


_STYLE = """
:root{color-scheme:light dark;--ink:#1f2328;--soft:#59636e;--line:#d1d9e0;--paper:#fff;--band:#f6f8fa;--link:#0a58b0;
--warn:#fff7e0;--warn-line:#b98900}
@media (prefers-color-scheme:dark){:root{--ink:#e6e9ee;--soft:#a4adb8;--line:#3a424d;--paper:#14181d;--band:#1c2229;
--link:#7ab8ff;--warn:#2b2412;--warn-line:#c79a2a}}
*{box-sizing:border-box}
html{scroll-behavior:smooth;-webkit-text-size-adjust:100%}
body{margin:0;background:var(--paper);color:var(--ink);font:15px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",
sans-serif}
main,header,footer,nav{max-width:1160px;margin:0 auto;padding:0 24px}
header{padding-top:32px;padding-bottom:4px}
h1{font-size:27px;line-height:1.2;margin:0 0 4px;letter-spacing:-.01em;overflow-wrap:anywhere}
h2{font-size:19px;margin:40px 0 10px;padding-bottom:6px;border-bottom:1px solid var(--line)}
h3{font-size:15px;margin:20px 0 6px}
p{margin:8px 0;max-width:78ch}
a{color:var(--link)}
.lead{color:var(--soft);margin-top:0}
nav{margin-top:8px}nav a{margin-right:16px;white-space:nowrap}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(130px,1fr));gap:10px;margin:18px 0}
.tile{border:1px solid var(--line);border-radius:8px;padding:10px 14px;background:var(--band)}
.tile b{display:block;font-size:24px;line-height:1.2;font-variant-numeric:tabular-nums}
.tile span{color:var(--soft);font-size:13px}
.caveats{background:var(--warn);border-left:4px solid var(--warn-line);border-radius:4px;padding:10px 18px;margin:18px 0}
.caveats h2{border:0;margin:0 0 4px;padding:0;font-size:16px}.caveats ul{margin:4px 0;padding-left:20px}
figure{margin:16px 0}figcaption{color:var(--soft);font-size:13px;margin-top:6px;max-width:100ch}
.frame{background:#fff;border:1px solid var(--line);border-radius:8px;overflow-x:auto;padding:8px}
.frame img{display:block;width:100%;min-width:620px;height:auto;margin:auto}
.pair{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(420px,100%),1fr));gap:0 16px}
.pair .frame img{min-width:0}
.scroll{overflow:auto;max-height:640px;border:1px solid var(--line);border-radius:8px;margin:12px 0}
table{border-collapse:separate;border-spacing:0;width:100%;font-size:13px;font-variant-numeric:tabular-nums}
caption{text-align:left;color:var(--soft);padding:8px 10px;font-size:13px}
th{position:sticky;top:0;background:var(--band);border-bottom:1px solid var(--line);padding:6px 10px;text-align:left;
white-space:nowrap;font-weight:600;z-index:1}
td{padding:5px 10px;border-bottom:1px solid var(--line);vertical-align:top;overflow-wrap:anywhere}
tbody tr:last-child td{border-bottom:0}tbody tr:hover{background:var(--band)}
.num{text-align:right;white-space:nowrap}td.num{overflow-wrap:normal}
th button{all:unset;cursor:pointer}th button:focus-visible{outline:2px solid var(--link);outline-offset:2px}
th button::after{content:"\\2195";opacity:.4;margin-left:5px;font-weight:400}
th[aria-sort=ascending] button::after{content:"\\2191";opacity:1}
th[aria-sort=descending] button::after{content:"\\2193";opacity:1}
dl{display:grid;grid-template-columns:repeat(auto-fill,minmax(240px,1fr));gap:2px 24px;margin:10px 0}
dl div{display:flex;gap:8px;padding:3px 0;border-bottom:1px solid var(--line)}
dt{color:var(--soft);flex:0 0 42%}dd{margin:0;flex:1;overflow-wrap:anywhere}
dl.long{grid-template-columns:1fr}dl.long dt{flex-basis:200px}
.q{display:inline-block;min-width:1.7em;padding:0 .45em;border-radius:4px;text-align:center;font-weight:600;border:1px solid}
.qA{background:#d6f0e6;color:#00543c;border-color:#009e73}.qB{background:#dcebf8;color:#0a4472;border-color:#0072b2}
.qC{background:#fdf0d0;color:#6b4a00;border-color:#e69f00}.qD{background:#fbe0d3;color:#7c3200;border-color:#d55e00}
.qunlocated{background:#e9ebee;color:#3d444d;border-color:#8a929c}
details{border:1px solid var(--line);border-radius:8px;margin:8px 0;padding:0 14px}
summary{cursor:pointer;padding:9px 0;font-weight:600;font-variant-numeric:tabular-nums}
summary span{font-weight:400;color:var(--soft);margin-left:10px}
details:target{border-color:var(--link)}
code{font:12.5px/1.5 ui-monospace,SFMono-Regular,Menlo,"DejaVu Sans Mono",monospace;overflow-wrap:anywhere;white-space:pre-wrap}
footer{color:var(--soft);font-size:13px;margin-top:48px;padding-bottom:40px}
@media (max-width:600px){main,header,footer,nav{padding-left:14px;padding-right:14px}h1{font-size:22px}dt{flex-basis:46%}}
@media print{:root{color-scheme:light;--ink:#000;--soft:#444;--line:#bbb;--paper:#fff;--band:#f4f4f4;--warn:#fff}
body{font-size:11px}.scroll{max-height:none;overflow:visible;border:0}.frame{overflow:visible;border:0}
.frame img{min-width:0}table{font-size:9px}td,th{padding:2px 4px}th{position:static;white-space:normal}
figure,tr,.tile{break-inside:avoid}h2,h3,summary{break-after:avoid}nav,th button::after{display:none}details{border:0;padding:0}}
"""

_SCRIPT = """
"use strict";
document.querySelectorAll("table.sortable th button").forEach(function (button) {
  button.addEventListener("click", function () {
    var head = button.parentNode, table = head.closest("table"), body = table.tBodies[0];
    var column = head.cellIndex, down = head.getAttribute("aria-sort") === "ascending", sign = down ? -1 : 1;
    table.querySelectorAll("th").forEach(function (th) { th.removeAttribute("aria-sort"); });
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    var keyed = Array.from(body.rows, function (row) {
      var cell = row.cells[column], key = cell.dataset.key;
      var value = key === undefined ? cell.textContent : key === "" ? null : Number(key);
      return [value === "\\u2013" ? null : value, row];
    });
    keyed.sort(function (a, b) {
      if (a[0] === null || b[0] === null) { return (a[0] === null) - (b[0] === null); }
      return sign * (typeof a[0] === "number" ? a[0] - b[0] : a[0].localeCompare(b[0]));
    });
    keyed.forEach(function (pair) { body.appendChild(pair[1]); });
  });
});
function reveal() {
  var chosen = location.hash && document.getElementById(location.hash.slice(1));
  if (chosen && chosen.tagName === "DETAILS") { chosen.open = true; }
}
window.addEventListener("hashchange", reveal);
window.addEventListener("beforeprint", function () {
  document.querySelectorAll("details").forEach(function (d) { d.open = true; });
});
reveal();
"""

# The policy holds the page to what it carries: no network, even if something slipped through.
_HEAD = (
    '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
    '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
    '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; img-src data:; '
    "style-src 'unsafe-inline'; script-src 'unsafe-inline'\">\n"
    f"<title>{{title}}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
)
_FOOT = f"<script>{_SCRIPT}</script>\n</body>\n</html>\n"
