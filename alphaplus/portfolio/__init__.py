"""Portfolios: accounts on several venues, and what the margin and risk models say of them."""
