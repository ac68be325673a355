"""`answers.parquet`: what every trial answered on every scored clip, for statistics of one's own."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bench.records import Record
from bench.render.results_csv import place

GIVEN = ("section", "entry", "data", "labels", "seed", "trial")
"""The columns that are the same in all rows of a trial, as in `results.csv`."""


def answers_parquet(records: Sequence[Record]) -> bytes:
    """The file as bytes: one row per finished trial and clip, with the trial's columns of `results.csv`.

    `clip` is the key, `group` its source video, `label` its class, `predicted` the answered class, -1 where
    no decoder could read the clip.  Texts are numbered and zstd sees the repetition, so that a row of many
    trials on the same clips takes less than a byte.
    """
    tables = [_rows(record) for record in sorted(records, key=place) if record.predicted is not None]
    sink = pa.BufferOutputStream()
    whole = pa.concat_tables(tables).unify_dictionaries() if tables else _SCHEMA.empty_table()
    # Without Arrow's own schema, readers get plain texts instead of categories.
    pq.write_table(whole, sink, compression="zstd", compression_level=19, store_schema=False)
    return bytes(sink.getvalue().to_pybytes())


_TEXT = pa.dictionary(pa.int32(), pa.string())
_SCHEMA = pa.schema(
    [
        *((name, pa.int64() if name == "seed" else _TEXT) for name in GIVEN),
        ("clip", _TEXT),
        ("group", _TEXT),
        ("label", pa.int16()),
        ("predicted", pa.int16()),
    ]
)


def _rows(record: Record) -> pa.Table:
    """The rows of one trial."""
    planned, scored = record.planned, record.scored
    assert scored is not None and record.predicted is not None
    data, _, labels = planned.cell.rpartition("@")
    given = {
        "section": planned.section,
        "entry": planned.entry,
        "data": data,
        "labels": labels,
        "trial": record.spec.id,
    }
    count = len(scored.clips)
    columns = {
        name: pa.DictionaryArray.from_arrays(pa.array(np.zeros(count, np.int32)), pa.array([text]))
        for name, text in given.items()
    }
    columns |= {
        "seed": pa.array(np.full(count, planned.seed, np.int64)),
        "clip": pa.array(scored.clips).dictionary_encode(),
        "group": pa.array(scored.groups).dictionary_encode(),
        "label": pa.array(scored.labels.astype(np.int16)),
        "predicted": pa.array(record.predicted.astype(np.int16)),
    }
    return pa.table([columns[name] for name in _SCHEMA.names], schema=_SCHEMA)
