"""Who can read a video file: decord, PyAV and torchcodec, one file each behind one small interface.

Only these files import a video library for reading, and only when a clip is read.  Which decoder is believed
is decided by `datasets.video_io`.
"""

from __future__ import annotations

from collections.abc import Mapping

from datasets.decoders import with_decord, with_pyav, with_torchcodec
from datasets.decoders.interface import Decoder

DEFAULT = with_decord.DECODER.name
"""Whom a clip is given to first, unless somebody says otherwise."""

DECODERS: Mapping[str, Decoder] = {
    each.name: each for each in (with_decord.DECODER, with_pyav.DECODER, with_torchcodec.DECODER)
}
"""All decoders by name, in the order in which they are asked."""


def order(first: str = DEFAULT) -> tuple[str, ...]:
    """The names of all decoders, `first` in front.

    Raises:
        KeyError: there is no such decoder.
    """
    return (DECODERS[first].name, *(name for name in DECODERS if name != first))
