"""What every route may use: the installation that is served, and how it is reached."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Annotated

from fastapi import Depends, Request

from prebill.api.hook import Hook
from prebill.api.metrics import QualityCollector
from prebill.bootstrap import Installation
from prebill.console.throttle import Throttle
from prebill.store.engine import Store

if TYPE_CHECKING:
    from prebill.connectors.billing_engines.base import Engine
    from prebill.contracts import Catalog


@dataclass(frozen=True)
class Services:
    """Opened once a process; kept in ``app.state.services``."""

    installation: Installation
    throttle: Throttle = field(default_factory=Throttle)

    @property
    def store(self) -> Store:
        """The database."""
        return self.installation.store

    @cached_property
    def hook(self) -> Hook:
        """What scores single invoices."""
        return Hook(self.installation)

    @cached_property
    def quality(self) -> QualityCollector:
        """What measures how good the decisions were."""
        return QualityCollector(self.installation)

    @cached_property
    def catalog(self) -> "Catalog":
        """The data contracts, read at first use."""
        from prebill.contracts import load_catalog

        return load_catalog(self.installation.settings.contracts_dir)

    @cached_property
    def engines(self) -> "dict[str, Engine]":
        """The billing engines that are set up, opened at first use."""
        from prebill.connectors.billing_engines.registry import engines_of

        return engines_of(self.installation.settings)

    def close(self) -> None:
        """Close what was opened here, and the installation."""
        for engine in self.engines.values() if "engines" in vars(self) else ():
            engine.close()
        self.installation.close()

    @cached_property
    def secret_key(self) -> str:
        """Key that signs sessions and forms."""
        return self.installation.settings.secret_key.get_secret_value()


def services_of(request: Request) -> Services:
    """Return the services of the app that got the request."""
    found: Services = request.app.state.services
    return found


Served = Annotated[Services, Depends(services_of)]
