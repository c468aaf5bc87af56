"""What each page shows: one frozen dataclass per page. A template sees its fields, nothing else.

Everything is ready to print: amounts, dates and sentences are made in ``present.py``, geometry in
``charts.py``. A test compares the fields with the names that the templates use.
"""

from dataclasses import dataclass

from prebill.console.charts import CompareBar, HistoryChart


@dataclass(frozen=True, slots=True)
class Viewer:
    """Who is looking, and the token that their forms carry."""

    name: str
    role: str
    may_decide: bool
    csrf_token: str
    #: Alerts that people still have to do with.
    open_alerts: int


@dataclass(frozen=True, slots=True)
class Option:
    """One choice of a select box."""

    value: str
    label: str
    is_chosen: bool


@dataclass(frozen=True, slots=True)
class Fact:
    """A named value; ``href`` where it has a page of its own."""

    name: str
    value: str
    href: str = ""


@dataclass(frozen=True, slots=True)
class Event:
    """One entry of a timeline."""

    at: str
    text: str
    actor: str


@dataclass(frozen=True, slots=True)
class SignInPage:
    """``/sign-in``: asks who it is."""

    title: str
    viewer: Viewer | None
    form_token: str
    next_path: str
    email: str
    error: str


@dataclass(frozen=True, slots=True)
class PasswordPage:
    """``/password``: choose a new password; forced after a one-time password."""

    title: str
    viewer: Viewer
    is_forced: bool
    min_length: int
    error: str


@dataclass(frozen=True, slots=True)
class CurrencyTotal:
    """What waits in one currency."""

    currency: str
    cases: str
    holds: str
    reviews: str
    expected_loss: str


@dataclass(frozen=True, slots=True)
class QueueRow:
    """One open case."""

    href: str
    action: str
    customer: str
    draft_id: str
    period: str
    #: Another engine; empty: Prebill itself.
    drafted_by: str
    reason: str
    billed: str
    expected_loss: str
    likely_wrong: str
    due: str
    is_late: bool
    priority: str
    #: How it came about.
    priority_parts: str
    #: Who works on it; empty: nobody.
    owner: str
    #: Asleep, asked or escalated; empty: it waits.
    state: str


@dataclass(frozen=True, slots=True)
class QueuePage:
    """``/queue``: what to do now, the most money first."""

    title: str
    viewer: Viewer
    summary: str
    totals: tuple[CurrencyTotal, ...]
    search: str
    actions: tuple[Option, ...]
    currencies: tuple[Option, ...]
    queues: tuple[Option, ...]
    owners: tuple[Option, ...]
    is_filtered: bool
    rows: tuple[QueueRow, ...]
    first_href: str
    next_href: str
    notice: str


@dataclass(frozen=True, slots=True)
class ComparedLine:
    """A line as billed beside what the judges expected."""

    name: str
    detail: str
    expected: str
    billed: str
    difference: str
    direction: str
    bar: CompareBar


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a judge objects; amounts rank them."""

    amount: str
    direction: str
    text: str
    expected: str
    judge: str
    lines: str
    evidence: str


@dataclass(frozen=True, slots=True)
class PastInvoice:
    """One bar of the chart, as a row of its table."""

    period: str
    name: str
    total: str
    href: str


@dataclass(frozen=True, slots=True)
class Corrections:
    """What a correction may change, with the values that stand now."""

    metered: tuple[Option, ...]
    phases: tuple[Option, ...]
    customer_country: str
    customer_tax_id: str
    is_business: bool


@dataclass(frozen=True, slots=True)
class Claim:
    """Who works on a case. ``kind``: free, mine, other; ``sentence`` says it in words."""

    kind: str
    sentence: str
    #: Who else has the case open; empty: nobody, or not known without scripts.
    others: str


@dataclass(frozen=True, slots=True)
class NoteRow:
    """What somebody said of a case; ``file_name`` is empty without a file."""

    at: str
    author: str
    said: str
    text: str
    file_name: str
    file_size: str
    file_href: str


@dataclass(frozen=True, slots=True)
class Handled:
    """Where a case stands before its decision. ``pause``: what it sleeps or waits for, or empty.

    ``sleeps``: until when it may sleep, before its deadline; ``needs_authority``: the visitor may
    not decide it, because it was escalated.
    """

    pause: str
    is_paused: bool
    is_asked: bool
    is_escalated: bool
    needs_authority: bool
    sleeps: tuple[Option, ...]
    #: Where the other cases of its cause are, and how many; empty: it stands alone.
    group_href: str
    group: str
    #: What its release takes beside one person, and who signed; empty: nothing.
    approval: str
    may_release: bool
    #: Whether a controller may release without the others.
    may_break_glass: bool
    notes: tuple[NoteRow, ...]


@dataclass(frozen=True, slots=True)
class Step:
    """A correction in words, and as its form sends it."""

    text: str
    correction: str


@dataclass(frozen=True, slots=True)
class Change:
    """The smallest change with which a draft would pass; ``why_not``: there is none, and why.

    The form sends the first of ``steps`` as ``kind``, for ``reason``.
    """

    why_not: str
    sentence: str = ""
    steps: tuple[Step, ...] = ()
    kind: str = ""
    reason: Option | None = None


@dataclass(frozen=True, slots=True)
class SimilarCase:
    """A resolved case like the one shown, and what was done."""

    href: str
    customer: str
    money: str
    direction: str
    decided: str
    codes: str
    likeness: str


@dataclass(frozen=True, slots=True)
class Help:
    """What others decided, and where the smallest change is found.

    ``change_href``: page that tries corrections; empty: ``change`` says why none is tried.
    """

    change: Change
    change_href: str
    recommendation: str
    similar: tuple[SimilarCase, ...]
    usual: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ChangePage:
    """``/cases/{id}/smallest-change``: with what it would pass; the case's page shows it too."""

    title: str
    viewer: Viewer
    customer: str
    case_href: str
    decide_path: str
    lock_version: int
    change: Change


