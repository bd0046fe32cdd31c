"""The service in several processes: a supervisor, N workers that speak HTTP, and an engine for each device.

    clients -> worker 0..N-1 (HTTP, validation, tokenizing, decoding) -> engine 0.. (queue, scheduler, sessions)

The supervisor holds the port, on which each worker listens, and replaces a process that dies. Workers and engines
talk over unix sockets in a private folder, which also holds the files that their metrics are counted in: an
`EngineServer` is the engine's end, an `EngineClient` a worker's, and its `EnginePool` has one for each engine.
"""
