"""Hi-net, F-net and the other networks that NIED gives out in WIN32, through HinetPy and the user's account.

NIED allows 60 minutes and 12,000 channel-minutes per request, and of F-net files of about 55 MB; none is made
of more, and each is settled by itself. Times are Japan Standard Time there and UTC here.
"""

from __future__ import annotations

import importlib
import shutil
import subprocess
import zipfile
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from kaname.archive.fetch import Piece, days
from kaname.archive.fetch_http import FetchError, login_of
from kaname.core.errors import FormatError, InputError, MissingDependencyError
from kaname.core.provenance import digest
from kaname.core.time import isoformat
from kaname.formats.miniseed import write_miniseed
from kaname.formats.win import read_win
from kaname.formats.win_channels import read_channel_table

MOST_MINUTES = 60
MOST_CHANNEL_MINUTES = 12_000
MOST_FNET_CHANNEL_MINUTES = 6_200
"""What keeps a file of F-net, whose samples take more room, within 55 MB."""
_FNET = ("0103", "0103A")
_JST = timedelta(hours=9)
_SELECTED = ("0101", *_FNET)
"""Networks of which stations can be selected; of the others all channels come."""


class Hinet:
    """A session with NIED.

    Parameters
    ----------
    client
        HinetPy's ``Client``; by default one is logged in with ``KANAME_HINET_USER`` and its password (see
        `kaname.archive.fetch_http.login_of`).

    Raises
    ------
    MissingDependencyError
        When HinetPy or NIED's win32tools are not installed.
    InputError
        When no user is known.
    FetchError
        When NIED refuses the login.
    """

    def __init__(self, client: Any = None) -> None:
        try:
            self._package = importlib.import_module("HinetPy")
        except ImportError as error:
            raise MissingDependencyError(
                "Hi-net is fetched by HinetPy: pip install HinetPy, and put NIED's win32tools into PATH"
            ) from error
        self.client = client or self._login()

    def _login(self) -> Any:
        login = login_of("hinet")
        if login is None:
            raise InputError(
                "set KANAME_HINET_USER and KANAME_HINET_PASSWORD to your account with NIED Hi-net"
            )
        if shutil.which("catwin32") is None:  # HinetPy would notice after NIED has done its work
            raise MissingDependencyError(
                "catwin32 is not in PATH; HinetPy needs it: install win32tools from NIED Hi-net"
            )
        try:
            return self._package.Client(*login)
        except _FOREIGN as error:
            raise FetchError(f"NIED Hi-net refuses the login of {login[0]}: {error}") from error

    def channels(self, network: str) -> tuple[int, list[str]]:
        """Return how many channels a request gives, and the stations selected in the account, where one can.

        Raises
        ------
        InputError
            When there is no such network.
        """
        known = importlib.import_module("HinetPy.header").NETWORK
        if network not in known:
            raise InputError(f"no network {network!r} at NIED; known are {', '.join(sorted(known))}")
        if network in _SELECTED:
            selected = sorted(s.name for s in self.client.get_selected_stations(network))
            if selected:
                return 3 * len(selected), selected
        return int(known[network].channels), []

    def pieces(
        self, network: str, start: np.datetime64, end: np.datetime64, *, stations: Sequence[str] = ()
    ) -> list[Piece]:
        """Return requests of as many minutes as NIED allows.

        Parameters
        ----------
        network
            NIED's code, such as ``0101`` (Hi-net) or ``0103`` (F-net).
        start, end
            UTC, whole minutes.
        stations
            Stations to select in the account, such as ``N.AAKH``; when none is given it keeps its selection.
        """
        minute = np.timedelta64(60, "s")
        for time in (start, end):
            if (time - time.astype("datetime64[m]").astype(time.dtype)) != np.timedelta64(0, "ns"):
                raise InputError(f"NIED gives whole minutes, found {isoformat(time)}")
        if stations:
            if network not in _SELECTED:
                raise InputError(f"stations can be selected of {', '.join(_SELECTED)}, not of {network}")
            self.client.select_stations(network, list(stations))
        n_channel, selected = self.channels(network)
        most = MOST_FNET_CHANNEL_MINUTES if network in _FNET else MOST_CHANNEL_MINUTES
        minutes = min(MOST_MINUTES, most // n_channel)
        if minutes < 1:
            raise InputError(
                f"{n_channel} channels exceed what NIED gives in a minute; select fewer stations"
            )
        return [
            self._piece(network, selected, low, round((high - low) / minute), minutes)
            for low, high in days(start, end, minutes / 60)
        ]

    def _piece(self, network: str, selected: list[str], start: np.datetime64, span: int, most: int) -> Piece:
        name = f"Hi-net {network} {isoformat(start, decimals=0)}, {span} min"
        key = digest("hinet", network, selected, str(start), span)

        def get(folder: Path) -> Path | None:
            own = folder / key
            own.mkdir()
            data, table = own / "data.cnt", own / "channels.ch"
            jst = pd.Timestamp(start).to_pydatetime() + _JST
            try:
                found = self.client.get_continuous_waveform(
                    network, jst, span, max_span=most, data=str(data), ctable=str(table), threads=1
                )
            except _FOREIGN as error:
                raise FetchError(f"{name}: {type(error).__name__}: {error}") from error
            if not found or not found[0]:
                raise FetchError(f"{name}: NIED gave nothing; its queue may be full, try again later")
            return _as_miniseed(data, table, folder / f"{key}.mseed", name)

        return Piece(name, key, get)


_FOREIGN = (
    *(OSError, ValueError, TypeError, RuntimeError, LookupError, AttributeError),
    *(subprocess.SubprocessError, zipfile.BadZipFile),  # of catwin32, and of what NIED sends
)
"""HinetPy publishes no list of what it raises."""


def _as_miniseed(data: Path, table: Path, out: Path, name: str) -> Path:
    """Give the channels their names and write what the archive takes; damage makes the request a failed one.

    The identifiers follow from the channel table that comes with the data: `kaname.formats.win_channels`.
    """
    read = read_win(data, channels=read_channel_table(table))
    damaged = [row["message"] for row in read.failures if row["error"] != "Warning"]
    if damaged:
        raise FormatError(f"{name}: {damaged[0]}" + (f", and {len(damaged) - 1} more" if damaged[1:] else ""))
    return write_miniseed(read.blocks, out)
