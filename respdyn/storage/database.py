"""One RocksDB directory: who may open it, how it is written, and what is done when it is damaged.

    DIRECTORY/format    what these files are, and of which version
    DIRECTORY/lock      held by the storage process; names the node that it works for
    DIRECTORY/damaged   there while damage was found that no node has answered yet
    DIRECTORY/rocksdb/  the database

RocksDB is kept on a short lead. After a failed write (disk full, I/O error, read-only) it refuses
all others, and its log may end in half a record; so it is closed and opened anew, which reads the
log critically and is also how it comes back when there is space again. A block that cannot be read
stops it for good as soon as a compaction meets it; so `rebuild` copies what is readable into a
fresh database. What was lost is the business of the node and its peers. Here it is counted, never
guessed and never served.

Opening goes down a ladder and takes the first step that holds:

    1. as after a crash: the log may end in a torn record          nothing is wrong
    2. records of the log that are damaged are left out            damage
    3. files that are damaged are left out (RocksDB's repair)      damage
    4. `StoreError`

The file `damaged` outlives everything until the node, once informed, has written something: that
write is its answer (it starts a new life), and a crash before it must not make us forget.

Left out on purpose: filters and large caches (a node serves from memory and reads this once, from
end to end) and compression (the values are small, and a wrong bit should cost one block).
"""

import fcntl
import os
import shutil
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from rocksdict import (
    BlockBasedOptions,
    Cache,
    Checkpoint,
    DBCompressionType,
    DBRecoveryMode,
    Options,
    Rdict,
    RdictIter,
    ReadOptions,
    WriteBatch,
    WriteOptions,
)

from respdyn.ports import SWEEP
from respdyn.storage.store import RESTORED, StoreError, seal, unseal

FORMAT = b"respdyn storage 1\n"

CHUNK_PAIRS = 4096
CHUNK_BYTES = 1 << 20
CACHE_BYTES = 8 << 20
READAHEAD_BYTES = 2 << 20
PROBE_BYTES = 64
"""How much of a key decides where readable data begins again; more than neighbours share."""
MAX_NOTES = 10
TIDY_DELETES = 1000
"""So many deletions are worth writing what is in memory to a table, which leaves them out."""
DELETES_DENSE = 512
"""So many deletions among `DELETES_WINDOW` neighbours, or half of a table: it is compacted."""
DELETES_WINDOW = 1024


class CorruptError(StoreError):
    """RocksDB could not read what it once wrote."""


