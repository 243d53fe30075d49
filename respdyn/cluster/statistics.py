"""What a node counts about Dynamo's work: plain integers, read by INFO and the exposition."""

from typing import Final

NAMES: Final = (
    "reads_coordinated", "writes_coordinated", "commands_forwarded", "digest_mismatches",
    "read_repairs", "conflicts_covered", "speculative_reads", "quorum_failures", "timeouts",
    "overloads", "transactions", "transactions_too_large", "keyspace_hits", "keyspace_misses",
    "siblings_warned", "frames_sent", "frames_received", "frames_dropped", "records_received",
    "clocks_refused", "peers_lost", "scrubs", "scrub_records", "scrub_damages",
    "scrub_disk_damages", "exchanges", "exchange_differences", "exchange_keys_repaired",
    "pieces_matched", "big_reads_matched", "big_reads_refused",
    "records_filled", "sloppy_writes", "sloppy_reads", "copies_unkept", "hints_stored",
    "hints_delivered", "hints_dropped", "tombstones_collected", "expired_reduced",
    "expired_dropped", "partitions_given_up", "disks_went_back", "writes_held", "clients_paced",
    "waits_refused",
    "statements_unknown", "questions_unknown", "strangers_ignored",
    "logins_delayed", "counters_used_twice", "writes_sent_on", "claims_refused", "proofs_refused",
    "intervals_refused", "record_clocks_refused", "messages_delivered", "messages_dropped",
    "scripts_run", "scripts_begun_again", "scripts_stopped", "script_processes_lost",
)


class Counters:
    """Totals since the node started. Each name is a field of INFO's `# Dynamo` section."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """All to zero (CONFIG RESETSTAT)."""
        self.reads_coordinated = 0
        self.writes_coordinated = 0
        self.commands_forwarded = 0
        self.digest_mismatches = 0
        self.read_repairs = 0
        self.conflicts_covered = 0
        self.speculative_reads = 0
        self.quorum_failures = 0
        self.timeouts = 0
        self.overloads = 0
        self.transactions = 0
        self.transactions_too_large = 0
        self.keyspace_hits = 0
        self.keyspace_misses = 0
        self.siblings_warned = 0
        self.frames_sent = 0
        self.frames_received = 0
        self.frames_dropped = 0
        self.records_received = 0
        self.clocks_refused = 0
        self.peers_lost = 0
        self.scrubs = 0                 # walks over all records
        self.scrub_records = 0          # checked
        self.scrub_damages = 0          # that failed their checksum in memory
        self.scrub_disk_damages = 0     # ranges that the store could not read, written once more
        self.exchanges = 0
        self.exchange_differences = 0
        self.exchange_keys_repaired = 0
        self.pieces_matched = 0
        self.big_reads_matched = 0
        self.big_reads_refused = 0
        self.records_filled = 0
        self.sloppy_writes = 0          # with a stand-in among those that were sent it
        self.sloppy_reads = 0           # with a stand-in among those that were read
        self.copies_unkept = 0          # for owners that were missing, with no node to stand in
        self.hints_stored = 0           # writes that became part of a hint here
        self.hints_delivered = 0
        self.hints_dropped = 0          # too old, damaged, or for no owner
        self.tombstones_collected = 0
        self.expired_dropped = 0        # expired values that left nothing
        self.expired_reduced = 0
        self.partitions_given_up = 0
        self.logins_delayed = 0         # refused unread, after wrong ones of the same address
        self.scripts_run = 0
        self.scripts_begun_again = 0    # a record had changed, or the process had died
        self.scripts_stopped = 0        # took too long or too much memory, or were killed
        self.script_processes_lost = 0
        self.counters_used_twice = 0    # refused: a record shows dots that only this node mints
        self.claims_refused = 0         # contexts that cover what was not minted yet, see `ends`
        self.proofs_refused = 0         # that prove nothing, or of too many actors
        self.intervals_refused = 0      # contexts of too many, of peers, or that a write would make
        self.record_clocks_refused = 0  # records of a time to come
        self.messages_delivered = 0     # of PUBLISH, and keyspace events, to clients here
        self.messages_dropped = 0       # of peers, and events: too many waited here already
        self.strangers_ignored = 0      # statements of peers that are no members
        self.disks_went_back = 0        # this node's data was older than what others had seen of it
        self.writes_sent_on = 0         # to stand-ins, since an owner that had them was cut off
        self.waits_refused = 0          # clients that would wait in a command: too many do
        self.writes_held = 0            # times that a client's write waited for a disk or a peer
        self.clients_paced = 0          # times that a client was read no further (`pacing`)
        self.statements_unknown = 0     # of peers of a newer version; passed over
        self.questions_unknown = 0      # the same; answered with nothing

    def rows(self) -> list[tuple[str, int]]:
        """Each name with its total. Read by name: once compiled there is no `__dict__`."""
        return [(name, getattr(self, name)) for name in NAMES]

    def refused(self) -> int:
        """What peers have claimed that cannot be true."""
        return self.claims_refused + self.proofs_refused + self.record_clocks_refused

    def looked_up(self, was_there: bool) -> None:
        """A command has read a key."""
        if was_there:
            self.keyspace_hits += 1
        else:
            self.keyspace_misses += 1
