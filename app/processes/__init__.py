"""The service in several processes: a supervisor, N workers that speak HTTP, and an engine for each device.

    clients -> worker 0..N-1 (HTTP, validation, tokenizing, decoding) -> engine 0.. (queue, scheduler, sessions)

The supervisor keeps the port, on which each worker listens, and watches over everybody. Workers and engines
talk over unix sockets in a private folder, which also holds the files that their metrics are counted in.
"""
