"""A graph on Ray Serve whose components have deployments of their own, and feedback to several replicas."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest

from seldon_spec.protocols.seldon_v1.proto import PACKAGE, message_class

if TYPE_CHECKING:
    from tests.ray.conftest import Both, Gate, Place

JSON = {"Content-Type": "application/json"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
MAX_REQUESTS = 200
MAX_SECONDS = 60
FIRST_ONLY = 0.25
ASKS = b'{"data": {"ndarray": [[100, 2]]}}'


def test_a_call_of_a_component_ends_in_time(models: Mapping[str, Both], gates: tuple[Gate, Gate]) -> None:
    status, _, body = models["parts"].ray.request("POST", "/predict", b'{"data": {"ndarray": [[3, 2]]}}', JSON)
    gates[0].open("slow")
    assert status == 504
    info = "component slow: no response from deployment slow within 0.5 seconds (components.slow.timeout_seconds)"
    assert json.loads(body)["status"]["info"] == info


def _find_rewards(place: Place) -> dict[str, set[float]]:
    """Return the rewards that the replicas of the router and of the front have got: both replicas of each respond."""
    pids: dict[str, set[int]] = {"learner": set(), "counter": set()}
    rewards: dict[str, dict[int, float]] = {name: {} for name in pids}
    end = time.monotonic() + MAX_SECONDS
    for number in count(1):
        status, _, body = place.request("POST", "/predict", ASKS, JSON)
        assert status == 200, body
        tags = json.loads(body)["meta"]["tags"]
        for name, known in rewards.items():
            pid, reward = tags[name]
            assert known.setdefault(int(pid), reward) == reward
        if all(len(known) == 2 for known in rewards.values()):
            break
        assert number < MAX_REQUESTS
        assert time.monotonic() < end
    return {name: set(known.values()) for name, known in rewards.items()}


def _feedback(reward: float) -> dict[str, Any]:
    return {"response": {"meta": {"routing": {"learner": 0}}}, "reward": reward}


def _send_json(place: Place, reward: float) -> bool:
    return place.request("POST", "/api/v1.0/feedback", json.dumps(_feedback(reward)).encode(), JSON)[0] == 200


def _send_form(place: Place, reward: float) -> bool:
    body = f"json={json.dumps(_feedback(reward))}".encode()
    return place.request("POST", "/send-feedback", body, FORM)[0] == 200


def _send_message(place: Place, reward: float) -> bool:
    feedback: Any = message_class(f"{PACKAGE}.Feedback")(reward=reward)
    feedback.response.meta.routing["learner"] = 0
    return place.call(f"/{PACKAGE}.Seldon/SendFeedback", feedback.SerializeToString())[0].name == "OK"


SENDERS: dict[str, Callable[[Place, float], bool]] = {"REST": _send_json, "form": _send_form, "gRPC": _send_message}


@pytest.mark.parametrize("send", SENDERS.values(), ids=SENDERS)
def test_feedback_reaches_every_replica_once(models: Mapping[str, Both], send: Callable[[Place, float], bool]) -> None:
    place = models["parts"].ray
    before = _find_rewards(place)
    assert send(place, 1.5)
    assert _find_rewards(place) == {name: {reward + 1.5 for reward in rewards} for name, rewards in before.items()}


def test_feedback_that_fails_is_applied_nowhere(models: Mapping[str, Both]) -> None:
    """The router raises; the component behind it has got the feedback before."""
    place = models["parts"].ray
    before = _find_rewards(place)
    assert not _send_json(place, -1.0)
    assert _find_rewards(place) == before


def test_an_error_of_another_replica_is_not_one_of_the_request(models: Mapping[str, Both]) -> None:
    assert _send_json(models["parts"].ray, FIRST_ONLY)


def test_a_replica_that_dies_is_replaced(models: Mapping[str, Both]) -> None:
    place = models["parts"].ray
    status, _, body = place.request("POST", "/predict", b'{"data": {"ndarray": [[2, -1]]}}', JSON)
    assert status == 503
    info = json.loads(body)["status"]["info"]
    assert info.startswith("component failing: no response from deployment failing: Ray reports Actor")
    end = time.monotonic() + MAX_SECONDS
    while b"no model for 3.5" not in place.request("POST", "/predict", b'{"data": {"ndarray": [[2, 3.5]]}}', JSON)[2]:
        assert time.monotonic() < end
