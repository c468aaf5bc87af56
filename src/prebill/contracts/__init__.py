"""Data contracts: read the ODCS files of ``data_contracts/`` strictly and check frames by them.

Not here: files, databases and what happens with rejected rows (``workflows/ingest.py``).
"""

from prebill.contracts.catalog import Catalog, load_catalog
from prebill.contracts.check import Checked, Compiled, compile_contract
from prebill.contracts.load import load_contract, parse_contract
from prebill.contracts.model import DataContract, Property, Reference, Rule

__all__ = [
    "Catalog",
    "Checked",
    "Compiled",
    "DataContract",
    "Property",
    "Reference",
    "Rule",
    "compile_contract",
    "load_catalog",
    "load_contract",
    "parse_contract",
]
