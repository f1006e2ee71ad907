"""The public functions ``load`` and ``make_app``, and what the commands ``serve`` and ``predict`` share.

Beside the command line, only this module changes the environment of the process: the user's class reads its variables
there.
"""

from __future__ import annotations

import logging
import os
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from seldon_spec.compat import install
from seldon_spec.config.checks.extras import require_engine
from seldon_spec.config.checks.tls import require_tls
from seldon_spec.config.checks.tracing import require_tracing
from seldon_spec.config.loader import load as load_spec
from seldon_spec.config.loader import load_class as load_spec_of_class
from seldon_spec.config.paths import working_directory
from seldon_spec.config.secrets import join_environments, prepare_to_load
from seldon_spec.errors import SeldonSpecError

if TYPE_CHECKING:
    from flask import Flask

    from seldon_spec.config.model import Spec
    from seldon_spec.errors import FieldPath


class Preparation:
    """Prepares specs for loading, one after another in one process; each replaces the previous one.

    Attributes:
        variables: the environment of the process, without the additions of any spec.
    """

    def __init__(self) -> None:
        self.variables: Mapping[str, str] = dict(os.environ)
        self._added: set[str] = set()

    def prepare(self, spec: Spec) -> Spec:
        """Return the spec with its secrets resolved, and prepare the process for the user's class.

        The variables of ``environment``, also of components, are set unless the process has them, and ``seldon_core``
        can be imported even if it is not installed.

        Raises:
            SpecError: a secret cannot be read, or a required argument has no value; the environment is unchanged.
        """
        prepared = prepare_to_load(spec, self.variables)
        for name in self._added:
            os.environ.pop(name, None)
        environment = join_environments(prepared)
        self._added = set(environment) - set(self.variables)
        os.environ.update({name: str(environment[name]) for name in self._added})
        install()
        return prepared


def prepare(spec: Spec) -> Spec:
    """Prepare the only spec of a process; see :meth:`Preparation.prepare`."""
    return Preparation().prepare(spec)


class SharedPreparation:
    """Prepares specs that are served at the same time in one process.

    A variable that a spec sets is removed when the last server whose spec sets it ends.
    """

    def __init__(self) -> None:
        self._servers: Counter[str] = Counter()
        self._lock = threading.Lock()

    def prepare(self, spec: Spec) -> tuple[Spec, Callable[[], None]]:
        """Prepare a spec; see :meth:`Preparation.prepare`.

        Returns:
            The prepared spec, and what to call when its server has ended.

        Raises:
            SpecError: a secret cannot be read, or a required argument has no value.
            SeldonSpecError: the spec of another server sets a variable to another value.
        """
        with self._lock:
            prepared = prepare_to_load(spec, os.environ)
            environment = {name: str(value) for name, value in join_environments(prepared).items()}
            for name, value in environment.items():
                if self._servers[name] and os.environ.get(name) != value:
                    raise SeldonSpecError(
                        f"environment.{name}: another server of this process sets another value: stop that server first"
                    )
            added = [name for name in environment if self._servers[name] or name not in os.environ]
            os.environ.update({name: environment[name] for name in added})
            self._servers.update(added)
        install()
        return prepared, partial(self._release, added)

    def _release(self, added: Sequence[str]) -> None:
        with self._lock:
            self._servers.subtract(added)
            for name in added:
                if not self._servers[name]:
                    os.environ.pop(name, None)


def load(
    path: str | Path = ".",
    environ: Mapping[str, str] | None = None,
    flags: Mapping[FieldPath, str] | None = None,
) -> Spec:
    """Load and check a spec.

    Args:
        path: the folder that contains seldon.yaml, or the file.
        environ: the variables that override the file; default: those of the process.
        flags: values that override both, by field, e.g. ``{("server", "workers"): "4"}``.

    Returns:
        The effective spec; ``diagnostics`` contains its warnings and notes.

    Raises:
        SpecError: the spec has errors; all of them are listed.
    """
    return load_spec(Path(path), os.environ if environ is None else environ, flags)


