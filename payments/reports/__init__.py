"""Statements and reports: rows of the books in, tables and journals out.

Everything here is decided from what is passed in. `workbook` alone needs somebody else's library
and a file to write to; the others give text, a piece at a time.
"""
