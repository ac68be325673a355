"""Which source video a clip was cut from, as the names of the public data sets tell it."""

from __future__ import annotations

import re

SUFFIX = re.compile(r"\.[A-Za-z][A-Za-z0-9]{1,4}$")
"""A file's extension; the dots of odd clip names are followed by other things."""

_PATTERNS = (
    # FineGym: <video>_E_<event start>_<end>[_A_<start>_<end>]; read from the right, video ids may hold "_".
    re.compile(r"(?P<source>.+)_E_\d{6}_\d{6}(?:_A_\d{4}_\d{4})?"),
    # UCF101: v_<class>_g<source>_c<clip>.  Groups are numbered within a class.
    re.compile(r"(?P<source>v_\w+_g\d+)_c\d+", re.IGNORECASE),
    # HMDB51: <video>_<class>_<body part>_<camera>_np<people>_<side>_<quality>_<clip>.  Where the class begins
    # is not in the name, so it stays in; the reader of the set knows the class and takes it off.
    re.compile(r"(?P<source>.+)_[fuhl]_[cn]m_np\d+_(?:fr|ba|le|ri)_(?:bad|med|goo)_\d+"),
    # Kinetics: <YouTube id>_<start>_<end> in seconds.
    re.compile(r"(?P<source>.{11})_\d{6}_\d{6}"),
    # Diving48: <YouTube id>_<clip>.
    re.compile(r"(?P<source>.{11})_\d{5}"),
)


def source_of(key: str) -> str:
    """The source video of a clip: what its file name says, or the whole key where it says nothing."""
    stem = SUFFIX.sub("", key.rpartition("/")[2])
    for pattern in _PATTERNS:
        if found := pattern.fullmatch(stem):
            return found["source"]
    return key
