"""What a SeedLink client asks for: stations, streams, sequence numbers and times, by version 3.1 or 4.0."""

from __future__ import annotations

import calendar
import fnmatch
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from kaname.center.seedlink_packets import SEQUENCE_MASK, Stream
from kaname.core.errors import InputError
from kaname.core.time import NS_PER_S, as_time

_CODE = r"[A-Za-z0-9?*_-]"
_SELECTOR_3 = re.compile(rf"(!?)(?:({_CODE}{{0,2}}):({_CODE}{{1,3}})|({_CODE}{{1,5}}))?(?:\.([DECOTL?*]))?")
_TYPE_ALONE = re.compile(r"(!?)([DECOTL])")
_SELECTOR_4 = re.compile(rf"(!?)({_CODE}{{1,64}})(?:\.([A-Z0-9?*]{{1,8}}))?(?::([A-Za-z0-9]{{1,16}}))?")
_PATTERN = re.compile(rf"{_CODE}{{1,64}}")
_TIME_3 = re.compile(r"(\d{4}),(\d\d?),(\d\d?),(\d\d?),(\d\d?),(\d\d?)(\.\d{1,9})?(?:,(\d{1,9}))?")
_TIME_4 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?Z?")

Test = Callable[[Stream], bool]


@dataclass(frozen=True)
class Selector:
    """Chooses streams, or keeps them out."""

    matches: Test
    negative: bool


@dataclass
class Request:
    """What is asked of the stations that match a pattern."""

    pattern: str
    """Of stations, ``NET_STA``."""
    selectors: list[Selector] = field(default_factory=list)
    sequence: int | None = None
    """First packet wanted; ``None`` is the next that comes, 0 is all there are."""
    short: bool = False
    """Only the last 24 bits of the sequence number are given."""
    start: int | None = None
    """Only records that end after this time [ns since 1970]."""
    end: int | None = None
    """Only records that start before this time [ns since 1970]."""
    fetch: bool = False
    """Stop when all there is has been sent."""
    asked: bool = False
    """DATA, FETCH or TIME has been said."""

    def __post_init__(self) -> None:
        self.name(self.pattern)

    def name(self, pattern: str) -> None:
        """State which stations are meant."""
        self.pattern = pattern
        self.several = "*" in pattern or "?" in pattern
        self.station = glob(pattern)

    def wants(self, stream: Stream) -> bool:
        """Tell whether the selectors choose a stream: any positive one, if there is one, and no negative."""
        positive = [s for s in self.selectors if not s.negative]
        if positive and not any(s.matches(stream) for s in positive):
            return False
        return not any(s.matches(stream) for s in self.selectors if s.negative)

    def first(self, following: int) -> int:
        """Return the first sequence number wanted of a station whose next one is `following`.

        Of the numbers with the same last 24 bits the greatest that there has been is meant.
        """
        if self.sequence is None:
            return following
        if self.short:
            return following - (following - self.sequence & SEQUENCE_MASK)
        return min(self.sequence, following)

    def spans(self, start: int, end: int) -> bool:
        """Tell whether a record reaches into the time window."""
        return (self.start is None or end > self.start) and (self.end is None or start < self.end)


def glob(pattern: str) -> re.Pattern[str]:
    """Compile a pattern in which ``*`` stands for any letters and ``?`` for any one; case matters not."""
    return re.compile(fnmatch.translate(pattern), re.IGNORECASE)


def station_3(arguments: Sequence[str]) -> Request:
    """Read ``STATION station [network]``; without the network code any network is meant."""
    if not 1 <= len(arguments) <= 2 or not all(_PATTERN.fullmatch(a) for a in arguments):
        raise InputError("expected STATION station [network]")
    station, network = arguments[0], arguments[1] if len(arguments) == 2 else "*"
    return Request(f"{network}_{station}")


def station_4(arguments: Sequence[str]) -> Request:
    """Read ``STATION pattern``, matched against ``NET_STA``."""
    if len(arguments) != 1 or not _PATTERN.fullmatch(arguments[0]):
        raise InputError("expected STATION station_pattern")
    return Request(arguments[0])


def selector_3(text: str) -> Selector:
    """Read ``[!][LL][CCC][.T]``, also as ``LL:CCC``; ``?`` is any letter, ``-`` in the location a blank.

    Of five letters the first two are the location, of four the first; fewer are all channel. A type may stand
    alone.
    """
    found = _TYPE_ALONE.fullmatch(text)
    if found:
        kind = found[2]
        return Selector(lambda stream: stream.type == kind, bool(found[1]))
    found = _SELECTOR_3.fullmatch(text)
    if not found or not any(found.groups()[1:]):
        raise InputError(f"{text!r} is not [!][LL][CCC][.T]")
    negative, location, channel, whole, kind = found.groups()
    if whole is not None:
        split = max(0, len(whole) - 3)
        location, channel = (whole[:split] or None), whole[split:]
    matchers: list[Test] = []
    if location is not None:
        place = glob(location.replace("-", " ").ljust(2))
        matchers.append(lambda stream: place.fullmatch(stream.id.split(".")[2].ljust(2)) is not None)
    if channel:
        code = glob(channel)
        matchers.append(lambda stream: code.fullmatch(stream.id.split(".")[3]) is not None)
    if kind and kind not in "?*":
        matchers.append(lambda stream: stream.type == kind)
    return Selector(lambda stream: all(matcher(stream) for matcher in matchers), bool(negative))


