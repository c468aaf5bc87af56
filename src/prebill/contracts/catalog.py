"""All contracts of a folder, by name, with the check that references lead somewhere."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from prebill.contracts.check import Compiled, compile_contract
from prebill.contracts.load import DOMAINS, load_contract
from prebill.contracts.model import DataContract
from prebill.core.errors import ContractError
from prebill.core.schemas import INBOUND


@dataclass(frozen=True, slots=True)
class Catalog:
    """The contracts of ``data_contracts/``, by name."""

    contracts: Mapping[str, DataContract]
    checks: Mapping[str, Compiled]

    def __getitem__(self, name: str) -> DataContract:
        try:
            return self.contracts[name]
        except KeyError:
            message = f"there is no data contract {name!r}"
            raise ContractError(message, contract=name) from None

    def __contains__(self, name: object) -> bool:
        return name in self.contracts

    def __iter__(self) -> Iterator[DataContract]:
        return iter(self.contracts.values())

    def inbound(self) -> list[DataContract]:
        """Contracts of files that may be handed in, in load order."""
        return [self.contracts[frame.name] for frame in INBOUND if frame.name in self.contracts]

    def compiled(self, name: str) -> Compiled:
        """Return the contract ready to check frames."""
        return self.checks[self[name].name]


def load_catalog(folder: Path) -> Catalog:
    """Read every contract below ``inbound``, ``internal`` and ``outbound``.

    Raises
    ------
    ContractError
        The folder has no contracts, a file is wrong, a rule can't be enforced, or a reference
        leads nowhere.
    """
    paths = [path for domain in DOMAINS for path in sorted((folder / domain).glob("*.yaml"))]
    if not paths:
        message = f"no data contracts in {folder}: point PREBILL_CONTRACTS_DIR at data_contracts/"
        raise ContractError(message, folder=str(folder))
    contracts: dict[str, DataContract] = {}
    for path in paths:
        contract = load_contract(path)
        if (contract.name, contract.domain) != (path.stem, path.parent.name):
            message = f"{path.name} describes {contract.domain}/{contract.name}: rename the file"
            raise ContractError(message, file=path.name)
        contracts[contract.name] = contract
    if len(contracts) != len(paths):
        message = "two data contracts have one name"
        raise ContractError(message)
    for contract in contracts.values():
        _references_exist(contract, contracts)
    return Catalog(contracts, {name: compile_contract(one) for name, one in contracts.items()})


def _references_exist(contract: DataContract, contracts: Mapping[str, DataContract]) -> None:
    for reference in contract.references:
        target = contracts.get(reference.contract)
        if target is None or not set(reference.targets) <= set(target.columns):
            message = f"{contract.name}: reference {reference.id} leads to nothing"
            raise ContractError(message, contract=contract.name, reference=reference.id)