@dataclass(frozen=True, slots=True)
class CasePage:
    """``/cases/{id}``: verdict, decision bar, lines, reasons, history, contract, timeline."""

    title: str
    viewer: Viewer
    case_id: str
    action: str
    status: str
    verdict: str
    verdict_facts: tuple[Fact, ...]
    is_open: bool
    claim: Claim
    handled: Handled
    outcome: str
    decide_path: str
    lock_version: int
    release_reasons: tuple[Option, ...]
    error_reasons: tuple[Option, ...]
    release_label: str
    reject_label: str
    #: Where to correct it, if not here; empty: the forms of ``corrections`` do it.
    correct_elsewhere: str
    corrections: Corrections
    currency: str
    notice: str
    problem: str
    queue_href: str
    next_href: str
    compared: tuple[ComparedLine, ...]
    compared_basis: str
    total_label: str
    expected_total: str
    billed_total: str
    difference_total: str
    difference_direction: str
    reasons: tuple[Reason, ...]
    #: None: the case is answered without help.
    help: Help | None
    history: HistoryChart | None
    past: tuple[PastInvoice, ...]
    customer: str
    #: When it is likely paid, proposed terms and first dunning step; empty: nothing is known.
    payment: tuple[Fact, ...]
    facts: tuple[Fact, ...]
    timeline: tuple[Event, ...]


@dataclass(frozen=True, slots=True)
class RunRow:
    """One billing run and what became of its drafts."""

    run_id: str
    period: str
    status: str
    kind: str
    started: str
    seconds: str
    drafts: str
    issued: str
    review: str
    held: str
    rejected: str
    skipped: str
    balance: str
    is_balanced: bool
    error: str
    #: What its open incident says; empty: there is none.
    incident: str


@dataclass(frozen=True, slots=True)
class RunsPage:
    """``/runs``: the latest billing runs with their completeness."""

    title: str
    viewer: Viewer
    rows: tuple[RunRow, ...]


@dataclass(frozen=True, slots=True)
class InvoiceLine:
    """A line of the document."""

    name: str
    service: str
    quantity: str
    unit_price: str
    discount: str
    amount: str
    tax: str
    tax_code: str


@dataclass(frozen=True, slots=True)
class PostingRow:
    """A posting of the document's journal entry."""

    account: str
    purpose: str
    debit: str
    credit: str


@dataclass(frozen=True, slots=True)
class VersionRow:
    """One version of the draft."""

    version: str
    state: str
    entered: str
    by: str
    total: str
    action: str


@dataclass(frozen=True, slots=True)
class InvoicePage:
    """``/invoices/{draft_id}``: the document or its draft, figure by figure."""

    title: str
    viewer: Viewer
    heading: str
    state: str
    customer: str
    facts: tuple[Fact, ...]
    lines: tuple[InvoiceLine, ...]
    subtotal: str
    tax: str
    total: str
    postings: tuple[PostingRow, ...]
    deliveries: tuple[Event, ...]
    versions: tuple[VersionRow, ...]
    case_href: str
    timeline: tuple[Event, ...]


@dataclass(frozen=True, slots=True)
class ProblemPage:
    """Something did not work: what, and what to do."""

    title: str
    viewer: Viewer | None
    status: int
    sentence: str
    code: str
    back_href: str
