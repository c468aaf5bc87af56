"""Frames that enter Prebill. Each has a contract in ``data_contracts/inbound``."""

from prebill.core.schemas.frame import (
    Frame,
    boolean,
    day,
    decimal,
    instant,
    integer,
    minor,
    optional,
    text,
)

LEGAL_ENTITIES = Frame(
    "legal_entities",
    "The companies that issue invoices.",
    ("entity_id",),
    (
        text("entity_id", "id, part of ids and document numbers"),
        text("name", "legal name"),
        text("country", "ISO 3166 alpha-2 of its seat"),
        text("currency", "functional currency, ISO 4217"),
        text("time_zone", "IANA zone in which documents are dated"),
        optional(text("tax_registration_id", "its VAT or tax id")),
        text("series", "prefix of its invoice numbers"),
        integer("grace_days", "days after the period's end before a draft is final"),
        integer("issue_by_days", "days after the period's end by which a draft must be issued"),
    ),
)
CUSTOMERS = Frame(
    "customers",
    "Who pays. Personal data lives here and nowhere else.",
    ("customer_id",),
    (
        text("customer_id", "id"),
        optional(text("name", "name on the invoice")),
        optional(text("email", "where invoices are announced")),
        optional(text("country", "ISO 3166 alpha-2 of the place of supply")),
        optional(text("region", "state or province, for US tax: ISO 3166-2 without country")),
        optional(text("tax_id", "VAT or tax id with country prefix")),
        optional(boolean("is_business", "true for a business, false for a natural person")),
        optional(text("segment", "size class, free text")),
        optional(day("signed_up_on", "first day as a customer")),
    ),
)
CUSTOMER_LINKS = Frame(
    "customer_links",
    "The same customer in other systems.",
    ("system", "external_id"),
    (
        text("customer_id", "our customer"),
        text("system", "crm, engine, erp, tax, gateway"),
        text("external_id", "id in that system"),
    ),
)
METERS = Frame(
    "meters",
    "What is measured.",
    ("meter",),
    (
        text("meter", "name used by usage events and charges"),
        text("name", "for people, for example API calls"),
        text("aggregation", "sum, count, max, latest, unique"),
        text("unit", "unit of the quantity, for people"),
        decimal("max_quantity", "an event above this is absurd and goes to quarantine"),
    ),
)
PRICE_BOOKS = Frame(
    "price_books",
    "A published, immutable version of prices in one currency.",
    ("price_book_id",),
    (
        text("price_book_id", "id of this version"),
        text("family", "versions of one book share it"),
        integer("version", "1, 2, 3 within the family"),
        text("currency", "ISO 4217"),
        day("effective_from_on", "first day of validity for new contracts"),
    ),
)
PLANS = Frame(
    "plans",
    "What a customer can subscribe to, in one price book.",
    ("price_book_id", "plan_id"),
    (
        text("price_book_id", "price book version"),
        text("plan_id", "id, the same across price books"),
        text("name", "for people"),
    ),
)
CHARGES = Frame(
    "charges",
    "The charges of a plan.",
    ("price_book_id", "plan_id", "charge_id"),
    (
        text("price_book_id", "price book version"),
        text("plan_id", "plan"),
        text("charge_id", "id, the same across price books"),
        text("name", "text of the invoice line"),
        text("charge_model", "flat, per_unit, graduated, volume, package"),
        text("quantity_source", "fixed (always 1), subscribed (phase quantity), metered"),
        optional(text("meter", "meter whose quantity is priced; only when metered")),
        text("timing", "in_advance, in_arrears"),
        boolean("is_prorated", "whether a part of a period costs a part"),
        optional(decimal("unit_price", "major units; flat: the fee; package: price of a package")),
        optional(decimal("package_size", "units in a package")),
        decimal("included_quantity", "free units of a period, deducted before pricing"),
        text("tax_category", "category of the tax tables, for example saas"),
    ),
)
TIERS = Frame(
    "tiers",
    "Tiers (from, up_to] of graduated and volume charges.",
    ("price_book_id", "plan_id", "charge_id", "from_quantity"),
    (
        text("price_book_id", "price book version"),
        text("plan_id", "plan"),
        text("charge_id", "charge"),
        decimal("from_quantity", "exclusive lower bound; 0 for the first"),
        optional(decimal("up_to_quantity", "inclusive upper bound; null for no end")),
        decimal("unit_price", "major units"),
        decimal("flat_fee", "major units, due once the tier is entered"),
    ),
)
CONTRACTS = Frame(
    "contracts",
    "What was signed: who pays whom, in which currency, on which terms. Bitemporal.",
    ("contract_id", "recorded_at"),
    (
        text("contract_id", "id"),
        text("customer_id", "who pays"),
        text("entity_id", "who invoices"),
        text("currency", "ISO 4217, fixed for the contract's life"),
        text("time_zone", "IANA zone of its calendar dates"),
        day("starts_on", "first day"),
        optional(day("ends_on", "first day after the end; null: open")),
        integer("payment_terms_days", "due date = issue date + this"),
        text("proration_policy", "named policy, for example day_actual"),
        instant("recorded_at", "when this version became known"),
    ),
)
CONTRACT_TERMS = Frame(
    "contract_terms",
    "The lines of a signed contract with dated changes, as the CRM holds them. Bitemporal.",
    ("contract_id", "term_id", "recorded_at"),
    (
        text("contract_id", "contract"),
        text("term_id", "id within the contract"),
        text("plan_id", "plan sold"),
        text("price_book_id", "price book version that was agreed"),
        decimal("quantity", "units sold, for example seats"),
        decimal("discount_percent", "0 to 100"),
        optional(day("discount_ends_on", "first day without the discount; null: no end")),
        day("effective_from_on", "first day"),
        optional(day("effective_to_on", "first day after the end; null: open")),
        instant("recorded_at", "when this version became known"),
    ),
)
SUBSCRIPTIONS = Frame(
    "subscriptions",
    "What billing was told to bill for a contract.",
    ("subscription_id", "recorded_at"),
    (
        text("subscription_id", "id"),
        text("contract_id", "contract it fulfils"),
        text("customer_id", "who pays"),
        day("started_on", "first day"),
        optional(day("ended_on", "first day after the end; null: open")),
        instant("recorded_at", "when this version became known"),
    ),
)
SUBSCRIPTION_PHASES = Frame(
    "subscription_phases",
    "Phases of a subscription: plan, price book, quantity, discount from a day on. Bitemporal.",
    ("subscription_id", "phase_id", "recorded_at"),
    (
        text("subscription_id", "subscription"),
        text("phase_id", "id within the subscription"),
        text("plan_id", "plan billed"),
        text("price_book_id", "price book version billed"),
        decimal("quantity", "units billed, for example seats"),
        decimal("discount_percent", "0 to 100"),
        optional(day("discount_ends_on", "first day without the discount; null: no end")),
        day("effective_from_on", "first day"),
        optional(day("effective_to_on", "first day after the end; null: open")),
        instant("recorded_at", "when this version became known"),
    ),
)
ENTITLEMENTS = Frame(
    "entitlements",
    "What the product lets the customer use.",
    ("entitlement_id",),
    (
        text("entitlement_id", "id"),
        text("contract_id", "contract it comes from"),
        text("feature", "a meter, or 'seats'"),
        decimal("granted_quantity", "units provisioned; for a meter, units a month"),
        day("effective_from_on", "first day"),
        optional(day("effective_to_on", "first day after the end; null: open")),
    ),
)
USAGE_EVENTS = Frame(
    "usage_events",
    "Measured usage. Unique by (source, id); the same id with other content is an exception.",
    ("source", "id"),
    (
        text("source", "CloudEvents source"),
        text("id", "CloudEvents id, unique within the source"),
        text("customer_id", "who used"),
        text("meter", "what was used"),
        instant("occurred_at", "when"),
        decimal("quantity", "how much, >= 0"),
        optional(text("unique_value", "what a unique meter counts, for example a user id")),
    ),
)
PAYMENTS = Frame(
    "payments",
    "Money received.",
    ("payment_id",),
    (
        text("payment_id", "id"),
        text("invoice_id", "invoice paid"),
        day("paid_on", "value date"),
        minor("amount_minor", "in the invoice's currency"),
    ),
)
CREDIT_NOTES = Frame(
    "credit_notes",
    "Amounts given back on an invoice.",
    ("credit_note_id",),
    (
        text("credit_note_id", "id"),
        text("invoice_id", "invoice credited"),
        day("issued_on", "date of the credit note"),
        minor("amount_minor", "positive, in the invoice's currency"),
        optional(text("reason", "amount, tax, party, goodwill or free text")),
    ),
)
DISPUTES = Frame(
    "disputes",
    "Invoices that a customer contests.",
    ("dispute_id",),
    (
        text("dispute_id", "id"),
        text("invoice_id", "invoice contested"),
        day("opened_on", "first day"),
        optional(day("closed_on", "last day; null: open")),
        optional(text("reason", "free text")),
        optional(minor("amount_minor", "contested part, in the invoice's currency")),
    ),
)
EXCHANGE_RATES = Frame(
    "exchange_rates",
    "One unit of base costs ``rate`` units of quote on a day.",
    ("base_currency", "quote_currency", "rate_on"),
    (
        text("base_currency", "ISO 4217"),
        text("quote_currency", "ISO 4217"),
        day("rate_on", "day of the rate"),
        decimal("rate", "> 0"),
        text("source", "for example ECB"),
    ),
)
LEDGER_ACCOUNTS = Frame(
    "ledger_accounts",
    "The chart of accounts of an entity.",
    ("entity_id", "account_id"),
    (
        text("entity_id", "legal entity"),
        text("account_id", "number in the ledger"),
        text("name", "for people"),
        text("kind", "asset, liability, equity, income, expense"),
    ),
)
ACCOUNT_MAPPINGS = Frame(
    "account_mappings",
    "Which ledger account a purpose posts to; a null tax category is the default.",
    ("entity_id", "purpose", "tax_category"),
    (
        text("entity_id", "legal entity"),
        text("purpose", "receivable, revenue, deferred_revenue, tax_payable, rounding"),
        text("tax_category", "category of the charge, or * for all"),
        text("account_id", "ledger account"),
    ),
)
ACCOUNTING_PERIODS = Frame(
    "accounting_periods",
    "Whether a month of an entity accepts postings.",
    ("entity_id", "period"),
    (
        text("entity_id", "legal entity"),
        text("period", "month, YYYY-MM"),
        text("status", "open, soft_closed, closed"),
    ),
)
INVOICES = Frame(
    "invoices",
    "Invoices as another engine drafted or issued them; the gate's input and the history of both.",
    ("invoice_id",),
    (
        text("invoice_id", "id"),
        text("customer_id", "who pays"),
        optional(text("legal_entity", "who invoices")),
        text("currency", "ISO 4217"),
        day("issued_on", "issue date; drafts: the planned one"),
        day("due_on", "due date"),
        optional(text("payment_terms", "code or text of the terms")),
        optional(day("period_start_on", "first day billed")),
        optional(day("period_end_on", "first day after the billed period")),
        optional(minor("subtotal_minor", "before tax")),
        optional(minor("tax_minor", "tax")),
        minor("total_minor", "what is due"),
    ),
)
INVOICE_LINES = Frame(
    "invoice_lines",
    "Lines of those invoices.",
    ("invoice_id", "line_id"),
    (
        text("invoice_id", "invoice"),
        text("line_id", "id within the invoice"),
        text("product", "product or charge"),
        optional(decimal("quantity", "units")),
        optional(decimal("unit_price", "major units")),
        minor("amount_minor", "before tax, after discount"),
        optional(text("tax_code", "code of the treatment")),
        optional(minor("tax_minor", "tax of the line")),
    ),
)

#: Load order: a frame comes after those it refers to.
INBOUND: tuple[Frame, ...] = (
    LEGAL_ENTITIES,
    CUSTOMERS,
    CUSTOMER_LINKS,
    METERS,
    PRICE_BOOKS,
    PLANS,
    CHARGES,
    TIERS,
    CONTRACTS,
    CONTRACT_TERMS,
    SUBSCRIPTIONS,
    SUBSCRIPTION_PHASES,
    ENTITLEMENTS,
    EXCHANGE_RATES,
    LEDGER_ACCOUNTS,
    ACCOUNT_MAPPINGS,
    ACCOUNTING_PERIODS,
    INVOICES,
    INVOICE_LINES,
    PAYMENTS,
    CREDIT_NOTES,
    DISPUTES,
    USAGE_EVENTS,
)
