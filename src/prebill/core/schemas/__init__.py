"""Every frame of Prebill, declared once: columns with type, unit, meaning; its key."""

from prebill.core.schemas.frame import Column, Frame, Kind
from prebill.core.schemas.inbound import INBOUND
from prebill.core.schemas.internal import INTERNAL

__all__ = ["INBOUND", "INTERNAL", "Column", "Frame", "Kind"]
