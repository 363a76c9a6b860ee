"""The packed archive of closed partitions on plain PostgreSQL.

A block holds some thousand rows of one table and instrument as compressed columns, lossless to
the bit (`block.py` over `columns.py`, `floats.py`, `integers.py`, `levels.py`, `texts.py`).
"""
