"""The database: embedded PostgreSQL, schema, durable writer, queries.

Nothing is imported here on purpose: who only makes rows needs `alphaplus.storage.tables`
and should not pay for a database driver.
"""
