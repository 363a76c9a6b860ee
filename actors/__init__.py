"""The Ray shell: thin actors around the library."""
