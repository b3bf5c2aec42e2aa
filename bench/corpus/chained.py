"""Ogg and FLAC files that hold several streams one after another: decoders give the first alone, and say nothing."""

import mmap
from pathlib import Path

PAGE, BEGINS = b"OggS\0", 2  # how an Ogg page begins; its flag in the first page of a stream
FLAC = (b"fLaC\0\0\0\x22", b"fLaC\x80\0\0\x22")  # how a FLAC stream begins: with a STREAMINFO of 34 bytes


def is_chained(path: Path) -> bool:
    """Whether another stream follows the first; streams side by side (audio beside video) are none."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        if data.find(PAGE, 0, len(PAGE)) < 0:
            first = min((place for marker in FLAC if (place := data.find(marker)) >= 0), default=len(data))
            return any(data.find(marker, first + 1) >= 0 for marker in FLAC)
        place, beginning = 0, True
        while 0 <= place <= len(data) - 27:
            begins = bool(data[place + 5] & BEGINS)
            if begins and not beginning:
                return True
            beginning = begins
            count = data[place + 26]
            place = data.find(PAGE, place + 27 + count + sum(data[place + 27 : place + 27 + count]))
        return False