class Database:
    """An open database directory. What fails raises `StoreError`, and `heal` is the way back."""

    def __init__(self, directory: str, write_buffer_bytes: int) -> None:
        self.directory = Path(directory)
        self.must_rebuild = False
        """Unreadable data is in it: the next compaction may stop it."""
        self._rocksdb = self.directory / "rocksdb"
        self._fresh = self.directory / "rocksdb.new"
        self._old = self.directory / "rocksdb.old"
        self._mark = self.directory / "damaged"
        self._write_buffer_bytes = write_buffer_bytes
        self._lock = -1
        self._open_rocks: Rdict | None = None
        self._synced = WriteOptions()
        self._synced.sync = True
        self._damages = 0
        self._notes: list[str] = []
        self._is_counted = False
        self._deletes = 0

    # Opening, closing

    def lock(self, owner: int) -> int:
        """Take the directory, making it if need be, for the node with process id `owner`.

        Returns 0, or the process id of the node that has it (-1: unknown).
        """
        with self._system_errors():
            if not self.directory.exists():
                self.directory.mkdir(mode=0o700)
            if self._lock < 0:
                flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
                self._lock = os.open(self.directory / "lock", flags, 0o600)
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                text = os.pread(self._lock, 32, 0).strip()
                return int(text) if text.isdigit() else -1
            os.ftruncate(self._lock, 0)
            os.pwrite(self._lock, b"%d\n" % owner, 0)
            return 0

    def open(self) -> None:
        """Open what `lock` took."""
        assert self._lock >= 0
        with self._system_errors():
            self._check_format()
            self._finish_rebuild()
            if self._mark.exists():
                self._damage(self._mark.read_text().strip() or "found earlier")
        self._open_rocks = self._climb_down(self._rocksdb)

    def close(self) -> None:
        """Close. What was written is in the system's hands already, synced or not."""
        self._close_rocks()
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def heal(self) -> None:
        """Make it writable again after a failure, if the cause is gone."""
        self._close_rocks()
        with self._system_errors():
            self._finish_rebuild()
        self._open_rocks = self._climb_down(self._rocksdb)
        if self.must_rebuild:
            self.rebuild()

    def _check_format(self) -> None:
        path = self.directory / "format"
        if not path.exists():
            _write_file(path, FORMAT)
        elif (found := path.read_bytes()) != FORMAT:
            raise self._error(f"its format is {found[:40]!r}; this version reads {FORMAT!r}")

    def _climb_down(self, path: Path) -> Rdict:
        """The database at `path`, opened by the first step of the ladder that holds."""
        if not _is_headless(path):
            try:
                return self._open_with(path, DBRecoveryMode.tolerate_corrupted_tail_records())
            except CorruptError as error:
                self._damage(f"log: {error}")
                self._remember()
            try:
                return self._open_with(path, DBRecoveryMode.skip_any_corrupted_record())
            except CorruptError:
                pass
        self._damage("files: they need RocksDB's repair")
        self._remember()
        with _rocksdb_errors(self.directory):
            Rdict.repair(str(path), self._options(DBRecoveryMode.skip_any_corrupted_record()))
        return self._open_with(path, DBRecoveryMode.skip_any_corrupted_record())

    def _open_with(self, path: Path, mode: DBRecoveryMode) -> Rdict:
        with _rocksdb_errors(self.directory):
            return Rdict(str(path), self._options(mode))

    def _options(self, mode: DBRecoveryMode) -> Options:
        blocks = BlockBasedOptions()
        blocks.set_block_cache(Cache(CACHE_BYTES))
        options = Options(raw_mode=True)
        options.create_if_missing(True)
        options.set_block_based_table_factory(blocks)
        options.set_compression_type(DBCompressionType.none())
        options.set_wal_recovery_mode(mode)
        options.set_write_buffer_size(self._write_buffer_bytes)
        options.set_max_write_buffer_number(4)
        options.set_max_background_jobs(2)
        options.add_compact_on_deletion_collector_factory(DELETES_WINDOW, DELETES_DENSE, 0.5)
        options.set_level_zero_slowdown_writes_trigger(40)
        options.set_level_zero_stop_writes_trigger(80)
        # Written back as it comes, so that the fsync once a second finds little to do.
        options.set_wal_bytes_per_sync(1 << 20)
        options.set_bytes_per_sync(1 << 20)
        options.set_keep_log_file_num(2)
        options.set_max_log_file_size(1 << 20)
        options.set_stats_dump_period_sec(0)
        return options

    def _close_rocks(self) -> None:
        rocks, self._open_rocks = self._open_rocks, None
        if rocks is not None:
            try:
                with _rocksdb_errors(self.directory):
                    rocks.close()
            except StoreError:
                pass  # Closed it is; whether it is whole the next opening shows.

    # Writing, reading

    def write(self, batches: list[list[bytes]], sync: bool) -> None:
        """Write all these flat pairs or none; with `sync`, they and all before them for good."""
        group = WriteBatch(raw_mode=True)
        put = group.put
        for batch in batches:
            for i in range(0, len(batch), 2):
                key = batch[i]
                value = batch[i + 1]
                if key[:1] == SWEEP:
                    group.delete_range(key[1:], value)
                    self._deletes += 1
                elif value:
                    put(key, seal(key, value))
                else:
                    group.delete(key)
                    self._deletes += 1
        try:
            with _rocksdb_errors(self.directory):
                self._rocks().write(group, self._synced if sync else None)
        except CorruptError:
            self.must_rebuild = True
            raise

    def tidy(self) -> None:
        """Give back the space of what was deleted, in the background.

        The log and what is in memory hold every version until a table is made of them, which may be
        hours after the last write.
        """
        if self._deletes >= TIDY_DELETES:
            self._deletes = 0
            with _rocksdb_errors(self.directory):
                self._rocks().flush(False)

    def sync(self) -> None:
        """Bring all that was written to stable storage."""
        with _rocksdb_errors(self.directory):
            self._rocks().flush_wal(True)

    def copy(self, target: Path) -> None:
        """Make a data directory of its own at `target` with all that was written.

        Files that RocksDB never changes again are shared. The copy bears the mark of damage, so a
        node that is started from it takes up a new life: it cannot know what was said since.
        """
        partial = target.with_name(target.name + ".partial")
        with self._system_errors():
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir(mode=0o700, parents=True)
        with _rocksdb_errors(self.directory):
            Checkpoint(self._rocks()).create_checkpoint(str(partial / "rocksdb"))
        with self._system_errors():
            _write_file(partial / "format", FORMAT)
            _write_file(partial / "damaged", f"{RESTORED}\n".encode())
            _sync_directory(partial)
            os.rename(partial, target)
            _sync_directory(target.parent)

    def estimate(self) -> int:
        """About how many pairs there are."""
        return self._rocks().property_int_value("rocksdb.estimate-num-keys") or 0

    def scan(self) -> Generator[list[bytes], None, None]:
        """All intact pairs in key order, in flat lists. Damage is counted, and to be rebuilt.

        Close it before anything else is done here: RocksDB stays open under it.
        """
        for chunk in self._scan_sealed():
            pairs: list[bytes] = []
            for i in range(0, len(chunk), 2):
                key = chunk[i]
                value = unseal(key, chunk[i + 1])
                if value is None:
                    self._scan_damage("a record with a wrong checksum")
                else:
                    pairs += (key, value)
            if pairs:
                yield pairs
        self._is_counted = self.must_rebuild

    def _scan_sealed(self) -> Iterator[list[bytes]]:
        cursor: RdictIter | None = self._cursor()
        key = b""
        while cursor is not None:
            chunk: list[bytes] = []
            chunk_bytes = 0
            while cursor.valid():
                key = cursor.key()
                sealed: bytes = cursor.value()
                chunk += (key, sealed)
                chunk_bytes += len(sealed)
                cursor.next()
                if chunk_bytes >= CHUNK_BYTES or len(chunk) >= 2 * CHUNK_PAIRS:
                    yield chunk
                    chunk = []
                    chunk_bytes = 0
            yield chunk
            if not (trouble := _trouble(cursor)):
                return
            self._scan_damage(f"a block: {trouble}")
            cursor = self._seek_readable(key)

    def _cursor(self, key: bytes = b"") -> RdictIter:
        options = ReadOptions()
        options.set_readahead_size(READAHEAD_BYTES)
        cursor = self._rocks().iter(options)
        cursor.seek(key)
        return cursor

    def _seek_readable(self, after: bytes) -> RdictIter | None:
        """A cursor on the first readable key behind the unreadable ones that follow `after`.

        Keys are taken as large numbers: steps that double find a place that can be read, bisection
        the nearest one. Each probe takes a new cursor: one that has met damage may see it where
        there is none. None if nothing more can be read.
        """
        last = (1 << 8 * PROBE_BYTES) - 1
        start = int.from_bytes(after[:PROBE_BYTES].ljust(PROBE_BYTES, b"\0"), "big")

        def probe(position: int) -> RdictIter | None:
            key = position.to_bytes(PROBE_BYTES, "big").rstrip(b"\0")
            cursor = self._cursor(key)
            return None if _trouble(cursor) else cursor

        unreadable = start
        readable = min(start + 1, last)
        while (found := probe(readable)) is None:
            if readable == last:
                return None
            unreadable = readable
            readable = min(2 * readable - start, last)
        while readable - unreadable > 1:
            middle = (readable + unreadable) // 2
            cursor = probe(middle)
            if cursor is None:
                unreadable = middle
            else:
                readable, found = middle, cursor
        return found

    def check(self, start: bytes, limit_bytes: int) -> tuple[bytes, int, list[tuple[bytes, bytes]]]:
        """Look at about so many bytes of pairs from the name `start` on.

        Returns where to go on (b"": that was the end), how many pairs were looked at, and the
        ranges of names in which something is damaged. Unreadable blocks are to be rebuilt.
        """
        cursor: RdictIter | None = self._cursor(start)
        count = size = 0
        damaged_ranges: list[tuple[bytes, bytes]] = []
        key = start
        while cursor is not None and size < limit_bytes:
            if cursor.valid():
                key = cursor.key()
                sealed: bytes = cursor.value()
                count += 1
                size += len(key) + len(sealed)
                if unseal(key, sealed) is None:
                    damaged_ranges.append((key, key + b"\0"))
                cursor.next()
                continue
            if not _trouble(cursor):
                return b"", count, damaged_ranges
            self.must_rebuild = True
            cursor = self._seek_readable(key)
            end = cursor.key() if cursor is not None and cursor.valid() else b"\xff" * PROBE_BYTES
            damaged_ranges.append((key, end))
            key = end
        return (key + b"\0" if cursor is not None else b""), count, damaged_ranges

    # Damage

    def rebuild(self) -> None:
        """Copy what is readable and intact into a new database, and go on with that one."""
        self._remember()
        with self._system_errors():
            shutil.rmtree(self._fresh, ignore_errors=True)
        copy = self._open_with(self._fresh, DBRecoveryMode.absolute_consistency())
        try:
            with closing(self.scan()) as scan:
                for pairs in scan:
                    group = WriteBatch(raw_mode=True)
                    for i in range(0, len(pairs), 2):
                        group.put(pairs[i], seal(pairs[i], pairs[i + 1]))
                    with _rocksdb_errors(self.directory):
                        copy.write(group)
            with _rocksdb_errors(self.directory):
                copy.flush(True)
        finally:
            with _rocksdb_errors(self.directory):
                copy.close()
        self._close_rocks()
        with self._system_errors():
            os.rename(self._rocksdb, self._old)
            self._finish_rebuild()
        self._open_rocks = self._climb_down(self._rocksdb)
        self.must_rebuild = self._is_counted = False

    def take_damages(self) -> tuple[int, list[str]]:
        """How many damages were found since the last call, and what the first ones are."""
        taken = self._damages, self._notes
        self._damages, self._notes = 0, []
        return taken

    def forgive(self) -> None:
        """The node knows of the damage and has written its answer: forget it."""
        if self._mark.exists():
            self.sync()
            with self._system_errors():
                self._mark.unlink(missing_ok=True)

    def _finish_rebuild(self) -> None:
        """Put a finished copy in its place, and sweep up an unfinished one."""
        if self._old.exists() and self._fresh.exists() and not self._rocksdb.exists():
            os.rename(self._fresh, self._rocksdb)
            _sync_directory(self.directory)
        shutil.rmtree(self._fresh, ignore_errors=True)
        shutil.rmtree(self._old, ignore_errors=True)

    def _scan_damage(self, what: str) -> None:
        self.must_rebuild = True
        if not self._is_counted:
            self._damage(what)

    def _damage(self, what: str) -> None:
        self._damages += 1
        if len(self._notes) < MAX_NOTES:
            self._notes.append(what)

    def _remember(self) -> None:
        """Leave the mark: from here on the evidence may go."""
        with self._system_errors():
            if not self._mark.exists():
                _write_file(self._mark, "; ".join(self._notes).encode() + b"\n")

    # Errors

    def _rocks(self) -> Rdict:
        if self._open_rocks is None:
            raise self._error("it could not be opened again")
        return self._open_rocks

    def _error(self, reason: str) -> StoreError:
        return StoreError(f"data directory {self.directory}: {reason}")

    @contextmanager
    def _system_errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise self._error(error.strerror or str(error)) from error


@contextmanager
def _rocksdb_errors(where: Path) -> Iterator[None]:
    """Around one call of the binding, which raises bare `Exception`s with RocksDB's text."""
    try:
        yield
    except StoreError:
        raise
    except Exception as error:
        text = str(error)
        kind = CorruptError if text.startswith("Corruption") else StoreError
        raise kind(f"data directory {where}: {text}") from error


def _is_headless(path: Path) -> bool:
    """Whether it has data but not the file that leads to them: RocksDB would take it for empty."""
    if (path / "CURRENT").exists():
        return False
    return any(path.glob("*.sst")) or any(path.glob("*.log"))


def _trouble(cursor: RdictIter) -> str:
    """Why the cursor stopped: "" at the end of the data."""
    try:
        with _rocksdb_errors(Path()):
            cursor.status()
    except StoreError as error:
        return str(error.__cause__)
    return ""


def _write_file(path: Path, content: bytes) -> None:
    """A small file, whole and on stable storage."""
    new = path.with_suffix(".new")
    with open(new, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.rename(new, path)
    _sync_directory(path.parent)


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
