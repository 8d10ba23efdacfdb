"""Whatever is asked, a service answers with a status of the standard, and never with 500.

``KANAME_FUZZ=50`` asks fifty times as many questions.
"""

from __future__ import annotations

import os
import string
from itertools import product
from urllib.parse import quote

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kaname.archive.inventory import publish
from kaname.archive.store import Archive
from kaname.center.app import Center
from kaname.center.holdings import Holdings
from kaname.center.parameters import SERVICES, Parameter
from kaname.core.waveform import Waveform
from kaname.formats.miniseed import write_miniseed

from .conftest import asking

MORE = int(os.environ.get("KANAME_FUZZ", "1"))
EXPECTED = {200, 204, 400, 401, 404, 405, 413}

CODES = st.lists(
    st.sampled_from(["BW", "GR", "RJOB", "UH3", "--", "", "*", "?", "EHZ", "SH?", "U*", "00", "ZZ", "B?"]),
    min_size=1,
    max_size=3,
).map(",".join)
TIMES = st.one_of(
    st.datetimes().map(lambda t: t.isoformat()),
    st.sampled_from(
        ["2009-08-24", "2010-05-27T16:24:10", "2010-05-27T16:25:10.5Z", "0001-01-01", "9999-12-31", "*"]
    ),
    st.sampled_from(
        ["2009-02-30", "2009-08-24T24:00:00", "1677-12-31", "2262-04-12", "2010-05-27T16:24:10+09:00"]
    ),
)
WILD = st.one_of(
    st.text(max_size=12),
    st.text(string.printable, max_size=20),
    st.sampled_from(
        ["nan", "inf", "-inf", "1e999", "-0", "0x10", "１２", "\x00", "%", "&", "=", "'", "../", "9" * 400]
    ),
)


def values(parameter: Parameter) -> st.SearchStrategy[str]:
    likely = {
        "time": TIMES,
        "float": st.floats(allow_nan=True).map(str) | st.integers(-200, 200).map(str),
        "int": st.integers().map(str),
        "bool": st.sampled_from(["true", "false", "TRUE", "1", "yes"]),
        "codes": CODES,
        "choice": st.sampled_from([*parameter.choices, "other"]),
        "choices": st.lists(st.sampled_from([*parameter.choices, "other"]), min_size=1).map(",".join),
        "text": st.sampled_from(["ML", "earthquake", "example", "smi:local/x", "a,b"]),
    }[parameter.kind]
    return likely | WILD if parameter.kind != "codes" else likely | likely | WILD


def pairs(service) -> st.SearchStrategy[list[tuple[str, str]]]:
    each = [
        st.tuples(st.sampled_from([n for n in (p.name, p.short) if n]), values(p)) for p in service.parameters
    ]
    return st.lists(st.one_of(*each, st.tuples(WILD, WILD)), max_size=8)


REQUESTS = st.sampled_from([(s, m) for s in SERVICES.values() for m in s.methods]).flatmap(
    lambda sm: st.tuples(st.just(sm[0]), st.just(sm[1]), pairs(sm[0]))
)


NASTY = [
    *(
        "",
        " ",
        ",",
        ",,",
        "*",
        "?",
        "--",
        "-",
        "0",
        "-1",
        "1e9",
        "1e10",
        "1e400",
        "nan",
        "-inf",
        "9" * 30,
        "0x1",
    ),
    *(
        "true",
        "TRUE",
        "tru",
        "D,R,Q,M,B,*",
        "xml",
        "text",
        "json",
        "response",
        "null",
        "None",
        "\x00",
        "\n",
        "é",
    ),
    *(
        "2009-08-24",
        "2009-08-24T24:00:00",
        "0000-00-00",
        "1677-12-31",
        "2262-04-12",
        "99999-01-01",
        "+",
        "%",
        "%zz",
    ),
    *(
        "../../etc/passwd",
        "' OR 1=1 --",
        "<script>",
        "[",
        "(",
        "\\",
        "*" * 200,
        "A" * 5000,
        "BW,GR,*,?",
        "１２",
    ),
]


