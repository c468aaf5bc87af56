"""Kinds of what moves money: how the text of each is read, and what it would have done.

A further kind (price books, tax tables, limits …) is one entry here.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from prebill.bootstrap import Installation, policy_text
from prebill.core.errors import InputError, NotFoundError, PolicyError
from prebill.core.policy.lint import problems
from prebill.core.policy.model import Policy
from prebill.settings import Settings
from prebill.store.configurations import POLICY, Wording
from prebill.workflows.policy_simulation import simulated


@dataclass(frozen=True, slots=True)
class Kind:
    """What the life of a version needs of its kind.

    ``read`` checks a text and raises a :class:`PrebillError` that names what is wrong;
    ``installed`` gives the text in force while no version is live; ``simulate`` says, as JSON-able
    figures, what a text would have changed against what is in force.
    """

    name: str
    read: Callable[[str], Wording]
    installed: Callable[[Settings], str]
    simulate: Callable[[Installation, str], dict[str, object]]


def _read_policy(content: str) -> Wording:
    """Parse it; all that is wrong is said at once, each with its line and key."""
    wrong = problems(content)
    if wrong:
        raise PolicyError("; ".join(map(str, wrong)), line=wrong[0].line, key=wrong[0].key)
    policy = Policy.parse(content)
    return Wording(policy.name, policy.digest, content)


def _simulate_policy(opened: Installation, content: str) -> dict[str, object]:
    """Ask it about every stored decision; before the first one there is nothing to ask about."""
    try:
        return simulated(opened, Policy.parse(content))
    except InputError as error:
        return {"decisions": 0, "notes": [f"{error}"]}


KINDS: Final = {
    kind.name: kind
    for kind in (
        Kind(
            name=POLICY,
            read=_read_policy,
            installed=lambda settings: policy_text(settings.policy_path),
            simulate=_simulate_policy,
        ),
    )
}


def kind_named(name: str) -> Kind:
    """Return a kind.

    Raises
    ------
    NotFoundError
        It is not registered.
    """
    if name not in KINDS:
        message = f"unknown kind {name!r}; known: {', '.join(KINDS)}"
        raise NotFoundError(message, kind=name)
    return KINDS[name]
