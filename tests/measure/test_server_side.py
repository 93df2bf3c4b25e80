"""What is made of readings at the window's edges; the readings are made up."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest

from stackmatrix.measure import server_side
from stackmatrix.measure.server_side import ServerObserver, growth
from stackmatrix.meter.meter import Reading
from stackmatrix.meter.processes import Cpus
from stackmatrix.results.trial import Kernel, ServerSide
from stackmatrix.runtime.base import Runtime, Service

from .counts import counts

BEFORE = counts(statements=1, database_s=1.5, rows=1000, sessions=7)
AFTER = counts(statements=9, database_s=4.0, rows=1000, sessions=12)
Observe = Callable[..., ServerSide]


@pytest.fixture
def observe(monkeypatch: pytest.MonkeyPatch) -> Observe:
    """Read a window of 2 s on one core: CPU seconds, counters and processes at its start and at its end."""

    def observed(
        own: tuple[float | None, float | None] = (10.0, 10.6),
        busy: tuple[float, float] = (20.0, 21.0),
        stolen: tuple[float, float] = (0.0, 0.0),
        throttled: tuple[int | None, int | None] = (None, None),
        pids: tuple[list[int], list[int]] = ([1, 2], [1, 2]),
        kernel: tuple[dict[str, int], dict[str, int]] = ({}, {}),
    ) -> ServerSide:
        edge = 0

        class Meter:
            def __init__(self, runtime: object, name: str) -> None:
                self.name = name

            def read(self) -> Reading:
                cpu_s = own[edge] if self.name == "a-stack" else float(edge)
                memory = (7_000_000, 9_500_000)[edge] if self.name == "a-stack" else 0
                return Reading(0.0, cpu_s, throttled[edge] if self.name == "postgres" else None, 3, memory)

        monkeypatch.setattr(server_side, "Meter", Meter)
        cores = [{0: busy[at], 1: 99.0 * at} for at in (0, 1)]
        monkeypatch.setattr(server_side, "cpus", lambda: Cpus(cores[edge], stolen[edge], 100.0 * edge))
        monkeypatch.setattr(server_side, "kernel_counts", lambda seen: kernel[edge] if set(pids[edge]) == seen else {})
        monkeypatch.setattr(server_side, "sessions", lambda _runtime, _stack: 5)
        monkeypatch.setattr(server_side, "per_worker", lambda _pids, _service: [40, 24])
        runtime = SimpleNamespace(pids=lambda _name: pids[edge], counters=lambda: {"max_in_flight": 64})
        service = SimpleNamespace(stack=SimpleNamespace(name="a-stack"))
        observer = ServerObserver(cast(Runtime, runtime), cast(Service, service))
        observer.read("start")
        edge = 1
        observer.read("end")
        return observer.side([0], 2.0, BEFORE, AFTER)

    return observed


def test_what_the_stack_did_not_use_of_its_core_was_somebody_else_s(observe: Observe) -> None:
    assert observe().foreign_share == pytest.approx((1.0 - 0.6) / 2.0)
    assert observe(own=(10.0, 11.0)).foreign_share == 0
    assert observe(own=(10.0, 11.1)).foreign_share == 0, "the two clocks have different grains"
    assert observe(own=(None, None)).foreign_share is None


def test_cpu_is_that_of_the_window(observe: Observe) -> None:
    cpu = observe().cpu_s
    assert cpu.stack == pytest.approx(0.6)
    assert (cpu.postgres, cpu.nginx, cpu.delay) == (1.0, 1.0, 1.0)
    assert cpu.upstreams == 3.0


def test_counters_count_by_how_much_they_grew(observe: Observe) -> None:
    assert observe(throttled=(2, 5)).throttled == {"postgres": 3}
    assert observe(throttled=(2, 2)).throttled == {}
    assert observe(throttled=(None, 5)).throttled == {}
    found = observe()
    assert (found.oom_kills, found.new_db_sessions, found.database_s) == ({}, 5, 2.5)
    assert found.memory_grown_bytes == 2_500_000
    assert found.upstream_call_s is None  # there was no call
    assert (found.db_sessions, found.upstream_in_flight, found.connections_per_worker) == (5, 64, [40, 24])


def test_processes_that_came_and_went(observe: Observe) -> None:
    found = observe(pids=([1, 2], [2, 3, 4]))
    assert (found.started_processes, found.ended_processes) == (2, 1)


def test_the_kernel_s_counters_count_by_how_much_they_grew(observe: Observe) -> None:
    before = {"listen_drops": 3, "delayed_acks": 50, "writes": 900, "reads": 5}
    after = {"listen_drops": 3, "delayed_acks": 90, "writes": 400, "resets": 7}
    found = observe(kernel=(before, after), pids=([1, 2], [2, 3])).kernel
    assert found == Kernel(listen_drops=0, delayed_acks=40), "others were not read at both edges, or shrank"
    assert observe().kernel == Kernel()


def test_the_host_takes_a_share_of_all_cpus(observe: Observe) -> None:
    assert observe(stolen=(1.0, 4.0)).steal_share == pytest.approx(0.03)


def test_what_cannot_be_read_has_not_grown() -> None:
    assert growth(3, 5) == 2
    assert growth(cast(Any, None), 5) is None
    assert growth(3, None) is None
