"""Throw damaged and hostile files at the readers of WIN for some minutes.

Run with ``python benchmarks/fuzz_win.py MINUTES [SEED]``. A file that brings any exception but `FormatError`,
more samples than its bytes can hold, or takes longer than `SLOWEST_S_PER_MB`, is kept in the working folder
and ends the run with exit code 1. The address space is bounded: an allocation out of bounds is a failure.
"""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np

from kaname.core.errors import FormatError
from kaname.core.waveform import Waveform
from kaname.formats import win_codec
from kaname.formats.win import read_win
from kaname.formats.win_channels import read_channel_table
from kaname.formats.win_response import to_inventory
from kaname.formats.win_writer import pack_win

START = np.datetime64("2011-03-11T05:46:18")
MOST_SAMPLES_PER_BYTE = 2
SLOWEST_S_PER_MB = 15.0
ADDRESS_SPACE_BYTES = 6 << 30
HOSTILE_BYTES = 2 << 20
TABLE = b"# \xc9\xbd\n6033 1 0 N.AAKH U 6 27 175.60 m/s 1.00 0.70 0 1.023e-07 36.3726 137.9203 483 0 0 A\n"


def base(rng: np.random.Generator) -> bytes:
    """Return a good file: WIN, WIN32 or tilt, some channels and seconds."""
    form = ("win", "win32")[int(rng.integers(2))]
    tilt = form == "win" and rng.random() < 0.3
    rate = int(rng.choice([1, 2, 3, 20, 100, 200, 4096]))
    blocks = []
    for number in rng.choice(1 << 16, int(rng.integers(1, 6)), replace=False):
        n_second = int(rng.integers(1, 6))
        samples = np.cumsum(rng.integers(-50, 51, n_second * rate) * int(rng.choice([0, 1, 100, 10**5])))
        samples = samples.astype(np.int32)
        if tilt:
            samples[rng.random(samples.size) < 0.1] = win_codec.MISSING
        name = f"{'0101' if form == 'win32' else ''}.{int(number):04X}..HY1"
        late = np.timedelta64(int(rng.integers(3)), "s")
        blocks.append(Waveform(samples[np.newaxis], (name,), START + late, float(rate)))
    return pack_win(blocks, form=form, variant="tilt" if tilt else "plain")


def flip(data: bytearray, rng: np.random.Generator) -> None:
    """Change single bytes."""
    for at in rng.integers(0, len(data), int(rng.integers(1, 20))):
        data[int(at)] = int(rng.choice([0, 1, 0x0F, 0x10, 0x60, 0x7F, 0x80, 0xF0, 0xFF, rng.integers(256)]))


def field(data: bytearray, rng: np.random.Generator) -> None:
    """Write a number that a size may not be."""
    at = int(rng.integers(0, max(1, len(data) - 4)))
    data[at : at + 4] = int(rng.choice([0, 1, 7, 10, 18, len(data), 1 << 31, (1 << 32) - 1])).to_bytes(
        4, "big"
    )


def cut(data: bytearray, rng: np.random.Generator) -> None:
    """Take a piece out."""
    a, b = sorted(int(v) for v in rng.integers(0, len(data) + 1, 2))
    del data[a:b]


def repeat(data: bytearray, rng: np.random.Generator) -> None:
    """Put a piece in a second time, somewhere else."""
    a, b = sorted(int(v) for v in rng.integers(0, len(data) + 1, 2))
    at = int(rng.integers(0, len(data) + 1))
    data[at:at] = data[a:b]


def join(data: bytearray, rng: np.random.Generator) -> None:
    """Put another file behind it."""
    data += base(rng)


def noise(data: bytearray, rng: np.random.Generator) -> None:
    """Overwrite a piece with random bytes."""
    a, b = sorted(int(v) for v in rng.integers(0, len(data) + 1, 2))
    data[a:b] = rng.integers(0, 256, b - a, np.uint8).tobytes()


MUTATIONS: tuple[Callable[[bytearray, np.random.Generator], None], ...] = (
    flip,
    field,
    cut,
    repeat,
    join,
    noise,
)


