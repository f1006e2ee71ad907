"""What happens to the workers, and what the supervisor does about it: the input and output of ``replacement.step``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from seldon_spec.errors import ComponentFailed
from seldon_spec.observability.metrics.restarts import Reason

# Events


@dataclass(frozen=True, slots=True)
class Started:
    """The process of a ``Start`` action runs."""

    slot: int
    pid: int


@dataclass(frozen=True, slots=True)
class StartFailed:
    """The process of a ``Start`` action could not be forked."""

    slot: int
    error: Exception


@dataclass(frozen=True, slots=True)
class MessageReceived:
    """A process has sent one of the messages of ``worker_messages``."""

    pid: int
    message: str


@dataclass(frozen=True, slots=True)
class Exited:
    """A process has exited.

    Attributes:
        status: e.g. "exited with code 3" or "was terminated by SIGKILL".
        failure: why its class could not be built, if it reported that.
    """

    pid: int
    status: str
    failure: ComponentFailed | None = None


@dataclass(frozen=True, slots=True)
class Reload:
    """Every process is to be replaced by one that has the new class and settings.

    Attributes:
        reason: a SIGHUP ("signal") or a changed file ("reload"). After a changed file, replacements that are still
            starting are stopped, because they may have imported the old code.
        grace_seconds: of the new settings.
    """

    reason: Reason
    grace_seconds: float


@dataclass(frozen=True, slots=True)
class StartsAllowed:
    """Whether processes can be started: with ``server.preload``, only while a template process has the model."""

    is_allowed: bool


@dataclass(frozen=True, slots=True)
class PreloadFailed:
    """A template process could not load the model; what keeps the server running is its workers."""

    error: Exception


@dataclass(frozen=True, slots=True)
class Discard:
    """A template process is not needed any more."""

    pid: int


@dataclass(frozen=True, slots=True)
class Stop:
    """The server has to stop; a second one ends the drain."""


@dataclass(frozen=True, slots=True)
class Tick:
    """The events that have occurred are handled: start and kill what is due."""


Event: TypeAlias = (
    Started | StartFailed | MessageReceived | Exited | Reload | StartsAllowed | PreloadFailed | Discard | Stop | Tick
)


# Actions


@dataclass(frozen=True, slots=True)
class Start:
    """Fork a process, and report ``Started`` or ``StartFailed`` before any other event.

    Attributes:
        accept_when_ready: whether it accepts connections only when its model is built, because another process serves
            until then.
    """

    slot: int
    accept_when_ready: bool


@dataclass(frozen=True, slots=True)
class SendSignal:
    """Send a signal to a process."""

    pid: int
    number: int


@dataclass(frozen=True, slots=True)
class CountRestart:
    """Count the replacement of a process."""

    reason: Reason


@dataclass(frozen=True, slots=True)
class Log:
    """Write a log record, with a traceback if there is an error."""

    level: int
    text: str
    error: BaseException | None = None


@dataclass(frozen=True, slots=True)
class Shutdown:
    """Close the listening sockets; when all processes have exited, end the server.

    Attributes:
        error: what to raise then; None: the server ends with success.
    """

    error: Exception | None = None


Action: TypeAlias = Start | SendSignal | CountRestart | Log | Shutdown
