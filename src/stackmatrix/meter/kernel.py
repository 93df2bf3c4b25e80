"""What the kernel counts for a stack: mishaps in its network, system calls, turns on a core; from `/proc`."""

from collections.abc import Collection
from contextlib import suppress
from typing import Final

from stackmatrix.linux import PROC, io_of, thread_ids

# the names in `net/netstat` and `net/snmp`, and in `status`, with those of `results.trial.Kernel`
NETWORK: Final = {
    "ListenOverflows": "listen_overflows",
    "ListenDrops": "listen_drops",
    "TCPSynRetrans": "syn_retransmits",
    "RetransSegs": "retransmits",
    "EstabResets": "resets",
}
SWITCHES: Final = {
    "voluntary_ctxt_switches": "voluntary_switches",
    "nonvoluntary_ctxt_switches": "involuntary_switches",
}


def kernel_counts(pids: Collection[int]) -> dict[str, int]:
    """Read the counters of `results.trial.Kernel` as they are now; what cannot be read is left out."""
    if not pids:
        return {}
    network, client, io = network_counts(min(pids)), network_counts("self"), io_of(pids)
    found = {name: network[theirs] for theirs, name in NETWORK.items() if theirs in network}
    if "DelayedACKs" in client:  # whoever gets the answers acknowledges them, and that is this side
        found["delayed_acks"] = client["DelayedACKs"]
    if io is not None:
        found |= {"reads": io.reads, "writes": io.writes}
    return found | switches(pids)


def network_counts(pid: int | str) -> dict[str, int]:
    """Read all counters of the network namespace that a process is in; none when it has ended."""
    found: dict[str, int] = {}
    with suppress(OSError):
        for table in ("netstat", "snmp"):
            lines = (PROC / str(pid) / "net" / table).read_text().splitlines()
            for names, values in zip(lines[::2], lines[1::2], strict=True):
                found.update(zip(names.split()[1:], map(int, values.split()[1:]), strict=True))
    return found


def switches(pids: Collection[int]) -> dict[str, int]:
    """Count how often the threads that live now gave up their core, and how often it was taken from them."""
    totals = dict.fromkeys(SWITCHES.values(), 0)
    for pid in pids:
        for thread in thread_ids(pid):
            with suppress(OSError):  # ended meanwhile
                for line in (PROC / str(pid) / "task" / str(thread) / "status").read_text().splitlines():
                    name, _, value = line.partition(":")
                    if name in SWITCHES:
                        totals[SWITCHES[name]] += int(value)
    return totals
