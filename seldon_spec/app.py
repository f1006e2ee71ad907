"""From a spec to something that predicts: the public ``make_app``, and what ``serve`` and ``predict`` share.

The only module beside the command line that touches the process's environment: the user's class reads its variables
there.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from seldon_spec.compat import install
from seldon_spec.spec.secrets import prepare_to_load

if TYPE_CHECKING:
    from flask import Flask

    from seldon_spec.spec.model import Spec


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


def make_app(spec: Spec) -> Flask:
    """Return the Flask app of a spec, its class loaded: for a test client, or for a WSGI server of your own.

    It applies ``server.auth``, ``server.max_body_bytes``, ``server.max_queue`` and ``server.request_timeout_seconds``
    as the server does. The other keys of ``server`` are up to the WSGI server.

    Args:
        spec: as ``load`` returns it.

    Returns:
        An app whose model runs in its own thread; one call of ``make_app`` makes one copy of the model.

    Raises:
        SpecError: a secret cannot be read, or a required argument has no value.
        ComponentFailed: the class cannot be imported or built; ``__cause__`` is its own exception.
    """
    from seldon_spec.server.assembly import dispatcher_for
    from seldon_spec.server.rest.app import make_app as make_flask_app
    from seldon_spec.server.rest.limits import LimitedApp

    prepared = prepare(spec)
    dispatcher = dispatcher_for(prepared)
    dispatcher.start().result()
    app = make_flask_app(dispatcher, prepared)
    app.wsgi_app = LimitedApp(app.wsgi_app, prepared, dispatcher.count_at_work)  # type: ignore[method-assign]
    return app


def predict_once(spec: Spec, message: bytes) -> str:
    """Load the class, answer one message, and let go of it.

    Args:
        spec: from :func:`prepare`.
        message: a request as JSON.

    Returns:
        The answer as JSON, in the spec's JSON style.
    """
    from seldon_spec.payload.json_codec import JsonCodec
    from seldon_spec.payload.json_style import JsonStyle
    from seldon_spec.payload.message import Verb
    from seldon_spec.server.assembly import dispatcher_for

    dispatcher = dispatcher_for(spec)
    try:
        dispatcher.start().result()
        codec = JsonCodec(JsonStyle.from_flask(spec.flask))
        return dispatcher.submit(Verb.PREDICT, message, codec).result().body.decode("utf-8")
    finally:
        dispatcher.stop()
