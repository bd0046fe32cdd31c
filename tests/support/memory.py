"""A device that is the host itself: what `app.runtime.cuda.binding` does with a GPU, done where there is none."""

from __future__ import annotations

import ctypes

import numpy as np


class HostBlock:
    def __init__(self, size):
        self.array = np.full(size, 255, np.uint8)  # nothing that is read before it is written looks right
        self.address = self.array.ctypes.data


class HostMemory:
    """Copies wait for `synchronize`, as a stream's may; `allocations` and `copies` are what was asked for."""

    device_type, device_id, stream = "cpu", 0, 0

    def __init__(self):
        self.allocations, self.copies, self.begun = [], [], []

    def allocate_host(self, size):
        self.allocations.append(("host", size))
        return np.full(size, 255, np.uint8)

    def allocate_device(self, size):
        self.allocations.append(("device", size))
        return HostBlock(size)

    def upload(self, host, address):
        self.begun.append((address, host.ctypes.data, host.nbytes))

    def download(self, address, host):
        self.begun.append((host.ctypes.data, address, host.nbytes))

    def synchronize(self):
        for target, source, size in self.begun:
            ctypes.memmove(target, source, size)
            self.copies.append(size)
        self.begun.clear()

    def capture(self, work):
        """Remember `work`; to begin it later is to do it, once the copies before it have ended."""

        def begin():
            self.synchronize()
            work()

        return begin
