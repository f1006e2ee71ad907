"""From a spec to something that predicts: the public ``make_app``, and what ``serve`` and ``predict`` share.

The only module beside the command line that touches the process's environment: the user's class reads its variables
there.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from seldon_spec.compat import install
from seldon_spec.config.loader import load as load_spec
from seldon_spec.config.secrets import prepare_to_load

if TYPE_CHECKING:
    from flask import Flask

    from seldon_spec.config.model import Spec
    from seldon_spec.errors import FieldPath


class Preparation:
    """Makes specs ready to load, one after another in one process: each takes the place of the one before.

    Attributes:
        variables: the process's environment as it was before any spec added to it.
    """

    def __init__(self) -> None:
        self.variables: Mapping[str, str] = dict(os.environ)
        self._added: set[str] = set()

    def prepare(self, spec: Spec) -> Spec:
        """The spec with its secrets read, and all that the user's class meets made ready.

        Its ``environment`` is set, where a real variable wins, and imports of ``seldon_core`` are answered if that is
        not installed.

        Raises:
            SpecError: a secret cannot be read, or a required argument has no value; the environment is as it was then.
        """
        prepared = prepare_to_load(spec, self.variables)
        for name in self._added:
            os.environ.pop(name, None)
        self._added = set(prepared.environment) - set(self.variables)
        os.environ.update({name: str(prepared.environment[name]) for name in self._added})
        install()
        return prepared


def prepare(spec: Spec) -> Spec:
    """The spec made ready to load, as :meth:`Preparation.prepare` does it, where no other takes its place."""
    return Preparation().prepare(spec)


def load(
    path: str | Path = ".",
    environ: Mapping[str, str] | None = None,
    flags: Mapping[FieldPath, str] | None = None,
) -> Spec:
    """Read and check a spec.

    Args:
        path: the folder that holds seldon.yaml, or the file.
        environ: the variables that override the file; by default those of the process.
        flags: texts that override both, by field, e.g. ``{("server", "workers"): "4"}``.

    Returns:
        The effective spec; ``diagnostics`` holds its warnings and notes.

    Raises:
        SpecError: with every error.
    """
    return load_spec(Path(path), os.environ if environ is None else environ, flags)


def make_app(spec: Spec) -> Flask:
    """Return the Flask app of a spec, its class loaded: for a test client, or for a WSGI server of your own.

    It applies ``server.auth``, ``server.max_body_bytes``, ``server.max_queue`` and ``server.request_timeout_seconds``
    as the server does. The other keys of ``server`` are up to the WSGI server.

    Args:
        spec: as ``load`` returns it.

    Returns:
        An app whose model runs in its own thread; one call of ``make_app`` makes one copy of the model. The working
        directory is the spec's folder while the class is imported, built and loaded, and the caller's afterwards.

    Raises:
        SpecError: a secret cannot be read, or a required argument has no value.
        ComponentFailed: the class cannot be imported or built; ``__cause__`` is its own exception.
    """
    from seldon_spec.config.model import Spec
    from seldon_spec.inference.assembly import dispatcher_for
    from seldon_spec.server.rest.flask_app import make_app as make_flask_app
    from seldon_spec.server.rest.wsgi_limits import LimitedApp

    if not isinstance(spec, Spec):
        raise TypeError(f"make_app takes a Spec, not {type(spec).__name__}: write make_app(seldon_spec.load(path))")

    prepared = prepare(spec)
    dispatcher = dispatcher_for(prepared)
    with _working_directory(prepared.folder):
        dispatcher.start().result()
    app = make_flask_app(dispatcher, prepared)
    app.wsgi_app = LimitedApp(app.wsgi_app, prepared, dispatcher.count_at_work)  # type: ignore[method-assign]
    return app


@contextlib.contextmanager
def _working_directory(folder: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def predict_once(spec: Spec, message: bytes) -> str:
    """Load the class and answer one message, on the calling thread.

    Args:
        spec: from :func:`prepare`.
        message: a request as JSON.

    Returns:
        The answer as JSON, in the spec's JSON style.
    """
    from seldon_spec.inference import processor as answering
    from seldon_spec.inference.assembly import dispatcher_for
    from seldon_spec.inference.message import Operation
    from seldon_spec.protocols.json_style import JsonStyle
    from seldon_spec.protocols.seldon_v1.json_codec import JsonCodec

    dispatcher = dispatcher_for(spec)
    built = dispatcher.build()
    codec = JsonCodec(JsonStyle.from_flask(spec.flask))
    reply = dispatcher.submit(Operation.PREDICT, message, codec)
    reply.add_done_callback(lambda _reply: dispatcher.stop())
    log = logging.getLogger(answering.__name__)
    level = log.level
    log.setLevel(logging.CRITICAL)  # the failure is raised to the caller
    try:
        with _working_directory(spec.folder):
            dispatcher.run()  # on this thread, the main thread of the command
    finally:
        log.setLevel(level)
    built.result()
    return reply.result().body.decode("utf-8")
