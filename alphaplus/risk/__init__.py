"""Risk of positions and portfolios."""