def hostile(n_byte: int) -> dict[str, bytes]:
    """Return files made to cost time or memory, about so long."""
    stamp = bytes.fromhex("110311144618")
    one = bytes.fromhex("000000121103111446180001000100000000")
    seconds = np.arange(n_byte // 18)
    many = bytearray(one * len(seconds))
    values = np.frombuffer(many, np.uint8).reshape(-1, 18).copy()
    values[:, 14:18] = seconds.astype(">u4").view(np.uint8).reshape(-1, 4)
    channels = np.zeros((n_byte // 8, 8), np.uint8)
    channels[:, :2] = (np.arange(len(channels)) & 0xFFFF).astype(">u2").view(np.uint8).reshape(-1, 2)
    channels[:, 3] = 1
    head = (len(channels) * 8 + 10).to_bytes(4, "big") + stamp
    false_sizes = bytearray()
    while len(false_sizes) < n_byte:
        false_sizes += (
            max(18, n_byte - len(false_sizes) - 9).to_bytes(4, "big")
            + stamp
            + bytes.fromhex("0001000100000000")
        )
    clock = []
    for i in range(0, n_byte // 18):
        minute, second = divmod(i * 7 % 3600, 60)
        clock.append(
            bytes.fromhex(f"00000012110311{i // 3600 % 24:02d}{minute:02d}{second:02d}0001000100000000")
        )
    wide = b"".join(
        bytes.fromhex("20110311144618000000000a0000000a") + i.to_bytes(4, "big") + b"\0\1\0\0\0\0"
        for i in range(n_byte // 26)
    )
    channels2 = channels.copy()
    channels2[:, 3] = 2
    slow = channels[: n_byte // 17].tobytes()
    fast = b"".join(c.tobytes() + b"\0" for c in channels2[: n_byte // 17])
    later = (len(fast) + 10).to_bytes(4, "big") + bytes.fromhex("110311144619") + fast
    changing = (len(slow) + 10).to_bytes(4, "big") + stamp + slow + later
    leaps = b"".join(
        bytes.fromhex(f"00000012{y:02d}0101085960") + bytes.fromhex("0001000100000000")
        for y in [i % 100 for i in range(n_byte // 18)]
    )
    return {
        "every channel changes its rate": changing,
        "leap seconds": leaps,
        "one second again and again": one * (n_byte // 18),
        "one second, always another sample": values.tobytes(),
        "all channels in one second": head + channels.tobytes(),
        "sizes that lie": bytes(false_sizes),
        "seconds in disorder": b"".join(clock),
        "a channel per frame": bytes(4) + wide,
        "zeros": bytes(n_byte),
        "times": stamp * (n_byte // 6),
        "high counts": bytes.fromhex("7fffffff110311144618")
        + bytes.fromhex("0001ffffff00000000") * (n_byte // 9),
    }


def attempt(path: Path, content: bytes, outcomes: Counter[str]) -> str:
    """Read one file every way; return what was wrong, or an empty string."""
    path.write_bytes(content)
    for options in ({}, {"variant": "tilt"}, {"nibbles": "low first", "clock": "UTC"}):
        begin = time.process_time()
        try:
            read = read_win(path, **options)
            outcomes["read"] += 1
            if sum(b.n_sample for b in read.blocks) > MOST_SAMPLES_PER_BYTE * len(content):
                return f"{options}: more samples than bytes can hold"
        except FormatError:
            outcomes["refused"] += 1
        except Exception as error:  # noqa: BLE001  (any other exception is what is looked for)
            return f"{options}: {type(error).__name__}: {error}"
        elapsed = time.process_time() - begin
        if elapsed > 2 + SLOWEST_S_PER_MB * len(content) / 1e6:
            return f"{options}: {elapsed:.1f} s for {len(content)} bytes"
    return ""


def attempt_table(path: Path, content: bytes, outcomes: Counter[str]) -> str:
    """Read one channel table; return what was wrong, or an empty string."""
    path.write_bytes(content)
    try:
        to_inventory(read_channel_table(path))
        outcomes["table read"] += 1
    except FormatError:
        outcomes["table refused"] += 1
    except Exception as error:  # noqa: BLE001  (any other exception is what is looked for)
        return f"channel table: {type(error).__name__}: {error}"
    return ""


def main(minutes: float, seed: int) -> int:
    """Fuzz until the time is over; return the exit code."""
    rng = np.random.default_rng(seed)
    outcomes: Counter[str] = Counter()
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE_BYTES, ADDRESS_SPACE_BYTES))
    end = time.monotonic() + 60 * minutes
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file"
        for name, content in hostile(HOSTILE_BYTES).items():
            begin = time.process_time()
            wrong = attempt(path, content, outcomes)
            elapsed = time.process_time() - begin
            print(f"{name}: {elapsed:.2f} s for three readings of {len(content) / 1e6:.1f} MB")
            if wrong:
                Path("fuzz_win_failure").write_bytes(content)
                print(wrong, file=sys.stderr)
                return 1
        n_file = 0
        while time.monotonic() < end:
            table = rng.random() < 0.1
            data = bytearray(TABLE * int(rng.integers(1, 4)) if table else base(rng))
            for i in rng.integers(0, 2 if table else len(MUTATIONS), int(rng.integers(1, 5))):
                if data:
                    MUTATIONS[int(i)](data, rng)
            wrong = (attempt_table if table else attempt)(path, bytes(data), outcomes)
            n_file += 1
            if wrong:
                Path("fuzz_win_failure").write_bytes(data)
                print(f"file {n_file} of seed {seed}: {wrong}", file=sys.stderr)
                return 1
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{n_file} files, seed {seed}: {dict(outcomes)}; peak memory {peak_mb:.0f} MB; nothing wrong")
    return 0


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0))
