"""Published label lists become a data set: copied as they are, pinned by hash, matched to local videos."""

from __future__ import annotations

import shutil
from pathlib import Path

from datasets import places
from datasets.annotated import Place
from datasets.errors import UserError
from datasets.home import data_home
from datasets.list_folder import ListFolder, list_files, pin, role_files

FORMAT = next(iter(ListFolder.formats))


def import_lists(folder: Path, name: str, videos: Path, mirror: bool, accept_leak: bool) -> ListFolder:
    """Copies the lists of a folder into the data home byte by byte, pins and registers them.

    Raises:
        UserError: a list has a mistake, a clip is trained on and scored, videos are missing, or the name
            is taken; nothing is kept then.
    """
    places.check_name(name)
    if name in places.entries():
        raise UserError(f"data set '{name}' is already registered; remove it first: bench data rm {name}.")
    roles = role_files(folder)
    if "train" not in roles:
        raise UserError(f"{folder} has no training list, such as 'train.csv'; give the folder of the lists.")
    # Read where they are first, so that a mistake names the file of the user and not its copy.
    ListFolder(Place(name, FORMAT, videos, folder.resolve(), mirror, accept_leak)).table()
    target = data_home() / "splits" / name
    try:
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True)
        for path in list_files(folder):
            shutil.copyfile(path, target / path.name)
        pin(target)
        made = places.add(Place(name, FORMAT, videos, target, mirror, accept_leak), ListFolder)
    except OSError as error:
        shutil.rmtree(target, ignore_errors=True)
        raise UserError(f"the lists cannot be copied to {target} ({error.strerror}).") from error
    except UserError:
        shutil.rmtree(target, ignore_errors=True)
        raise
    assert isinstance(made, ListFolder)
    return made
