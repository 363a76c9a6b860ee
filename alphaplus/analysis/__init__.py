"""Measures of a book, one per file, and the market state that keeps them current."""
