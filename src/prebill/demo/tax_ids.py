"""VAT ids with right check digits, made in columns. The companies behind them don't exist."""

from collections.abc import Callable
from typing import Final

import numpy as np
import numpy.typing as npt

Digits = npt.NDArray[np.int64]
Texts = npt.NDArray[np.str_]


def _digits(numbers: Digits, width: int) -> Digits:
    """Split numbers into a matrix of decimal digits, most significant first."""
    powers = 10 ** np.arange(width - 1, -1, -1, dtype=np.int64)
    split: Digits = numbers[:, None] // powers % 10
    return split


def _text(numbers: Digits, width: int) -> Texts:
    return np.char.zfill(numbers.astype(np.str_), width)


def _joined(*parts: Texts | str) -> Texts:
    result: Texts = np.asarray(parts[0])
    for part in parts[1:]:
        result = np.char.add(result, np.asarray(part))
    return result


def _german(numbers: Digits) -> Texts:
    """ISO 7064 mod 11, 10 over eight digits, the first of them not zero."""
    body = 10_000_000 + numbers % 90_000_000
    product = np.full(len(body), 10, dtype=np.int64)
    for column in _digits(body, 8).T:
        total = (column + product) % 10
        total = np.where(total == 0, 10, total)
        product = 2 * total % 11
    return _joined("DE", _text(body, 8), _text((11 - product) % 10, 1))


def _french(numbers: Digits) -> Texts:
    """SIREN with Luhn digit, preceded by its key modulo 97."""
    body = 10_000_000 + numbers % 90_000_000
    doubled = _digits(body, 8) * np.array([1, 2] * 4)
    total = (doubled // 10 + doubled % 10).sum(axis=1)
    siren = body * 10 + (-total) % 10
    return _joined("FR", _text((12 + 3 * (siren % 97)) % 97, 2), _text(siren, 9))


def _dutch(numbers: Digits) -> Texts:
    """Eleven test over nine digits; bodies whose check digit would be ten move on by one."""
    body = 10_000_000 + numbers % 80_000_000
    weights = np.arange(9, 1, -1)
    body = np.where(_digits(body, 8) @ weights % 11 == 10, body + 1, body)
    return _joined("NL", _text(body, 8), _text(_digits(body, 8) @ weights % 11, 1), "B01")


def _austrian(numbers: Digits) -> Texts:
    body = 1_000_000 + numbers % 9_000_000
    doubled = _digits(body, 7) * np.array([1, 2, 1, 2, 1, 2, 1])
    total = (doubled // 10 + doubled % 10).sum(axis=1)
    return _joined("ATU", _text(body, 7), _text((6 - total) % 10, 1))


def _belgian(numbers: Digits) -> Texts:
    body = 4_000_000 + numbers % 3_000_000
    return _joined("BE", _text(body, 8), _text(97 - body % 97, 2))


def _italian(numbers: Digits) -> Texts:
    """Seven digits, an office code from 001 to 095, a Luhn digit."""
    body = (1_000_000 + numbers % 8_000_000) * 1000 + 1 + numbers % 95
    doubled = _digits(body, 10) * np.array([1, 2] * 5)
    total = (doubled // 10 + doubled % 10).sum(axis=1)
    return _joined("IT", _text(body, 10), _text((-total) % 10, 1))


_FORMS: Final[dict[str, Callable[[Digits], Texts]]] = {
    "AT": _austrian,
    "BE": _belgian,
    "DE": _german,
    "FR": _french,
    "IT": _italian,
    "NL": _dutch,
}


def vat_ids(country: str, numbers: Digits) -> list[str]:
    """Return one VAT id of the country for each number."""
    return [str(value) for value in _FORMS[country](numbers)]
