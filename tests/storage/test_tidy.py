"""What is deleted gives its space on the disk back, without a write that makes it."""

import time
from pathlib import Path

from respdyn.storage.database import TIDY_DELETES, Database


def size(directory: Path) -> int:
    return sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())


def test_deleted_data_gives_its_space_back(tmp_path: Path) -> None:
    database = Database(str(tmp_path / "data"), 32 << 20)
    database.lock(1)
    database.open()
    try:
        empty = size(tmp_path)
        names = [b"%08d" % number for number in range(5 * TIDY_DELETES)]
        database.write([[part for name in names for part in (name, b"v" * 1000)]], True)
        database.tidy()                     # nothing is deleted: nothing is done
        full = size(tmp_path)
        assert full > empty + 1000 * len(names)
        database.write([[part for name in names for part in (name, b"")]], True)
        database.tidy()
        until = time.monotonic() + 30
        while size(tmp_path) > empty + (full - empty) // 10 and time.monotonic() < until:
            time.sleep(0.05)
        assert size(tmp_path) <= empty + (full - empty) // 10
        assert database.estimate() == 0
    finally:
        database.close()
