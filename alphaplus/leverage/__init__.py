"""Margin, liquidation prices and levels, liquidation risk, and leverage advice."""
