"""Amounts, instants, shares and codes as people read them."""

from datetime import date, timedelta
from decimal import Decimal

from prebill.core.errors import MoneyError
from prebill.core.money import decimal_text, format_minor
from prebill.store.codec import parse_instant


def money(amount_minor: int | None, currency: str | None) -> str:
    """Write an amount; absent ones as a dash, unknown currencies in plain minor units."""
    if amount_minor is None:
        return "–"
    try:
        return format_minor(amount_minor, currency or "").replace("-", "−")
    except MoneyError:
        return f"{amount_minor:,} minor units {currency or ''}".strip()


def bare_money(amount_minor: int | None, currency: str | None) -> str:
    """Write an amount without its currency, for columns that name it once."""
    return money(amount_minor, currency).removesuffix(f" {currency}")


def signed_money(amount_minor: int, currency: str) -> str:
    """Write a difference with its sign.

    Examples
    --------
    >>> signed_money(1050, "EUR"), signed_money(-500, "JPY"), signed_money(0, "EUR")
    ('+10.50 EUR', '−500 JPY', '0.00 EUR')
    """
    return ("+" if amount_minor > 0 else "") + money(amount_minor, currency)


def signed_bare_money(amount_minor: int, currency: str) -> str:
    """Write a difference with its sign, without its currency."""
    return signed_money(amount_minor, currency).removesuffix(f" {currency}")


def direction(amount_minor: int | None) -> str:
    """Return ``over``, ``under`` or nothing: the class that colours a difference."""
    if not amount_minor:
        return ""
    return "over" if amount_minor > 0 else "under"


def percent(share: float | None) -> str:
    """Write a share of 0 to 1; never 0 % or 100 % for what is not certain.

    Examples
    --------
    >>> percent(0.934), percent(0.001), percent(0.9999), percent(None)
    ('93 %', '< 1 %', '> 99 %', '–')
    """
    if share is None:
        return "–"
    if 0 < share < 0.01:
        return "< 1 %"
    if 0.99 < share < 1:
        return "> 99 %"
    return f"{share * 100:.0f} %"


def likely(share: float | None) -> str:
    """Write how likely something is.

    Examples
    --------
    >>> likely(0.2), likely(None)
    ('20 % likely', 'unknown')
    """
    return "unknown" if share is None else f"{percent(share)} likely"


def instant(text: str | None) -> str:
    """Write an instant of the tables.

    Examples
    --------
    >>> instant("2026-11-02T08:05:00.000000Z")
    '2 Nov 2026, 08:05 UTC'
    """
    if not text:
        return "–"
    at = parse_instant(text)
    return f"{at.day} {at:%b %Y, %H:%M} UTC"


def day(text: str | None) -> str:
    """Write a date of the tables.

    Examples
    --------
    >>> day("2026-11-02")
    '2 Nov 2026'
    """
    if not text:
        return "–"
    on = date.fromisoformat(text)
    return f"{on.day} {on:%b %Y}"


def span(start_on: str | None, end_on: str | None) -> str:
    """Write a period ``[start, end)`` with its last day, as people count.

    Examples
    --------
    >>> span("2026-10-01", "2026-11-01")
    '1 Oct 2026 to 31 Oct 2026'
    """
    if not start_on or not end_on:
        return "–"
    return f"{day(start_on)} to {last_day(end_on)}"


def last_day(end_on: str) -> str:
    """Write the day before an exclusive end.

    Examples
    --------
    >>> last_day("2026-10-01")
    '30 Sep 2026'
    """
    return day((date.fromisoformat(end_on) - timedelta(days=1)).isoformat())


def rarity(score: float) -> str:
    """Write a tail score as a share that never rounds up to certainty.

    Examples
    --------
    >>> rarity(0.99987), rarity(0.97), rarity(1.0)
    ('99.9 %', '97.0 %', '99.9 %')
    """
    return f"{min(int(score * 1000), 999) / 10:.1f} %"


def month(text: str) -> str:
    """Write a billing month.

    Examples
    --------
    >>> month("2026-10")
    'Oct 2026'
    """
    return f"{date.fromisoformat(f'{text}-01'):%b %Y}"


def decimal(text: str | None) -> str:
    """Write a decimal of the tables with thousands separated.

    Examples
    --------
    >>> decimal("12500.500000000000")
    '12,500.5'
    """
    if text is None:
        return "–"
    return format(Decimal(decimal_text(Decimal(str(text)))), ",f")


def sentence(text: object) -> str:
    """Write an error, or a clause, as a sentence.

    Examples
    --------
    >>> sentence("reload the case")
    'Reload the case.'
    """
    said = str(text)
    return f"{said[:1].upper()}{said[1:]}."


def phrase(code: str) -> str:
    """Write a code as words: ``price_differs_from_contract`` → price differs from contract."""
    return code.replace("_", " ")


def engine_name(system: str | None) -> str:
    """Write which engine drafted; nothing for Prebill itself.

    Examples
    --------
    >>> engine_name("stripe"), engine_name("hook"), engine_name(None)
    ('Stripe', 'another engine', '')
    """
    if system == "hook":
        return "another engine"
    return (system or "").capitalize()


def the_engine(system: str | None) -> str:
    """Write which engine drafted, inside a sentence about it.

    Examples
    --------
    >>> the_engine("stripe"), the_engine("hook")
    ('Stripe', 'the engine that drafted it')
    """
    return "the engine that drafted it" if system == "hook" else engine_name(system)


def counted(number: int, thing: str, things: str = "") -> str:
    """Write a number with its noun.

    Examples
    --------
    >>> counted(1, "case"), counted(1200, "case")
    ('1 case', '1,200 cases')
    """
    return f"{number:,} {thing if number == 1 else things or thing + 's'}"
