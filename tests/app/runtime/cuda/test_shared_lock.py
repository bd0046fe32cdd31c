"""Many together, or one alone."""

import threading
from concurrent.futures import ThreadPoolExecutor

from app.runtime.cuda.shared_lock import Exclusion


def test_many_are_together_and_one_alone():
    exclusion, barrier = Exclusion(), threading.Barrier(3)
    here, alone, met = [], [], []

    def together():
        with exclusion.together():
            barrier.wait(10)  # passes only when all three are here at once
            here.append(1)
            met.extend(alone)
            here.pop()

    def on_its_own():
        with exclusion.alone():
            alone.append(1)
            met.extend(here)
            alone.pop()

    with ThreadPoolExecutor(8) as pool:
        for _ in range(50):
            work = [pool.submit(together) for _ in range(3)] + [pool.submit(on_its_own) for _ in range(3)]
            for each in work:
                each.result(20)
    assert not met


def test_whoever_fails_lets_the_others_in():
    exclusion = Exclusion()
    for side in (exclusion.together, exclusion.alone):
        try:
            with side():
                raise KeyError
        except KeyError:
            pass
    with exclusion.alone():
        pass
