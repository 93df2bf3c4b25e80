"""Search, in rounds, for every arm's largest rate, then overload it; go on later with what is on disk."""

import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from itertools import count
from typing import Final

from stackmatrix.analysis import statistics
from stackmatrix.analysis.slo.level import Level, LevelSample, judge_window
from stackmatrix.analysis.slo.overload import FACTOR, Course
from stackmatrix.analysis.slo.search import FIRST_FACTOR, LATER_FACTOR, Search
from stackmatrix.analysis.slo.verdict import DISHONEST, Answers, brackets, probe_outcome, values
from stackmatrix.errors import UserError
from stackmatrix.load.records import read_records
from stackmatrix.measure.rounds import EndedBy, Policy, TimeArm
from stackmatrix.measure.trial import Bench, HealingFailedError, crashed, timed_trial
from stackmatrix.measure.watcher import Watcher
from stackmatrix.results.directory import RunDirectory
from stackmatrix.results.plan import Arm, Cell, Load, Plan, Timing
from stackmatrix.results.slo import Probe, Purpose
from stackmatrix.results.trial import Trial

LEAST_PROBE_S = 1.0  # the least window of a probe; it is longer where the level's metric needs more requests
SEARCHES: Final = 6  # the fewest that give an interval
HOPELESS: Final = 2  # searches without a rate, after which an arm is searched no more
JITTER: Final = 0.1  # by which a search starts off what was found before, so that no two ask about the same rates
PROBE_OVERHEAD_S: Final = 2.0  # of a probe besides its window: warm-up, drain, counting

# has an arm's stack up, alone, inside the context; what it yields times one load of it
Hold = Callable[[Arm], AbstractContextManager[TimeArm]]


def search_rates(plan: Plan, level: Level, bench: Bench, cells: Sequence[Cell], watcher: Watcher) -> EndedBy:
    """Search for every arm's largest rate that keeps the level, then overload it; say what ended it."""
    by_arm = {cell.arm.id: cell for cell in cells}

    @contextmanager
    def hold(arm: Arm) -> Iterator[TimeArm]:
        cell = by_arm[arm.id]
        with bench.alone(cell.variant) as service:
            yield lambda asked, number, attempt: timed_trial(
                bench, service, asked, cell.workload, plan.timing(asked), number, attempt
            )

    timing, policy = Timing(plan.warmup_s, plan.window_s), Policy(plan.seed, rounds=plan.rounds, budget_s=plan.budget_s)
    watcher.searches_begin(level, len(cells), plan.rounds or SEARCHES, bench.directory.shown)
    return SearchRounds([cell.arm for cell in cells], level, timing, policy, bench.directory, hold, watcher).execute()


