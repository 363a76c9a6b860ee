"""The order book of one instrument, and the audit of its touch."""

from alphaplus.book._kernels import TOP
from alphaplus.book.audit import TopOfBookAudit
from alphaplus.book.l2 import BookView, L2Book, TopArray, float_prices

__all__ = ["TOP", "BookView", "L2Book", "TopArray", "TopOfBookAudit", "float_prices"]
