"""A node's wall clock that is wrong and can be set while the node runs.

A library of thirty lines, made with gcc when it is asked for and put before the C library with
LD_PRELOAD, adds to CLOCK_REALTIME what stands in a file. Time that is not the wall's stays as it
is, so time-outs and sleeps are right. (libfaketime cannot be set while a process runs.)
"""

import struct
from pathlib import Path

from tests.faults.machines import Machine, sh

SOURCE = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static volatile long long *offset_ns;
static int (*real)(clockid_t, struct timespec *);

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("CLOCK_FILE");
    real = (int (*)(clockid_t, struct timespec *)) dlsym(RTLD_NEXT, "clock_gettime");
    if (!path) return;
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) return;
    void *page = mmap(0, sizeof *offset_ns, PROT_READ, MAP_SHARED, file, 0);
    if (page != MAP_FAILED) offset_ns = page;
    close(file);
}

int clock_gettime(clockid_t which, struct timespec *when) {
    if (!real) begin();
    int result = real(which, when);
    if (result || which != CLOCK_REALTIME || !offset_ns) return result;
    long long ns = when->tv_sec * 1000000000LL + when->tv_nsec + *offset_ns;
    when->tv_sec = ns / 1000000000LL;
    when->tv_nsec = ns % 1000000000LL;
    return 0;
}

int gettimeofday(struct timeval *when, void *zone) {
    struct timespec now;
    int result = clock_gettime(CLOCK_REALTIME, &now);
    when->tv_sec = now.tv_sec;
    when->tv_usec = now.tv_nsec / 1000;
    return result;
}

time_t time(time_t *where) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (where) *where = now.tv_sec;
    return now.tv_sec;
}
"""


class WallClock:
    """The wall clock of one machine; its node must be started after this was made."""

    def __init__(self, machine: Machine, offset_s: float) -> None:
        folder = machine.disk.parent
        library = folder / "clock.so"
        if not library.exists():
            source = folder / "clock.c"
            source.write_text(SOURCE, encoding="ascii")
            sh("gcc", "-shared", "-fPIC", "-O1", "-o", str(library), str(source), "-ldl")
        self._file: Path = folder / f"{machine.name}.clock"
        self.set(offset_s)
        machine.env = {"LD_PRELOAD": str(library), "CLOCK_FILE": str(self._file)}

    def set(self, offset_s: float) -> None:
        """How far it is off from now on."""
        with self._file.open("r+b" if self._file.exists() else "wb") as file:
            file.write(struct.pack("=q", int(offset_s * 1e9)))