def selector_4(text: str) -> Selector:
    """Read ``[!]stream_pattern[.format_type_pattern][:filter]``; the only filter is ``native``.

    The first pattern is matched against all of ``LOC_B_S_SS``, the second against the beginning of format and
    type, such as ``2D``.
    """
    found = _SELECTOR_4.fullmatch(text)
    if not found:
        raise InputError(f"{text!r} is not [!]stream_pattern[.format_subformat_pattern]")
    negative, name, kind, filter = found.groups()
    if filter not in (None, "native") or (filter and negative):
        raise InputError(f"no filter {filter!r} here: streams are given in their native format")
    stream_name, form = glob(name), glob((kind or "") + "*")
    return Selector(
        lambda stream: (
            stream_name.fullmatch(stream.name) is not None
            and form.fullmatch(stream.format + stream.type) is not None
        ),
        bool(negative),
    )


def time_3(text: str, *, whole_second: bool = False) -> int:
    """Read ``year,month,day,hour,minute,second`` [ns since 1970], with a fraction or nanoseconds if given.

    ``whole_second`` counts the second in: clients cut the fraction off, and the end must not come earlier.
    """
    found = _TIME_3.fullmatch(text)
    if not found:
        raise InputError(f"{text!r} is not year,month,day,hour,minute,second")
    year, month, day, hour, minute, second = (int(number) for number in found.groups()[:6])
    possible = 1 <= month <= 12 and 1 <= day <= calendar.monthrange(year, month)[1] if year else False
    if not possible or hour > 23 or minute > 59 or second > 60 or not 1678 < year < 2262:
        raise InputError(f"{text!r} is no date")
    seconds = calendar.timegm((year, month, day, hour, minute, 0)) + second
    fraction = int((found[7] or ".0")[1:].ljust(9, "0")) or int(found[8] or 0)
    if whole_second and not fraction:
        seconds += 1
    return seconds * NS_PER_S + fraction


def time_4(text: str) -> int:
    """Read ``YYYY-MM-DDThh:mm:ss[.f]Z`` [ns since 1970]."""
    if not _TIME_4.fullmatch(text):
        raise InputError(f"{text!r} is not YYYY-MM-DDThh:mm:ssZ")
    return int(as_time(text).astype("int64"))


def data_3(request: Request, arguments: Sequence[str], *, fetch: bool) -> None:
    """Read ``DATA|FETCH [sequence [start [end]]]`` of version 3 into a request, hexadecimal."""
    if len(arguments) > 3:
        raise InputError("expected DATA [sequence [start [end]]]")
    request.sequence, request.short = 0 if fetch else None, False
    if arguments and arguments[0] != "-1":
        # ObsPy counts on without wrapping, so that 1000000 stands for 000000.
        if not re.fullmatch(r"(?:0[xX])?[0-9A-Fa-f]{1,7}", arguments[0]):
            raise InputError(f"{arguments[0]!r} is no sequence number: six hexadecimal digits are expected")
        request.sequence, request.short = int(arguments[0], 16) & SEQUENCE_MASK, True
    request.start = time_3(arguments[1]) if len(arguments) > 1 else None
    request.end = time_3(arguments[2], whole_second=True) if len(arguments) > 2 else None
    request.fetch, request.asked = fetch, True
    _check_window(request)


def window_3(request: Request, arguments: Sequence[str]) -> None:
    """Read ``TIME [start [end]]`` into a request."""
    if len(arguments) > 2:
        raise InputError("expected TIME [start [end]]")
    request.start = time_3(arguments[0]) if arguments else None
    request.end = time_3(arguments[1], whole_second=True) if len(arguments) > 1 else None
    request.sequence, request.short = 0 if arguments else None, False
    request.asked = True
    _check_window(request)


def data_4(request: Request, arguments: Sequence[str]) -> None:
    """Read ``DATA [sequence|ALL [start [end]]]`` of version 4 into a request."""
    if len(arguments) > 3:
        raise InputError("expected DATA [sequence|ALL [start [end]]]")
    request.sequence = None
    if arguments:
        word = arguments[0].upper()
        if word == "ALL":
            request.sequence = 0
        elif word != "-1":
            if not re.fullmatch(r"[0-9]{1,20}", word) or int(word) >= 1 << 64:
                raise InputError(f"{arguments[0]!r} is no sequence number")
            if request.several:
                raise InputError("a sequence number belongs to one station: no wildcards with it")
            request.sequence = int(word)
    request.start = time_4(arguments[1]) if len(arguments) > 1 else None
    request.end = time_4(arguments[2]) if len(arguments) > 2 else None
    if request.start is not None and request.sequence is None:
        request.sequence = 0
    request.asked = True
    _check_window(request)


def _check_window(request: Request) -> None:
    if request.start is not None and request.end is not None and request.end <= request.start:
        raise InputError("the end of the time window is not after its start")
