"""Zip files, and NumPy's npz files, that are the same bytes whenever their content is the same.

What Python and NumPy write of themselves holds the time of writing (Keras), or a version of the zip format that depends
on the version of Python (np.savez).
"""

from __future__ import annotations

from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile, ZipInfo

import numpy as np
import numpy.typing as npt


def write_zip(path: Path, members: Mapping[str, bytes], *, compressed: bool = False) -> None:
    """Write a zip file.

    Args:
        path: Where to.
        members: Content of each member by its name.
        compressed: Whether the members are deflated.

    Raises:
        OSError: It cannot be written.
    """
    with ZipFile(path, "w") as file:
        for name, content in members.items():
            member = ZipInfo(name)  # whose date is always the same, in 1980
            file.writestr(member, content, ZIP_DEFLATED if compressed else ZIP_STORED)


def write_npz(path: Path, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
    """Write a compressed npz file, which `np.load` reads.

    Args:
        path: Where to.
        arrays: Each array by its name; none of objects.

    Raises:
        OSError: It cannot be written.
    """
    members = {}
    for name, array in arrays.items():
        buffer = BytesIO()
        np.lib.format.write_array(buffer, array, allow_pickle=False)
        members[f"{name}.npy"] = buffer.getvalue()
    write_zip(path, members, compressed=True)
