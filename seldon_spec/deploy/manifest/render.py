"""The text of a manifest."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from seldon_spec.config.model import Spec
from seldon_spec.deploy.manifest.compose import check_compose, render_compose
from seldon_spec.deploy.manifest.kserve import check_kserve, render_kserve
from seldon_spec.deploy.manifest.kuberay import check_kuberay, render_kuberay
from seldon_spec.deploy.manifest.kubernetes import check_kubernetes, render_kubernetes
from seldon_spec.deploy.manifest.ray import check_ray, render_ray
from seldon_spec.deploy.manifest.seldon import render_seldon
from seldon_spec.deploy.manifest.seldon_problems import check_seldon
from seldon_spec.deploy.manifest.target import Target
from seldon_spec.deploy.manifest.tree import Tree
from seldon_spec.deploy.manifest.writer import write_documents
from seldon_spec.errors import Diagnostic


class _Functions(NamedTuple):
    """The functions of a target."""

    render: Callable[[Spec, bool], Iterator[Tree]]
    check: Callable[[Spec, bool], Iterator[Diagnostic]]


_TARGETS: Mapping[Target, _Functions] = {
    Target.KUBERNETES: _Functions(render_kubernetes, check_kubernetes),
    Target.RAY: _Functions(render_ray, check_ray),
    Target.KUBERAY: _Functions(render_kuberay, check_kuberay),
    Target.KSERVE: _Functions(render_kserve, check_kserve),
    Target.COMPOSE: _Functions(render_compose, check_compose),
    Target.SELDON: _Functions(render_seldon, check_seldon),
}


def find_problems(spec: Spec, target: Target, *, is_complete: bool = False) -> list[Diagnostic]:
    """Return what prevents the manifest of a spec from working, and what its user should know.

    Args:
        spec: as ``load`` returns it.
        target: what the manifest is for.
        is_complete: whether it repeats what the image contains.
    """
    found: list[Diagnostic] = []
    for each in _TARGETS[target].check(spec, is_complete):
        if each not in found:
            found.append(each)
    return found


def build_documents(spec: Spec, target: Target, *, is_complete: bool = False) -> list[Tree]:
    """Return the documents of a spec for a target.

    Args:
        spec: as ``load`` returns it, without errors of ``find_problems`` for the target.
        target: what they are for.
        is_complete: whether they repeat what the image contains.
    """
    return list(_TARGETS[target].render(spec, is_complete))


def render_manifest(spec: Spec, target: Target, version: str, documents: Sequence[Tree], *, has_comments: bool) -> str:
    """Return the text of documents: the same bytes for the same spec and version.

    Args:
        spec: that they were built from.
        target: what they are for.
        version: of this package, for the comment at the top.
        documents: as ``build_documents`` returns them, or a part of them.
        has_comments: whether each value has a comment about its origin.
    """
    head = (
        f"Rendered by seldon-spec {version} from {spec.file} for {target.value}.",
        "Change that file and render again; changes here are lost.",
    )
    return write_documents(documents, head, has_comments=has_comments)
