"""Ray's provider of nodes on one machine, which forgets how much memory a node is to offer.

The autoscaler's own process imports it by the name in its configuration.
"""

import json
import os
from typing import Any, Final

from ray.autoscaler._private.fake_multi_node.node_provider import FakeMultiNodeProvider

OVERRIDE: Final = "RAY_OVERRIDE_RESOURCES"
"""What Ray reads when a node starts, before what it finds on the machine."""


class LocalNodeProvider(FakeMultiNodeProvider):  # type: ignore[misc]  # Ray has no types for it
    """Every node offers the memory of its type, as machines of a cloud do."""

    def _create_node_with_resources_and_labels(
        self, node_config: Any, tags: Any, count: int, resources: dict[str, float], labels: Any
    ) -> None:
        others = {name: amount for name, amount in resources.items() if name != "memory"}
        with self.lock:  # nodes start one at a time, each with what is its own
            os.environ[OVERRIDE] = json.dumps({"memory": resources["memory"]})
            try:
                super()._create_node_with_resources_and_labels(
                    node_config, tags, count, others, labels
                )
            finally:
                del os.environ[OVERRIDE]