@dataclass
class SearchRounds:
    """Searches, round by round, every arm once in an order drawn anew; then overloads them in the same way."""

    arms: Sequence[Arm]
    level: Level
    timing: Timing
    policy: Policy
    directory: RunDirectory
    hold: Hold
    watcher: Watcher

    def __post_init__(self) -> None:
        self.rounds = self.policy.rounds or SEARCHES
        self._trials = {(trial.arm, trial.round): trial for trial in self.directory.trials()}
        self._probes = list(self.directory.probes())
        self._costs: list[float] = []
        self._cut = False  # whether the budget ended a search
        self._began = time.monotonic()

    def execute(self) -> EndedBy:
        ended = [self._each(number, self._search, self._cost) for number in range(self.rounds)]
        ended += [self._each(number, self._overload, self._overload_s) for number in range(self.rounds)]
        return "rounds" if all(ended) and not self._cut else "budget"

    def _each(self, number: int, act: Callable[[Arm, int], None], cost: Callable[[Arm], float]) -> bool:
        """Do something with every arm, in random order; return False when the budget left one out."""
        order = list(self.arms)
        random.Random(f"{self.policy.seed} {act.__name__} {number}").shuffle(order)
        whole = True
        for arm in order:
            if self._spent(cost(arm)):
                whole = False
            else:
                act(arm, number)
        return whole

    def _search(self, arm: Arm, number: int) -> None:
        if self._hopeless(arm):
            return
        began, before = time.monotonic(), len(self._probes)
        self._in_service(arm, number, "search", lambda time_load: self._bisect(arm, number, time_load))
        if len(self._probes) > before:
            self._costs.append(time.monotonic() - began)
            found = values(self._of(arm), number + 1)[number]
            self.watcher.searched(arm, number, found, self._wanted_s(number), self._left_s())

    def _in_service(self, arm: Arm, number: int, purpose: Purpose, act: Callable[[TimeArm], None]) -> None:
        """Do something while the arm's stack is up; a stack that does not come up is kept as failed."""
        try:
            with self.hold(arm) as time_load:
                act(time_load)
        except HealingFailedError:
            raise
        except UserError as error:
            self._keep(failed_probe(arm, number, purpose, crashed(arm, number, 0, error)))

    def _bisect(self, arm: Arm, number: int, time_load: TimeArm) -> None:
        """Ask about rates until they lie close together, or the budget is spent."""
        first = self._capacity(arm, number, time_load)
        if any(reason.kind in DISHONEST for reason in first.reasons):
            self._keep(failed_probe(arm, number, "search", first))
            return
        search, answers = Search(*self._start(arm, number, first), self.level.least_rate), Answers()
        for step in count():
            rate = search.rate
            if rate is None:
                return
            probe = self._kept("search", arm, number, step) or self._probe(arm, number, step, rate, time_load)
            if probe is None or probe.outcome == "failed":
                return
            answer = answers.of(probe.outcome)
            if answer is not None:
                search.tell(probe.rate, answer)

    def _capacity(self, arm: Arm, number: int, time_load: TimeArm) -> Trial:
        """Time the arm's own load, a closed loop, whose goodput says where to begin."""
        if (arm.id, number) in self._trials:
            return self._trials[arm.id, number]
        trial = time_load(arm, number, 0)
        self.directory.append(trial)
        self._trials[arm.id, number] = trial
        self.watcher.capacity(trial)
        return trial

    def _start(self, arm: Arm, number: int, first: Trial) -> tuple[float, float]:
        """Choose where to begin and with what stride: half of the capacity, later near what was found before."""
        before = [value for value in values(self._of(arm), number) if value is not None]
        found = statistics.location(before)
        if found is None:
            return max(first.client.goodput / 2, self.level.least_rate), FIRST_FACTOR
        off = random.Random(f"{self.policy.seed} start {number} {arm.id}").uniform(-JITTER, JITTER)
        return found.value * (1 + off), LATER_FACTOR

    def _probe(self, arm: Arm, number: int, step: int, rate: float, time_load: TimeArm) -> Probe | None:
        """Offer one rate and keep what came of it; None when the budget does not hold it."""
        window_s = max(self.timing.window_s, self.level.window_s(rate))
        if self._spent(window_s + PROBE_OVERHEAD_S):
            self._cut = True
            return None
        asked = replace(
            arm,
            id=f"{arm.id} for {self.level}",
            load=Load("open", rate=rate, arrivals="poisson"),
            timing=Timing(self.timing.warmup_s, window_s, fitted=False),
        )
        trial = time_load(asked, number, step)
        seen = LevelSample(0, 0, None, None)
        if trial.client.records is not None:
            records = read_records(self.directory.path / trial.client.records)
            seen = judge_window(records, trial.client.window_start, trial.client.window_end, self.level)
        found = probe_outcome(trial, seen)
        return self._keep(Probe(arm.id, number, step, rate, found, seen.requests, seen.failed, seen.value_ms, trial))

    def _overload(self, arm: Arm, number: int) -> None:
        found = statistics.location(values(self._of(arm), self.rounds))
        if found is not None and not self._kept("overload", arm, number, 0):
            rate = found.value
            self._in_service(arm, number, "overload", lambda time_load: self._exceed(arm, number, rate, time_load))

    def _exceed(self, arm: Arm, number: int, rate: float, time_load: TimeArm) -> None:
        course = Course.of(self.level, rate)
        asked = replace(arm, id=f"{arm.id} above {self.level}", load=course.load(rate), timing=course.timing)
        trial = time_load(asked, number, 0)
        if trial.client.records is None:
            self._keep(failed_probe(arm, number, "overload", trial))
            return
        records = read_records(self.directory.path / trial.client.records)
        seen = course.judge(records, trial.client.window_start, self.level)
        offered, failed = trial.client.offered, trial.client.errors.total
        above = FACTOR * rate
        self._keep(
            Probe(arm.id, number, 0, above, "broken", offered, failed, seen.value_ms, trial, "overload", overload=seen)
        )

    def _keep(self, probe: Probe) -> Probe:
        self.directory.append(probe)
        self._probes.append(probe)
        self.watcher.probed(probe)
        return probe

    def _kept(self, purpose: Purpose, arm: Arm, number: int, step: int) -> Probe | None:
        place = purpose, number, step
        return next((p for p in self._of(arm) if (p.purpose, p.round, p.step) == place), None)

    def _of(self, arm: Arm) -> Iterator[Probe]:
        return (probe for probe in self._probes if probe.arm == arm.id)

    def _hopeless(self, arm: Arm) -> bool:
        """Tell whether further searches would find no more; what the machine spoiled is tried again."""
        over = brackets(self._of(arm)).values()
        return len(over) >= HOPELESS and all(one.value is None and one.by != "spoiled" for one in over)

    def _cost(self, _arm: Arm) -> float:
        """Estimate the seconds of one more search and of the overloads to come; nothing is known before the first."""
        return max(self._costs[-len(self.arms) :], default=0.0) + self._reserve_s()

    def _reserve_s(self) -> float:
        return sum(self._overload_s(arm) for arm in self.arms)

    def _overload_s(self, arm: Arm) -> float:
        found = statistics.location(values(self._of(arm), self.rounds))
        return Course.of(self.level, found.value).seconds + PROBE_OVERHEAD_S if found else 0.0

    def _wanted_s(self, number: int) -> float:
        each = sum(self._costs) / len(self._costs)
        left = (self.rounds - number - 1) * len(self.arms) + (-len(self._costs) % len(self.arms))
        return left * each + self.rounds * self._reserve_s()

    def _left_s(self) -> float | None:
        spent = time.monotonic() - self._began
        return None if self.policy.budget_s is None else max(0.0, self.policy.budget_s - spent)

    def _spent(self, cost: float) -> bool:
        left = self._left_s()
        return left is not None and cost > left


def failed_probe(arm: Arm, number: int, purpose: Purpose, trial: Trial) -> Probe:
    return Probe(arm.id, number, 0, 0.0, "failed", 0, 0, None, trial, purpose)
