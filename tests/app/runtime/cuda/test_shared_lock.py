"""A lock that many share, or one holds exclusively."""

import threading
from concurrent.futures import ThreadPoolExecutor

from app.runtime.cuda.shared_lock import SharedLock


def test_many_share_it_or_one_holds_it():
    lock, barrier = SharedLock(), threading.Barrier(3)
    sharing, holding, met = [], [], []

    def share():
        with lock.shared():
            barrier.wait(10)  # passes only when all three are here at once
            sharing.append(1)
            met.extend(holding)
            sharing.pop()

    def hold():
        with lock.exclusive():
            holding.append(1)
            met.extend(sharing)
            holding.pop()

    with ThreadPoolExecutor(8) as pool:
        for _ in range(50):
            work = [pool.submit(share) for _ in range(3)] + [pool.submit(hold) for _ in range(3)]
            for each in work:
                each.result(20)
    assert not met


def test_an_error_releases_it():
    lock = SharedLock()
    for side in (lock.shared, lock.exclusive):
        try:
            with side():
                raise KeyError
        except KeyError:
            pass
    with lock.exclusive():
        pass
