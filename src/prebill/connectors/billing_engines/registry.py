"""The billing engines that are set up, by name: a new one is one file and one line here."""

from prebill.connectors.billing_engines.base import Engine
from prebill.connectors.billing_engines.signed import SignedEngine, manifest_of
from prebill.connectors.billing_engines.stripe import MANIFEST, Stripe
from prebill.connectors.manifest import Manifest
from prebill.core.errors import InputError
from prebill.settings import Settings

STRIPE = "stripe"
#: Names that mean something else: callers of the hook, and our own delivery.
TAKEN = frozenset({STRIPE, "hook", "files", "webhook"})


def engines_of(settings: Settings) -> dict[str, Engine]:
    """Open the connectors that have what they need.

    Raises
    ------
    InputError
        An engine of the settings has a name that is taken, or one that can't stand in an address.
    """
    found: dict[str, Engine] = {}
    key, secret = settings.stripe_api_key, settings.stripe_webhook_secret
    if key and secret:
        found[STRIPE] = Stripe(
            key.get_secret_value(), secret.get_secret_value(), url=settings.stripe_api_url
        )
    for name, engine in settings.engines.items():
        is_plain = name.isascii() and name.replace("-", "").replace("_", "").isalnum()
        if name in TAKEN or not is_plain or name != name.lower():
            message = f"an engine can't be called {name!r}: use small letters, and none of ours"
            raise InputError(message, engine=name)
        found[name] = SignedEngine(name, engine.url, engine.secret.get_secret_value())
    return found


def manifests_of(settings: Settings) -> list[Manifest]:
    """Return the manifests of the engines that are set up, without opening any."""
    has_stripe = settings.stripe_api_key and settings.stripe_webhook_secret
    return [*([MANIFEST] if has_stripe else []), *map(manifest_of, settings.engines)]