@pytest.mark.parametrize(
    ("service", "method"),
    [pytest.param(s, m, id=f"{s.name}-{m}") for s in SERVICES.values() for m in s.methods],
)
def test_every_parameter_takes_every_nasty_value(ask, service, method):
    for number, (parameter, value) in enumerate(product(service.parameters, NASTY)):
        more = f"nodata=404&{'network=BW' if service.post else 'limit=1'}"
        ways = list(product((parameter.name, parameter.short or parameter.name), (True, False), ("", more)))
        for name, escaped, further in ways if MORE > 1 else [ways[number % len(ways)]]:
            text = quote(value, safe="") if escaped else value.encode().decode("latin-1")
            target = f"/fdsnws/{service.name}/1/{method}?{name}={text}&{further}"
            reply = ask(target)
            assert reply.status in EXPECTED, (target, reply.body)


@settings(max_examples=250 * MORE)
@given(request=REQUESTS)
def test_no_query_is_an_error_of_ours(ask, request):
    service, method, asked = request
    query = "&".join(f"{quote(n, safe='')}={quote(v, safe=',*?:')}" for n, v in asked)
    reply = ask(f"/fdsnws/{service.name}/1/{method}?{query}")
    assert reply.status in EXPECTED, reply.body
    if reply.status >= 400:
        assert reply.body.startswith(f"Error {reply.status}".encode())


@settings(max_examples=200 * MORE)
@given(query=st.text(string.printable.replace("#", ""), max_size=60), name=st.sampled_from(list(SERVICES)))
def test_no_raw_query_is_an_error_of_ours(ask, query, name):
    target = f"/fdsnws/{name}/1/query?" + query.encode("ascii", "ignore").decode()
    assert ask(target).status in EXPECTED


LINE = st.tuples(CODES, CODES, CODES, CODES, TIMES, TIMES).map(" ".join)


@settings(max_examples=300 * MORE)
@given(
    service=st.sampled_from([s for s in SERVICES.values() if s.post]),
    head=st.lists(st.tuples(st.sampled_from(["quality", "level", "format", "merge", "x"]), WILD), max_size=3),
    body=st.lists(st.one_of(LINE, WILD), max_size=6),
)
def test_no_body_is_an_error_of_ours(ask, service, head, body):
    text = "\n".join([*(f"{n}={v}" for n, v in head), *body])
    reply = ask(f"/fdsnws/{service.name}/1/query", method="POST", body=text.encode("utf-8", "surrogatepass"))
    assert reply.status in EXPECTED, reply.body


@settings(max_examples=150 * MORE)
@given(
    id=st.sampled_from(["BW.RJOB..EHZ", "BW.UH3..SHZ", "BW.*.*.*"]) | WILD,
    start=TIMES | WILD,
    end=TIMES | WILD,
    points=st.integers().map(str) | WILD,
)
def test_no_request_of_the_page_is_an_error_of_ours(ask, id, start, end, points):
    fields = {"id": id, "start": start, "end": end, "points": points}
    query = "&".join(f"{k}={quote(v, safe='')}" for k, v in fields.items())
    assert ask(f"/waveform.json?{query}").status in EXPECTED


@settings(max_examples=100 * MORE)
@given(header=WILD | st.builds("Digest {}".format, WILD))
def test_no_authorization_is_an_error_of_ours(ask, header):
    value = header.encode("latin-1", "ignore").decode("latin-1").replace("\n", "").replace("\r", "")
    reply = ask("/fdsnws/dataselect/1/queryauth?net=BW", Authorization=value)
    assert reply.status == 401


RANGES = WILD | st.builds("bytes={}-{}".format, st.integers() | WILD, st.integers() | WILD)


@settings(max_examples=150 * MORE)
@given(path=WILD | st.sampled_from(["a.mseed", "access.toml", "../a.mseed", ".", ""]), span=RANGES)
def test_no_request_of_a_mirror_is_an_error_of_ours(signed, path, span):
    value = span.encode("latin-1", "ignore").decode("latin-1").replace("\n", "").replace("\r", "")
    reply = signed(f"/mirror/files/{quote(path)}", Range=value)
    assert reply.status in {200, 206, 404, 416}, reply.body
    assert (reply.status in {200, 206, 416}) == (path == "a.mseed")


@pytest.fixture(scope="module")
def signed(tmp_path_factory):
    """The application of an archive of one file, signed."""
    root = tmp_path_factory.mktemp("signed")
    block = Waveform(
        np.arange(5000, dtype=np.int32)[np.newaxis], ("XX.A..HHZ",), np.datetime64("2021-01-01"), 100.0
    )
    write_miniseed([block], root / "a.mseed")
    with Archive(root) as archive:
        publish(archive)
    return asking(Center(Holdings(root)).application())
