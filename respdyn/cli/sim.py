"""`respdyn sim`: run seeds, report those that fail, each with its story and how to see it again.

Seeds are independent, so they are spread over processes. Exit status 1 means that a seed failed.
"""

import argparse
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor

from respdyn.sim.plan import FAULTS, Plan, draw
from respdyn.sim.report import Outcome
from respdyn.sim.run import run as run_plan

_PROGRESS_S = 5.0
_MOST_FAILURES = 5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the command takes."""
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--seeds", metavar="A..B", help="run these seeds, both ends included")
    which.add_argument("--seed", type=int, metavar="S", help="run one seed and print its outcome")
    parser.add_argument("--nodes", type=int, metavar="K", help="so many nodes, whatever is drawn")
    parser.add_argument(
        "--faults", metavar="LIST",
        help="only these faults, separated by commas, or none: " + " ".join(FAULTS),
    )
    parser.add_argument(
        "--operators", nargs="?", const="yes", choices=("yes", "no"),
        help="with operators who join, replace and remove nodes meanwhile, or without, whatever is"
             " drawn",
    )
    parser.add_argument(
        "--collections", action="store_true",
        help="with clients that work on sets, hashes, sorted sets, lists and counters as well",
    )
    parser.add_argument(
        "--scripts", action="store_true",
        help="with clients that send scripts, whose process dies now and then, as well",
    )
    parser.add_argument("--jobs", type=int, default=1, metavar="J", help="processes (default 1)")
    parser.add_argument(
        "--story", choices=("key", "all", "none"), default="key",
        help="of a failing seed: what concerns the key (default), everything, nothing",
    )


def run(args: argparse.Namespace) -> int:
    """Run the command; its exit status."""
    try:
        seeds = [args.seed] if args.seed is not None else _range(args.seeds)
        changes = _changes(args)
    except ValueError as wrong:
        print(f"respdyn sim: {wrong}")
        return 2
    plans = (_plan(seed, changes, args.operators, args.collections, args.scripts) for seed in seeds)
    begun_s = shown_s = time.monotonic()
    done = deliveries = virtual_ms = 0
    failed: list[Outcome] = []
    counts: dict[str, int] = {}
    for outcome in _outcomes(plans, args.jobs, args.story == "all"):
        done += 1
        deliveries += outcome.deliveries
        virtual_ms += outcome.virtual_ms
        for name, count in outcome.counts.items():
            counts[name] = counts.get(name, 0) + count
        if outcome.failure:
            failed.append(outcome)
            _show(outcome, args.story != "none" and len(failed) <= _MOST_FAILURES)
        now_s = time.monotonic()
        if now_s - shown_s > _PROGRESS_S and args.seed is None:
            shown_s = now_s
            print(f"{done} of {len(seeds)} seeds, {len(failed)} failed", flush=True)
    took_s = time.monotonic() - begun_s
    if args.seed is not None and not failed:
        print("\n".join(outcome.plan.lines()))
        print(f"digest {outcome.digest}")
    print(" ".join(f"{name}={count};" for name, count in sorted(counts.items())))
    print(
        f"{done} seeds, {len(failed)} failed; {virtual_ms / 1000:.0f} s of virtual time,"
        f" {deliveries} deliveries in {took_s:.1f} s: {deliveries / took_s:.0f}/s"
    )
    if failed:
        print("failed: " + " ".join(str(outcome.plan.seed) for outcome in failed))
    return 1 if failed else 0


def _plan(
    seed: int, changes: tuple[int | None, tuple[str, ...] | None], operators: str | None,
    collections: bool, scripts: bool,
) -> Plan:
    plan = draw(seed)
    if operators is not None:
        plan = plan.without_operators()
    plan = plan.changed(*changes)
    plan = plan.with_operators() if operators == "yes" else plan
    plan = plan.with_collections() if collections else plan
    return plan.with_scripts() if scripts else plan


def _range(text: str) -> range:
    first, dots, last = text.partition("..")
    if not dots:
        return range(1, int(first) + 1)
    return range(int(first), int(last) + 1)


def _changes(args: argparse.Namespace) -> tuple[int | None, tuple[str, ...] | None]:
    if args.faults is None:
        return args.nodes, None
    faults = tuple(word for word in args.faults.split(",") if word and word != "none")
    for fault in faults:
        if fault not in FAULTS:
            raise ValueError(f"unknown fault {fault!r}; there are: {' '.join(FAULTS)}")
    return args.nodes, faults


def _outcomes(plans: Iterable[Plan], jobs: int, keeps_story: bool) -> Iterator[Outcome]:
    if jobs <= 1:
        for plan in plans:
            yield run_plan(plan, keeps_story=keeps_story)
        return
    with ProcessPoolExecutor(jobs) as pool:
        yield from pool.map(_run_alone, ((plan, keeps_story) for plan in plans), chunksize=4)


def _run_alone(what: tuple[Plan, bool]) -> Outcome:
    return run_plan(what[0], keeps_story=what[1])


def _show(outcome: Outcome, with_story: bool) -> None:
    print("\n".join(outcome.lines()) if with_story else
          f"seed {outcome.plan.seed} FAILED: {outcome.failure}", flush=True)