def load_class(
    user_class: type, environ: Mapping[str, str] | None = None, flags: Mapping[FieldPath, str] | None = None
) -> Spec:
    """Load the spec of a class without a file; see ``load``. Relative paths start at the working directory."""
    return load_spec_of_class(user_class.__name__, Path.cwd(), os.environ if environ is None else environ, flags)


def check_server(spec: Spec) -> Spec:
    """Check what only a server needs, and return the spec with tracing disabled if only a variable enabled it.

    Raises:
        SpecError: a certificate cannot be read, or a package is missing.
    """
    require_engine(spec)
    spec = require_tracing(spec)
    require_tls(spec)
    return spec


def make_app(spec: Spec) -> Flask:
    """Load the class of a spec, and return a Flask app: for a test client, or for your own WSGI server.

    It applies ``server.auth``, ``server.max_body_bytes``, ``server.max_queue`` and ``server.request_timeout_seconds``
    as the server does. The other keys of ``server`` have no effect.

    Args:
        spec: as ``load`` returns it.

    Returns:
        An app whose model runs in its own thread; each call of ``make_app`` creates one copy of the model. The working
        directory is the spec's folder while the class is imported, built and loaded.

    Raises:
        SpecError: a secret cannot be read, or a required argument has no value.
        ComponentFailed: the class cannot be imported or built; ``__cause__`` is the original exception.
    """
    from seldon_spec.config.model import Spec
    from seldon_spec.inference.assembly import dispatcher_for
    from seldon_spec.remote import connect_component
    from seldon_spec.server.rest.flask_app import make_app as make_flask_app
    from seldon_spec.server.rest.wsgi_limits import LimitedApp

    if not isinstance(spec, Spec):
        raise TypeError(f"make_app takes a Spec, not {type(spec).__name__}: write make_app(seldon_spec.load(path))")

    prepared = prepare(spec)
    dispatcher = dispatcher_for(prepared, connect=connect_component)
    with working_directory(prepared.folder):
        dispatcher.start().result()
    app = make_flask_app(dispatcher, prepared)
    app.wsgi_app = LimitedApp(app.wsgi_app, prepared, dispatcher.count_at_work)  # type: ignore[method-assign]
    return app


def predict_once(spec: Spec, message: bytes, *, is_v2: bool = False) -> str:
    """Load the class and run one prediction, on the calling thread.

    Args:
        spec: from :func:`prepare`.
        message: a request as JSON.
        is_v2: whether it is one of the Open Inference Protocol, not of Seldon's.

    Returns:
        The response as JSON; that of Seldon's protocol in the spec's JSON style.
    """
    from seldon_spec.inference import processor
    from seldon_spec.inference.assembly import dispatcher_for
    from seldon_spec.inference.message import Operation
    from seldon_spec.inference.request import Codec
    from seldon_spec.protocols.json_style import JsonStyle
    from seldon_spec.protocols.seldon_v1.json_codec import JsonCodec
    from seldon_spec.remote import connect_component

    dispatcher = dispatcher_for(spec, connect=connect_component)
    built = dispatcher.build()
    codec: Codec = JsonCodec(JsonStyle.from_flask(spec.flask))
    if is_v2:
        from seldon_spec.inference.served_spec import find_served_spec
        from seldon_spec.protocols.open_inference_v2.json_codec import V2JsonCodec
        from seldon_spec.protocols.open_inference_v2.model_info import make_model_info

        codec = V2JsonCodec(make_model_info(spec, find_served_spec(spec, dispatcher)))
    reply = dispatcher.submit(Operation.PREDICT, message, codec)
    reply.add_done_callback(lambda _reply: dispatcher.stop())
    log = logging.getLogger(processor.__name__)
    level = log.level
    log.setLevel(logging.CRITICAL)  # the failure is raised to the caller
    try:
        with working_directory(spec.folder):
            dispatcher.run()  # on this thread, the main thread of the command
    finally:
        log.setLevel(level)
    built.result()
    return reply.result().body.decode("utf-8")
