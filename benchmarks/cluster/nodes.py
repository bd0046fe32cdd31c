"""A Ray cluster of two nodes on one machine, with the service on it; nothing of it outlives the block."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

STORE_BYTES = 80 * 2**20  # of each node's object store, the least that Ray takes
RETRYING = "app.cluster.retrying:middlewares"
ROOT = Path(__file__).parents[2]
APP, NAMESPACE = "roberta", "serve"
# Ray reads these when it is imported, its processes when they start.
VARIABLES = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AUTH_MODE": "disabled",
    "RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH": RETRYING,
    "RAY_SERVE_LOG_TO_STDERR": "0",
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
    "RAY_health_check_initial_delay_ms": "1000",
    "PYTHONPATH": str(ROOT),
}
ONE_CORE: dict[str, Any] = {"device": "cpu", "runners": 1, "intra_op_threads": 1, "log_level": "warning"}
ONCE = {"RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH": ""}
HAPROXY = {"RAY_SERVE_ENABLE_HA_PROXY": "1", "RAY_SERVE_ENABLE_DIRECT_INGRESS": "1"}


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as bound:
        port: int = bound.getsockname()[1]
        return port


class Nodes:
    """A head and a worker, each with room for one replica. The head has the proxy that is asked."""

    def __init__(self, cluster: Any, url: str) -> None:
        self._cluster, self.url = cluster, url
        self.address: str = cluster.address
        self._worker: Any = None

    def add_worker(self) -> None:
        self._worker = self._cluster.add_node(num_cpus=1, object_store_memory=STORE_BYTES, include_dashboard=False)

    def kill_worker(self) -> None:
        """End the worker's processes as a machine that loses its power does."""
        self._cluster.remove_node(self._worker, allow_graceful=False)

    def deploy(self, models: Path, replicas: int, **settings: Any) -> None:
        """Have so many replicas serve, and return once they do; with other settings they are replaced."""
        from ray import serve

        from app.cluster.replica import Replica

        options = {"num_replicas": replicas, "ray_actor_options": {"num_cpus": 1}, "health_check_period_s": 1}
        replica = Replica.options(**options)
        served = {"models": str(models), **ONE_CORE, **settings}
        serve.run(replica.bind(**served), name=APP, route_prefix="/")

    def deploy_scaled(self, models: Path) -> None:
        """Have one replica serve, or two where `app.cluster.scaling` wants them, soon after it does."""
        from ray import serve

        from app.cluster.replica import Replica

        policy = {"policy_function": "app.cluster.scaling:ByQueue", "policy_kwargs": {"queue_target": 2048.0}}
        delays = {"upscale_delay_s": 2, "downscale_delay_s": 5, "metrics_interval_s": 0.5, "look_back_period_s": 2}
        scaling = {"min_replicas": 1, "max_replicas": 2, **delays, "policy": policy}
        options = {"autoscaling_config": scaling, "ray_actor_options": {"num_cpus": 1}, "health_check_period_s": 1}
        serve.run(Replica.options(**options).bind(models=str(models), **ONE_CORE), name=APP, route_prefix="/")

    def running(self) -> int:
        """Return how many replicas run."""
        from ray import serve

        (deployment,) = serve.status().applications[APP].deployments.values()
        return int(deployment.replica_states.get("RUNNING", 0))

    def deploy_listening(self, models: Path) -> str:
        """Have one replica run the command, and return where it listens."""
        from ray import serve

        from app.cluster.listening import Listening

        port, admin_port = free_port(), free_port()
        served = {"models": str(models), **ONE_CORE, "host": "127.0.0.1"}
        options = {"ray_actor_options": {"num_cpus": 1}, "health_check_period_s": 1}
        replica = Listening.options(**options).bind(**served, port=port, admin_port=admin_port)
        serve.run(replica, name=APP, route_prefix="/")
        return f"http://127.0.0.1:{port}"

    def replicas(self) -> dict[str, Any]:
        """Return the actors that are replicas, by name."""
        import ray

        named = ray.util.list_named_actors(all_namespaces=True)
        names = [each["name"] for each in named if each["name"].startswith(f"SERVE_REPLICA::{APP}#")]
        return {name: ray.get_actor(name, namespace=NAMESPACE) for name in names}

    def kill_replica(self) -> None:
        """End the process of one replica with SIGKILL."""
        import ray

        actor = next(iter(self.replicas().values()))
        os.kill(ray.get(actor.__ray_call__.remote(lambda _: os.getpid())), signal.SIGKILL)


@contextmanager
def nodes(workers: int = 1, variables: dict[str, str] | None = None, *, serves: bool = True) -> Iterator[Nodes]:
    """Start a cluster, with Ray Serve on its head where it `serves`, and end it."""
    os.environ.update(VARIABLES | (variables or {}))
    import ray
    from ray import serve
    from ray.cluster_utils import Cluster

    head = {"num_cpus": 1, "object_store_memory": STORE_BYTES, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    try:
        ray.init(address=cluster.address, log_to_driver=False, configure_logging=False)
        port = free_port()
        if serves:
            serve.start(proxy_location="HeadOnly", http_options={"host": "127.0.0.1", "port": port})
        running = Nodes(cluster, f"http://127.0.0.1:{port}")
        for _ in range(workers):
            running.add_worker()
        yield running
        if serves:
            serve.shutdown()
    finally:
        ray.shutdown()
        cluster.shutdown()
